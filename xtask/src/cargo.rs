//! Cargo, called the same way from every task, so that nothing is built twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{Message, TargetKind};

use crate::failure::Failure;
use crate::process;

/// What lints, tests, examples and benches of `ci` are built from: one selection, one set of features, so
/// that what one has built the next finds.
pub(crate) const EVERYTHING: [&str; 3] = ["--workspace", "--all-targets", "--all-features"];

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    // At run time where cargo says it: a shared target folder may hold another checkout's build.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.parent().map_or(here.clone(), Path::to_path_buf)
}

/// `cargo SUBCOMMAND` in the workspace.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.arg(subcommand).current_dir(root());
    // What `cargo run` told us about ourselves would make some build scripts run again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_about_this_package) {
            command.env_remove(name);
        }
    }
    command
}

/// The programs that a build made, by name; that of an example is `examples/NAME`, as a program may have the same.
#[derive(Debug)]
pub(crate) struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    /// Builds, with progress on standard error.
    pub(crate) fn build(selection: &[&str]) -> Result<Self, Failure> {
        let mut command = cargo("build");
        command.args(selection).arg("--message-format=json-render-diagnostics").stdin(Stdio::null());
        let messages = process::output("cargo build", command)?;
        Ok(Self(Message::parse_stream(messages.as_bytes()).filter_map(Result::ok).filter_map(made).collect()))
    }

    /// A command that runs one of them.
    pub(crate) fn command(&self, name: &str) -> Result<Command, Failure> {
        let path = self.0.get(name);
        path.map(Command::new).ok_or_else(|| Failure::Wrong(format!("the build made no program `{name}`")))
    }
}

fn made(message: Message) -> Option<(String, PathBuf)> {
    let Message::CompilerArtifact(artifact) = message else { return None };
    let is_program = artifact.target.kind.iter().any(|k| matches!(k, TargetKind::Bin | TargetKind::Example));
    let path = artifact.executable.filter(|_| is_program && !artifact.profile.test)?;
    let name = match artifact.target.is_example() {
        true => format!("examples/{}", artifact.target.name),
        false => artifact.target.name,
    };
    Some((name, path.into_std_path_buf()))
}

fn is_about_this_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(std::fs::read_to_string(root().join("Cargo.toml")).unwrap().contains("[workspace]"));
    }

    #[test]
    fn an_unknown_program_is_an_error_that_names_it() {
        let failure = Programs(BTreeMap::new()).command("demo").unwrap_err();
        assert_eq!(failure.in_full(), "the build made no program `demo`");
    }
}
