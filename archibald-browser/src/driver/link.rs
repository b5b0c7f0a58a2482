//! The task that owns the connection to one browser.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chromiumoxide::types::{CallId, Command, Message, Response};
use chromiumoxide::{Connection, error::CdpError};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::DriverError;
use super::event::Event;
use super::targets::Router;

/// How often the task wakes by itself: to forget callers who left, and because a lost wake-up in the
/// connection would else be silence for ever.
const TICK: Duration = Duration::from_millis(500);

/// A handle to the connection. Cheap to clone; the task ends with its last handle or with the browser.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    // Unbounded, so that `Drop` can send without waiting. Each caller waits for its answer, so there is
    // at most one command a caller in it.
    commands: mpsc::UnboundedSender<Outgoing>,
    death: Arc<Death>,
}

/// The end of a browser, told once.
#[derive(Debug, Default)]
pub(super) struct Death {
    token: CancellationToken,
    why: OnceLock<String>,
}

/// What Chromium answered: the result, or its words of refusal.
type Answer = Result<Value, String>;

/// A command on its way, with no caller when nobody waits for its answer.
#[derive(Debug)]
pub(super) struct Outgoing {
    method: Cow<'static, str>,
    session: Option<Arc<str>>,
    params: Value,
    reply: Option<oneshot::Sender<Answer>>,
}

impl Outgoing {
    /// A command whose answer nobody waits for.
    pub(super) fn order<C: Command>(session: Option<&Arc<str>>, command: &C) -> Self {
        // Serialising our own commands cannot fail: they are plain structs with text keys.
        let params = serde_json::to_value(command).unwrap_or_default();
        Self { method: command.identifier(), session: session.cloned(), params, reply: None }
    }

    /// What it asks for.
    pub(super) fn method(&self) -> &str {
        &self.method
    }
}

impl Link {
    /// Of a browser that hears nothing.
    pub(super) fn deaf() -> Self {
        let (commands, _) = mpsc::unbounded_channel();
        Self { commands, death: Arc::default() }
    }

    /// Connects and starts the task.
    pub(super) async fn connect(endpoint: &str, router: Arc<Router>) -> Result<Self, CdpError> {
        let connection = Connection::<Event>::connect(endpoint).await?;
        let (commands, receiver) = mpsc::unbounded_channel();
        let death = Arc::new(Death::default());
        let task = Task { connection, router, death: Arc::clone(&death), pending: HashMap::new() };
        tokio::spawn(task.run(receiver));
        Ok(Self { commands, death })
    }

    /// Sends a command and reads its answer as `A`. Has no deadline of its own: a [`super::Limit`] has.
    /// If the future is dropped, the command is carried out all the same.
    pub(crate) async fn call<C: Command, A: DeserializeOwned>(
        &self,
        session: Option<&Arc<str>>,
        command: C,
    ) -> Result<A, DriverError> {
        let method = name(command.identifier());
        let (reply, answer) = oneshot::channel();
        let outgoing = Outgoing { reply: Some(reply), ..Outgoing::order(session, &command) };
        self.commands.send(outgoing).map_err(|_| self.lost())?;
        let answer = tokio::select! {
            biased;
            () = self.death.token.cancelled() => return Err(self.lost()),
            answer = answer => answer.map_err(|_| self.lost())?,
        };
        let value = answer.map_err(|message| DriverError::Refused { method, message })?;
        serde_json::from_value(value).map_err(|source| DriverError::Answer { method, source })
    }

    /// Sends a command without waiting for anything. For `Drop`, and for answers to events.
    pub(crate) fn order<C: Command>(&self, session: Option<&Arc<str>>, command: &C) {
        let _ = self.commands.send(Outgoing::order(session, command));
    }

    /// Declares the browser dead: all that is pending fails at once.
    pub(super) fn declare_dead(&self, why: impl Into<String>) {
        self.death.declare(why);
    }

    /// Fires when the browser is dead.
    pub(crate) fn dead(&self) -> &CancellationToken {
        &self.death.token
    }

    /// The error that says why it is dead.
    pub(crate) fn lost(&self) -> DriverError {
        let why = self.death.why.get().map_or("its connection is closed", String::as_str);
        DriverError::BrowserLost { why: why.into() }
    }
}

impl Death {
    fn declare(&self, why: impl Into<String>) {
        let _ = self.why.set(why.into());
        self.token.cancel();
    }
}

struct Task {
    connection: Connection<Event>,
    router: Arc<Router>,
    death: Arc<Death>,
    pending: HashMap<CallId, Pending>,
}

struct Pending {
    reply: Option<oneshot::Sender<Answer>>,
    creates_target: bool,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Outgoing>) {
        let dead = self.death.token.clone();
        loop {
            tokio::select! {
                () = dead.cancelled() => break,
                outgoing = commands.recv() => match outgoing {
                    Some(outgoing) => self.submit(outgoing),
                    None => break,
                },
                message = timeout(TICK, self.connection.next()) => match message {
                    Err(_) => self.forget_those_who_left(),
                    Ok(Some(Ok(message))) => self.receive(message),
                    Ok(Some(Err(CdpError::InvalidMessage(_, error)))) => {
                        tracing::warn!(%error, "a message of the browser could not be read");
                    }
                    Ok(Some(Err(error))) => self.death.declare(format!("its connection broke ({error})")),
                    Ok(None) => self.death.declare("its connection was closed"),
                },
            }
        }
        self.death.declare("it was closed");
        self.router.browser_lost();
    }

    fn submit(&mut self, outgoing: Outgoing) {
        let Outgoing { method, session, params, reply } = outgoing;
        let creates_target = method == "Target.createTarget";
        if creates_target {
            self.router.creation_begins();
        }
        let session = session.map(|session| session.to_string().into());
        match self.connection.submit_command(method, session, params) {
            Ok(id) => {
                self.pending.insert(id, Pending { reply, creates_target });
            }
            Err(error) => self.death.declare(format!("a command could not be written ({error})")),
        }
    }

    fn receive(&mut self, message: Message<Event>) {
        let replies = match message {
            Message::Response(response) => self.answer(response),
            Message::Event(event) => self.router.event(event),
        };
        for reply in replies {
            self.submit(reply);
        }
    }

    fn answer(&mut self, response: Response) -> Vec<Outgoing> {
        let Some(pending) = self.pending.remove(&response.id) else { return Vec::new() };
        let answer = match response.error {
            Some(error) => Err(error.message),
            None => Ok(response.result.unwrap_or_default()),
        };
        let target =
            answer.as_ref().ok().and_then(|result| result.get("targetId")?.as_str()).map(String::from);
        let unheard = pending.reply.is_some_and(|reply| reply.send(answer).is_err());
        if pending.creates_target {
            self.router.creation_ends(target.as_deref(), unheard)
        } else {
            Vec::new()
        }
    }

    /// A creation is kept: its target must be told apart from the windows that a site opens.
    fn forget_those_who_left(&mut self) {
        self.pending.retain(|_, pending| {
            pending.creates_target || !pending.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
        });
    }
}

fn name(method: Cow<'static, str>) -> &'static str {
    match method {
        Cow::Borrowed(name) => name,
        Cow::Owned(_) => "a command",
    }
}
