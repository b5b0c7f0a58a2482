//! A client of the control port, for demos and tests that run in another process than the simulator.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use url::Url;

use super::control::{BehaviourChange, HandCustomer, HandOrder};
use super::fault::FaultRule;
use super::ledger::LedgerEntry;
use super::stats::ErpStats;
use super::world::ErpOrder;

/// Speaks to a simulator's control port, one connection a request.
///
/// Dropping the future of a method leaves open whether the simulator carried the request out.
#[derive(Clone, Debug)]
pub struct ErpControl {
    base: Url,
}

/// Why the control port did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The base is no `http` address of a host.
    #[error("control address {0:?} is not like http://127.0.0.1:8091")]
    Address(String),
    /// Nobody there, or the connection broke.
    #[error("the control port at {at} cannot be reached")]
    Unreachable {
        /// The address.
        at: String,
        /// What the network says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refused.
    #[error("the control port refused {what} with {status}: {text}")]
    Refused {
        /// Method and path.
        what: String,
        /// HTTP status.
        status: u16,
        /// Its explanation.
        text: String,
    },
    /// It answered something else than expected.
    #[error("the control port's answer to {what} cannot be read")]
    Unreadable {
        /// Method and path.
        what: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl ErpControl {
    /// For the control port at `base`, for example `http://127.0.0.1:8091`.
    pub fn new(base: &str) -> Result<Self, ControlError> {
        let url = Url::parse(base).ok().filter(|url| url.scheme() == "http" && url.has_host());
        url.map(|base| Self { base }).ok_or_else(|| ControlError::Address(base.to_owned()))
    }

    /// The effects with a `seq` above `after`.
    pub async fn ledger(&self, after: u64) -> Result<Vec<LedgerEntry>, ControlError> {
        self.call(Method::GET, &format!("/ledger?after={after}"), &()).await
    }

    /// The counts since the start.
    pub async fn stats(&self) -> Result<ErpStats, ControlError> {
        self.call(Method::GET, "/stats", &()).await
    }

    /// Every order, of all agents.
    pub async fn orders(&self) -> Result<Vec<ErpOrder>, ControlError> {
        self.call(Method::GET, "/orders", &()).await
    }

    /// Adds rules to the script.
    pub async fn script(&self, rules: &[FaultRule]) -> Result<(), ControlError> {
        self.tell(Method::POST, "/faults", &json!({ "script": rules })).await
    }

    /// Replaces what strikes by chance; words as [`super::FaultSpec`] reads them.
    pub async fn set_spec(&self, spec: &str) -> Result<(), ControlError> {
        self.tell(Method::POST, "/faults", &json!({ "spec": spec })).await
    }

    /// No more faults, neither by script nor by chance.
    pub async fn clear_faults(&self) -> Result<(), ControlError> {
        self.tell(Method::DELETE, "/faults", &()).await
    }

    /// Ends the sessions of a user, or of everybody.
    pub async fn expire(&self, user: Option<&str>) -> Result<(), ControlError> {
        let body = user.map_or_else(|| json!({ "all": true }), |user| json!({ "user": user }));
        self.tell(Method::POST, "/expire", &body).await
    }

    /// Ends all sessions and changes the view state keys.
    pub async fn recycle(&self) -> Result<(), ControlError> {
        self.tell(Method::POST, "/recycle", &()).await
    }

    /// Changes latency and the like.
    pub async fn configure(&self, change: &BehaviourChange) -> Result<(), ControlError> {
        self.tell(Method::POST, "/config", change).await
    }

    /// Changes a user's password.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<(), ControlError> {
        self.tell(Method::POST, "/passwords", &json!({ "user": user, "password": password })).await
    }

    /// Unlocks an account that had too many wrong passwords.
    pub async fn unlock(&self, user: &str) -> Result<(), ControlError> {
        self.tell(Method::POST, "/unlock", &json!({ "user": user })).await
    }

    /// Puts or changes an order behind the product's back; answers its number.
    pub async fn put_order(&self, order: &HandOrder) -> Result<u64, ControlError> {
        let answer: Value = self.call(Method::POST, "/orders", order).await?;
        Ok(answer["number"].as_u64().unwrap_or_default())
    }

    /// Deletes an order behind the product's back.
    pub async fn delete_order(&self, number: u64) -> Result<(), ControlError> {
        self.tell(Method::DELETE, &format!("/orders/{number}"), &()).await
    }

    /// Puts or changes a customer behind the product's back; answers its code.
    pub async fn put_customer(&self, customer: &HandCustomer) -> Result<String, ControlError> {
        let answer: Value = self.call(Method::POST, "/customers", customer).await?;
        Ok(answer["code"].as_str().unwrap_or_default().to_owned())
    }

    async fn tell(&self, method: Method, path: &str, body: &impl Serialize) -> Result<(), ControlError> {
        self.call::<Value>(method, path, body).await.map(|_| ())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ControlError> {
        let what = format!("{method} {path}");
        let unreadable = |source| ControlError::Unreadable { what: what.clone(), source };
        let body =
            if method == Method::POST { serde_json::to_vec(body).map_err(unreadable)? } else { Vec::new() };
        let unreachable = |source| ControlError::Unreachable { at: self.base.to_string(), source };
        let (status, answer) = self.exchange(method, path, body).await.map_err(unreachable)?;
        if !(200..300).contains(&status) {
            let text = String::from_utf8_lossy(&answer).into_owned();
            return Err(ControlError::Refused { what, status, text });
        }
        serde_json::from_slice(&answer).map_err(unreadable)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let address = self.base.socket_addrs(|| None)?;
        let stream = TcpStream::connect(address.as_slice()).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.base.authority())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            Ok((status, body))
        };
        // The connection is driven here and not in a task, so that it ends with this future.
        tokio::pin!(exchange, connection);
        tokio::select! {
            done = &mut exchange => done,
            _ = &mut connection => exchange.await,
        }
    }
}
