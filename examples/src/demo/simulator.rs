//! The simulated ERP in a process of its own, which nobody kills before the end.

use std::path::Path;
use std::time::Duration;

use archibald_testing::erp::ErpControl;

use super::args::Args;
use super::data::Workload;
use super::error::DemoError;
use super::processes::{Process, Program, beside_us};

/// A running simulator.
#[derive(Debug)]
pub(crate) struct Simulator {
    process: Process,
    /// Where its pages are.
    pub(crate) url: String,
    /// Where its control port is.
    pub(crate) control_url: String,
    /// Reads its ledger.
    pub(crate) control: ErpControl,
}

impl Simulator {
    /// Starts it. Port 0 is a free one.
    ///
    /// # Errors
    /// [`DemoError`]; nothing is left running.
    pub(crate) async fn start(
        args: &Args,
        workload: &Workload,
        logs: &Path,
        ports: (u16, u16),
    ) -> Result<Self, DemoError> {
        let mut arguments = workload.erp_args.clone();
        let flags = [
            ("--listen", format!("127.0.0.1:{}", ports.0)),
            ("--control", format!("127.0.0.1:{}", ports.1)),
            ("--latency-ms", args.latency_ms.to_string()),
            ("--seed", args.seed.to_string()),
            ("--faults", args.faults.clone()),
        ];
        arguments.extend(flags.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]));
        let path = beside_us("erp")?;
        let program = Program {
            name: "the ERP simulator".into(),
            path,
            args: arguments,
            log: logs.join("erp.log"),
            temporary: None,
        };
        let (process, line) = Process::start(&program, Duration::from_secs(30)).await?;
        let addresses = line.strip_prefix("listening on ").and_then(|rest| rest.split_once(" control "));
        let Some((url, control_url)) = addresses else {
            let expected = "`listening on URL control URL`";
            return Err(DemoError::Unexpected { name: program.name, line, expected });
        };
        let (url, control_url) = (url.to_owned(), control_url.to_owned());
        Ok(Self { process, control: ErpControl::new(&control_url)?, url, control_url })
    }

    /// # Errors
    /// [`DemoError::Ended`] when it ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), DemoError> {
        self.process.check()
    }
}
