//! `cargo xtask schemathesis`: a server in memory, and requests that Schemathesis invents from its description:
//! right ones must be accepted, wrong ones refused, and every answer must be one that is described.
//!
//! Schemathesis comes from PyPI into the target folder. Where Python cannot be had, the task says so and is
//! skipped.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::cargo::{self, Programs};
use crate::failure::Failure;
use crate::process;
use crate::setup::{self, Need};

/// Which one: a newer one may find what is not ours.
const VERSION: &str = "schemathesis==4.32.5";

const TOKEN: &str = "the-token-of-the-operator";

/// The task.
pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let folder = cargo::root().join("target/schemathesis");
    fs::create_dir_all(&folder).map_err(Failure::io(format!("create {}", folder.display())))?;
    if let Err(failure) = install(&folder) {
        eprintln!("skipped: Schemathesis cannot be had: {}", failure.in_full());
        return Ok(());
    }
    setup::ensure(&[Need::CCompiler])?;
    for name in ["hooks.py", "schemathesis.toml"] {
        let from = cargo::root().join("archibald-http/tests/schemathesis").join(name);
        fs::copy(&from, folder.join(name)).map_err(Failure::io(format!("copy {}", from.display())))?;
    }
    let programs = Programs::build(&["-p", "archibald-examples", "--bin", "server"])?;
    let (server, address) = Server::start(programs.command("server")?, &folder)?;
    let mut command = Command::new(folder.join("venv/bin/schemathesis"));
    command.arg("run").arg(format!("{address}/openapi.json"));
    command.args(["--header", &format!("Authorization: Bearer {TOKEN}"), "--request-timeout", "30"]);
    command.args(arguments).current_dir(&folder);
    let outcome = process::run("schemathesis", command);
    drop(server);
    outcome
}

fn install(folder: &Path) -> Result<(), Failure> {
    if folder.join("venv/bin/schemathesis").exists() {
        return Ok(());
    }
    let mut python = Command::new("python3");
    python.args(["-m", "venv", "venv"]).current_dir(folder);
    process::run("python3 -m venv", python)?;
    let mut pip = Command::new(folder.join("venv/bin/pip"));
    pip.args(["install", "--quiet", VERSION]);
    process::run("pip install", pip)
}

/// Ends with its owner.
struct Server(Child);

impl Server {
    /// Returns once it listens, with its address.
    fn start(mut command: Command, folder: &Path) -> Result<(Self, String), Failure> {
        let tokens = format!("[[token]]\nvalue = \"{TOKEN}\"\nscope = \"operator\"\n");
        fs::write(folder.join("tokens.toml"), tokens).map_err(Failure::io("write tokens.toml"))?;
        private(&folder.join("agents.key"), &"5e".repeat(32))?;
        command.args(["--listen", "127.0.0.1:0", "--store", "memory", "--driver", "direct"]);
        command.args(["--tokens", "tokens.toml", "--agents-key", "agents.key"]).current_dir(folder);
        command.env("ARCHIBALD_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = Self(command.spawn().map_err(Failure::io("start the server"))?);
        let mut line = String::new();
        if let Some(output) = server.0.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(Failure::io("hear from the server"))?;
        }
        match line.trim().strip_prefix("listening on ") {
            Some(address) => Ok((server, address.to_owned())),
            None => Err(Failure::Wrong("the server did not listen".to_owned())),
        }
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

impl Drop for Server {
    fn drop(&mut self) {
        // It keeps nothing that would have to be saved.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
