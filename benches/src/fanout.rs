//! Devices that follow agents: a server in one process, its devices in another, and where that is asked for whoever
//! writes in a third. So the server's memory and processor time are its own.
//!
//! | where | what |
//! | --- | --- |
//! | [`child`] | what each process is |
//! | [`server`] | the one that devices are connected to, or one beside it that only writes |
//! | [`writer`] | changes that are committed, and when |
//! | [`devices`] | those who follow, and what reaches them when |
//! | [`stage`] | all of them together |

pub mod child;
pub mod devices;
pub mod server;
pub mod stage;
pub mod writer;

use clap::ValueEnum;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// By what frames come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Server-sent events over HTTP/1.1.
    Sse,
    /// A WebSocket.
    Ws,
}

/// The token of all devices.
pub(crate) const TOKEN: &str = "token-of-every-device";

/// Open files that a process needs besides its connections.
const OTHER_FILES: u64 = 200;

/// Lets this process and those that it starts open as many files as the machine allows; how many connections that is.
///
/// # Errors
/// Where the kernel does not say.
pub fn most_connections() -> Result<usize, Failure> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(usize::try_from(most.saturating_sub(OTHER_FILES))?)
}
