//! What is given out comes back, wherever it is dropped.

use std::sync::Arc;

use archibald_core::id::AgentId;
use archibald_core::port::{ArchibaldClient, Finish, SessionLease};
use async_trait::async_trait;
use tokio::sync::mpsc;

use super::plan::{How, Input, Ticket, WaiterId};
use super::task::Message;
use crate::session::{Session, Working};

/// A session in use. The page goes back into the session before the session goes back into the pool, so the
/// order of the fields counts.
pub(super) struct Lease {
    pub(super) client: Working,
    pub(super) back: Back,
}

#[async_trait]
impl SessionLease for Lease {
    fn client(&self) -> &dyn ArchibaldClient {
        &*self.client
    }

    async fn finish(mut self: Box<Self>, how: Finish) {
        self.back.how = match how {
            Finish::Clean => {
                self.client.session().was_fine();
                self.client.session().keep().await;
                How::Clean
            }
            Finish::Dirty => How::Dirty,
        };
    }
}

/// A session on its way to whoever asked for it.
pub(super) struct Grant {
    pub(super) session: Arc<Session>,
    pub(super) back: Back,
}

/// Gives the session back when it is dropped, wherever that happens.
pub(super) struct Back {
    pub(super) inputs: mpsc::UnboundedSender<Message>,
    pub(super) agent: AgentId,
    pub(super) ticket: Ticket,
    pub(super) how: How,
}

impl Drop for Back {
    fn drop(&mut self) {
        let returned = Input::Returned(self.agent.clone(), self.ticket, self.how);
        let _ = self.inputs.send(Message::Input(returned));
    }
}

/// Gives up the place in the queue when it is dropped.
pub(super) struct Leaving<'a> {
    pub(super) inputs: &'a mpsc::UnboundedSender<Message>,
    pub(super) waiter: WaiterId,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let _ = self.inputs.send(Message::Input(Input::GaveUp(self.waiter)));
    }
}
