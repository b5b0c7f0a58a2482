//! Set-up, demo, tests and continuous integration: `cargo xtask demo | test | ci | bench | mutants | fuzz |
//! schemathesis | followers`.
//!
//! Each task is a file of its name. What is missing on the machine is installed where that is allowed,
//! else the task says what to install and exits 3.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod bench;
mod cargo;
mod ci;
mod demo;
mod failure;
mod followers;
mod fuzz;
mod mutants;
mod npm;
mod process;
mod schemathesis;
mod scratch;
mod server;
mod setup;
mod test;
mod totals;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// The tasks of this repository; they work from any folder inside it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Starts the simulated ERP, the server and some agents, or with `--once` does the main job and judges it
    #[command(disable_help_flag = true)]
    Demo {
        /// Handed to the demo program unchanged (`--help` lists them)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Runs every test, and checks that nothing is left behind
    Test {
        /// Only tests whose name contains this
        filter: Option<String>,
    },
    /// Formatting, lints, documentation, tests, and examples and benches in their short form
    Ci,
    /// Runs a workload and prints its result
    Bench(bench::Options),
    /// Breaks the rules of the effect protocol one by one, and fails when a test does not notice
    Mutants(mutants::Options),
    /// Hands bytes from everywhere to whatever reads them, and fails when a promise is broken
    Fuzz(fuzz::Options),
    /// Holds the server's answers against its own description, with requests that Schemathesis invents
    Schemathesis {
        /// Handed to `schemathesis run`, such as `--max-examples 500`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Has curl and the npm packages `eventsource` and `ws` follow an agent's stream, and fails where one misses something
    Followers,
}

fn main() -> ExitCode {
    let outcome = match Task::parse() {
        Task::Demo { arguments } => demo::run(&arguments),
        Task::Test { filter } => test::run(filter.as_deref()),
        Task::Ci => ci::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Mutants(options) => mutants::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Schemathesis { arguments } => schemathesis::run(&arguments),
        Task::Followers => followers::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.in_full());
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Task::command().debug_assert();
    }

    #[test]
    fn demo_passes_on_every_argument_even_help() {
        let asked = ["xtask", "demo", "--once", "--agents", "3", "--help", "-x", "--", "y"];
        let Task::Demo { arguments } = Task::try_parse_from(asked).unwrap() else { panic!("not a demo") };
        assert_eq!(arguments, ["--once", "--agents", "3", "--help", "-x", "--", "y"]);
        let Task::Demo { arguments } = Task::try_parse_from(["xtask", "demo", "--help"]).unwrap() else {
            panic!("not a demo")
        };
        assert_eq!(arguments, ["--help"]);
    }
}
