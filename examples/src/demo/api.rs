//! The server's HTTP interface, as far as the demo needs it.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::{AgentId, OperationId};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::DemoError;
use super::scratch::Tokens;

/// Speaks to the servers of this run.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    client: Client,
    /// Base URLs, no slash at the end; the same for the whole run.
    servers: Arc<[String]>,
    tokens: Arc<Tokens>,
}

/// What a call came to when it came to nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Nobody there, or not now: try again.
    Unavailable(String),
    /// It will not get better.
    Refused(StatusCode, String),
}

/// An operation that the server acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) id: OperationId,
    /// It was there already.
    pub(crate) replayed: bool,
}

/// An operation as the server tells it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OperationState {
    /// `available`, `running`, `completed`, …
    pub(crate) state: String,
    problem: Option<Problem>,
}

#[derive(Debug, Clone, Deserialize)]
struct Problem {
    detail: String,
}

#[derive(Deserialize)]
struct Accepted {
    id: OperationId,
}

impl Api {
    /// # Errors
    /// [`DemoError::Client`].
    pub(crate) fn new(servers: Vec<String>, tokens: Tokens) -> Result<Self, DemoError> {
        let client = Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build();
        let client = client.map_err(DemoError::Client)?;
        Ok(Self { client, servers: servers.into(), tokens: Arc::new(tokens) })
    }

    /// How many servers there are to choose from.
    pub(crate) fn servers(&self) -> usize {
        self.servers.len()
    }

    /// Submits an operation. The same body again is the same operation.
    ///
    /// # Errors
    /// [`CallError`]; after `Unavailable` it may have been accepted all the same.
    pub(crate) async fn submit(
        &self,
        server: usize,
        agent: &AgentId,
        body: &Value,
    ) -> Result<Acknowledged, CallError> {
        let url = self.url(server, &format!("/v1/agents/{agent}/operations"));
        let request = self.client.post(url).bearer_auth(self.tokens.of(agent)).json(body);
        let response = answered(request.timeout(Duration::from_secs(10))).await?;
        let replayed = response.headers().contains_key("idempotency-replayed");
        let Accepted { id } = response.json().await.map_err(unavailable)?;
        Ok(Acknowledged { id, replayed })
    }

    /// An operation; `None` where the server knows of none.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn operation(
        &self,
        server: usize,
        agent: &AgentId,
        id: OperationId,
    ) -> Result<Option<OperationState>, CallError> {
        self.operation_as(server, agent, id).await
    }

    /// The same, in a form of the caller's.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn operation_as<T: DeserializeOwned>(
        &self,
        server: usize,
        agent: &AgentId,
        id: OperationId,
    ) -> Result<Option<T>, CallError> {
        let url = self.url(server, &format!("/v1/agents/{agent}/operations/{id}"));
        let request = self.client.get(url).bearer_auth(self.tokens.of(agent));
        match answered(request.timeout(Duration::from_secs(10))).await {
            Ok(response) => response.json().await.map(Some).map_err(unavailable),
            Err(CallError::Refused(StatusCode::NOT_FOUND, _)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Starts a rejected operation again, as a person would.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn retry(
        &self,
        server: usize,
        agent: &AgentId,
        id: OperationId,
    ) -> Result<(), CallError> {
        let url = self.url(server, &format!("/v1/agents/{agent}/operations/{id}/retry"));
        let request = self.client.post(url).bearer_auth(self.tokens.of(agent));
        answered(request.timeout(Duration::from_secs(10))).await.map(|_| ())
    }

    /// The agent's stream of events, from a device's place on.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn events(
        &self,
        server: usize,
        agent: &AgentId,
        place: Option<String>,
    ) -> Result<Response, CallError> {
        let url = self.url(server, &format!("/v1/agents/{agent}/events"));
        let mut request = self.client.get(url).bearer_auth(self.tokens.of(agent));
        request = request.header("accept", "text/event-stream");
        if let Some(place) = place {
            request = request.header("last-event-id", place);
        }
        answered(request).await
    }

    fn url(&self, server: usize, path: &str) -> String {
        format!("{}{path}", self.servers[server % self.servers.len()])
    }
}

impl OperationState {
    /// Whether nothing will happen to it any more by itself, a doubt not counted.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "rejected" | "failed" | "cancelled")
    }

    /// Why it did not complete.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_ref().map(|problem| problem.detail.as_str())
    }
}

impl CallError {
    /// For a person.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Unavailable(text) => text.clone(),
            Self::Refused(status, text) => format!("{status}: {text}"),
        }
    }
}

async fn answered(request: RequestBuilder) -> Result<Response, CallError> {
    let response = request.send().await.map_err(unavailable)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(CallError::Unavailable(format!("{status}: {text}")));
    }
    Err(CallError::Refused(status, text))
}

/// The innermost cause says it best: `connection refused`.
fn unavailable(error: reqwest::Error) -> CallError {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    CallError::Unavailable(cause.to_string())
}
