//! The server as a device meets it.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// Nancy's token.
pub(crate) const NANCY: &str = "token-of-nancy";
/// The token that reaches everything.
pub(crate) const OPERATOR: &str = "token-of-the-operator";

pub(crate) struct Api {
    client: Client,
    base: String,
}

impl Api {
    pub(crate) fn of(address: &str) -> Self {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(70)).build().unwrap();
        Self { client, base: format!("http://{address}") }
    }

    /// Status and body of the answer.
    pub(crate) async fn submit(&self, token: Option<&str>, agent: &str, body: &Value) -> (u16, Value) {
        let mut request = self.client.post(self.operations(agent)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        answer(request).await
    }

    /// Submits an order and waits until it is final.
    pub(crate) async fn finished(&self, token: &str, agent: &str, key: &str, order: &Value) -> Value {
        let body = json!({ "kind": "submit-order", "key": key, "payload": order });
        let request = self.client.post(self.operations(agent)).json(&body);
        let (status, operation) = answer(request.bearer_auth(token).header("Prefer", "wait=60")).await;
        assert_eq!(status, 200, "{operation:#}");
        operation
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Value {
        let (status, body) = answer(self.client.get(format!("{}{path}", self.base)).bearer_auth(token)).await;
        assert_eq!(status, 200, "{path}: {body:#}");
        body
    }

    /// The first agent whom the overview shows as paused, as soon as there is one.
    pub(crate) async fn first_paused(&self) -> Value {
        let asked = async {
            loop {
                let overview = self.get(OPERATOR, "/v1/admin/overview").await;
                if let Some(paused) = overview["paused"].get(0) {
                    return paused.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asked).await.expect("nobody was paused")
    }

    /// Status and body, if there is one, of what is asked as an operator.
    pub(crate) async fn operator(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(OPERATOR);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, if text.is_empty() { Value::Null } else { text.parse().unwrap() })
    }

    /// The operation as it is once it is final.
    pub(crate) async fn final_one(&self, agent: &str, id: &str) -> Value {
        let path = format!("/v1/agents/{agent}/operations/{id}");
        let asked = async {
            loop {
                let operation = self.get(OPERATOR, &path).await;
                if operation.get("finished_at").is_some() {
                    return operation;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asked).await.expect("it is not final")
    }

    fn operations(&self, agent: &str) -> String {
        format!("{}/v1/agents/{agent}/operations", self.base)
    }
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}
