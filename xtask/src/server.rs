//! The server, alone and with everything in memory, for programs of others that ask it.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::failure::Failure;

/// It ends with its owner.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts the program in a folder that has what it needs, with a file of tokens as it is written. Returns once it
    /// listens.
    pub(crate) fn start(mut command: Command, folder: &Path, tokens: &str) -> Result<Self, Failure> {
        private(&folder.join("tokens.toml"), tokens)?;
        private(&folder.join("agents.key"), &"5e".repeat(32))?;
        command.args(["--listen", "127.0.0.1:0", "--store", "memory", "--driver", "direct"]);
        command.args(["--tokens", "tokens.toml", "--agents-key", "agents.key"]).current_dir(folder);
        command.env("ARCHIBALD_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped());
        let process = command.spawn().map_err(Failure::io("start the server"))?;
        let mut server = Self { process, address: String::new() };
        let mut line = String::new();
        if let Some(output) = server.process.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(Failure::io("hear from the server"))?;
        }
        let address = line.trim().strip_prefix("listening on ");
        server.address =
            address.ok_or_else(|| Failure::Wrong("the server did not listen".to_owned()))?.to_owned();
        Ok(server)
    }

    /// Where it listens, as the beginning of a URL.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It keeps nothing that would have to be saved.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A file that its owner alone can read.
fn private(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        fs::write(path, text)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))
    };
    write().map_err(Failure::io(format!("write {}", path.display())))
}
