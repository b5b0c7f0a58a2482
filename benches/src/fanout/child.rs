//! What each process of a run is.

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::devices::Devices;
use super::server::ServerRole;
use crate::Failure;
use crate::child::Child;

/// What a child is.
#[derive(Debug, Serialize, Deserialize)]
pub enum Role {
    /// One that opens the store.
    Server(ServerRole),
    /// One that has devices.
    Devices,
}

/// Starts this program again, as somebody else.
///
/// # Errors
/// Where it cannot be started.
pub fn start(role: &Role) -> Result<Child, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--as-child").arg(serde_json::to_string(role)?);
    Child::start(command)
}

/// Is what the role says until the input ends.
///
/// # Errors
/// Where it could not begin, or the pipes are broken.
pub fn be(role: &str) -> Result<(), Failure> {
    match serde_json::from_str(role)? {
        Role::Server(role) => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(role.run())
        }
        // One thread leaves the other processor to the server.
        Role::Devices => {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(Devices::run())
        }
    }
}
