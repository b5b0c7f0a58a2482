//! `cargo xtask followers`: a server in memory, and an agent's stream followed by what others made: curl, and the npm
//! packages `eventsource` and `ws`.

use std::fs;
use std::process::Command;

use crate::cargo::{self, Programs};
use crate::failure::Failure;
use crate::npm;
use crate::process;
use crate::server::Server;
use crate::setup::{self, Need};

/// The program that follows.
pub(crate) const SOURCES: &str = "archibald-http/tests/followers";

const TOKEN: &str = "the-token-of-the-operator";

/// The task.
pub(crate) fn run() -> Result<(), Failure> {
    setup::ensure(&[Need::CCompiler])?;
    let folder = npm::install(SOURCES, "followers")?;
    let home = cargo::root().join("target/followers");
    fs::create_dir_all(&home).map_err(Failure::io(format!("create {}", home.display())))?;
    let programs = Programs::build(&["-p", "archibald-examples", "--bin", "server"])?;
    let tokens = format!("[[token]]\nvalue = \"{TOKEN}\"\nscope = \"operator\"\n");
    let server = Server::start(programs.command("server")?, &home, &tokens)?;
    let mut node = Command::new("node");
    node.arg("main.mjs").args([server.address(), TOKEN]).current_dir(&folder);
    process::run("node main.mjs", node)
}
