//! `cargo xtask demo`: sets up and builds, then becomes the demo program.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use crate::cargo::Programs;
use crate::failure::Failure;
use crate::setup::{self, Need};

/// Returns only when the demo cannot be started: from there on this process is the demo, so its exit code
/// is ours and Ctrl-C reaches it.
pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    setup::ensure(&needs(arguments))?;
    let selection = ["-p", "archibald-examples", "--bin", "server", "--bin", "erp", "--bin", "demo"];
    let mut command = Programs::build(&selection)?.command("demo")?;
    Err(Failure::io("start the demo")(command.args(arguments).exec()))
}

/// What the demo will want with these arguments.
fn needs(arguments: &[OsString]) -> Vec<Need> {
    let mut needs = vec![Need::CCompiler];
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return needs;
    }
    if value(arguments, "--driver").as_deref() != Some("direct") {
        needs.push(Need::Chromium);
    }
    // An address means a server that is there; the bare word asks for a private cluster.
    if value(arguments, "--store").as_deref() == Some("postgres") {
        needs.push(Need::Postgres);
    }
    needs
}

/// The value of a flag, written as one argument or two.
fn value(arguments: &[OsString], flag: &str) -> Option<String> {
    let with_equals = format!("{flag}=");
    let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        if argument == flag {
            return arguments.next().map(Into::into);
        }
        if let Some(value) = argument.strip_prefix(&with_equals) {
            return Some(value.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_arguments_ask_for_is_set_up() {
        use Need::{CCompiler, Chromium, Postgres};
        let cases: [(&[&str], &[Need]); 7] = [
            (&[], &[CCompiler, Chromium]),
            (&["--once", "--store", "memory"], &[CCompiler, Chromium]),
            (&["--once", "--store", "postgres"], &[CCompiler, Chromium, Postgres]),
            (&["--store=postgres", "--driver=direct"], &[CCompiler, Postgres]),
            (&["--store", "postgres://db/x"], &[CCompiler, Chromium]),
            (&["--driver", "direct", "--once"], &[CCompiler]),
            (&["--help"], &[CCompiler]),
        ];
        for (arguments, wanted) in cases {
            let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
            assert_eq!(needs(&arguments), wanted, "{arguments:?}");
        }
    }
}
