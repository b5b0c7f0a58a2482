//! `cargo xtask schemathesis`: a server in memory, and requests that Schemathesis invents from its description:
//! right ones must be accepted, wrong ones refused, and every answer must be one that is described. Whoever asks: an
//! operator, an agent about itself, an agent about another one, and one that is not there any more.
//!
//! Schemathesis comes from PyPI into the target folder. Where Python cannot be had, the task says so and is
//! skipped.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cargo::{self, Programs};
use crate::failure::Failure;
use crate::process;
use crate::server::Server;
use crate::setup::{self, Need};

/// Which one: a newer one may find what is not ours.
const VERSION: &str = "schemathesis==4.32.5";

/// Who asks: what it is called here, its token, what the file of tokens says of it, and of which agent it asks where that
/// is not left to chance.
const ASKERS: [(&str, &str, &str, Option<&str>); 5] = [
    ("an operator", "the-token-of-the-operator", "scope = \"operator\"", None),
    ("an operator about an agent", "the-token-of-the-operator-too", "scope = \"operator\"", Some("nancy")),
    ("an agent about itself", "the-token-of-nancy", "agent = \"nancy\"", Some("nancy")),
    ("an agent about another", "the-token-of-janet", "agent = \"janet\"", Some("nancy")),
    ("an agent that is gone", "the-token-of-nobody", "agent = \"nobody\"", Some("nobody")),
];

/// The task.
pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let folder = cargo::root().join("target/schemathesis");
    fs::create_dir_all(&folder).map_err(Failure::io(format!("create {}", folder.display())))?;
    if let Err(failure) = install(&folder) {
        eprintln!("skipped: Schemathesis cannot be had: {}", failure.in_full());
        return Ok(());
    }
    setup::ensure(&[Need::CCompiler])?;
    let ours = cargo::root().join("archibald-http/tests/schemathesis");
    let hooks = ours.join("hooks.py");
    fs::copy(&hooks, folder.join("hooks.py")).map_err(Failure::io(format!("copy {}", hooks.display())))?;
    let settings = ours.join("schemathesis.toml");
    let settings =
        fs::read_to_string(&settings).map_err(Failure::io(format!("read {}", settings.display())))?;
    let programs = Programs::build(&["-p", "archibald-examples", "--bin", "server"])?;
    let tokens =
        ASKERS.map(|(_, token, whose, _)| format!("[[token]]\nvalue = \"{token}\"\n{whose}\n")).concat();
    for (who, token, _, agent) in ASKERS {
        eprintln!("--> {who}");
        let of = agent.map(|agent| format!("\n[parameters]\n\"path.agent\" = \"{agent}\"\n"));
        let settings = format!("{settings}{}", of.unwrap_or_default());
        fs::write(folder.join("schemathesis.toml"), settings)
            .map_err(Failure::io("write schemathesis.toml"))?;
        let server = Server::start(programs.command("server")?, &folder, &tokens)?;
        let mut command = Command::new(folder.join("venv/bin/schemathesis"));
        command.arg("run").arg(format!("{}/openapi.json", server.address()));
        command.args(["--header", &format!("Authorization: Bearer {token}"), "--request-timeout", "30"]);
        command.args(arguments).current_dir(&folder);
        if !token.contains("operator") {
            // What is not theirs is not there, whatever the method; and they may not ask as often as they like.
            command.args(["--phases", "examples,fuzzing,stateful", "--rate-limit", "40/s"]);
        }
        let outcome = process::run("schemathesis", command);
        drop(server);
        outcome?;
    }
    Ok(())
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
