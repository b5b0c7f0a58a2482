use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Machine;
use crate::failure::Failure;
use crate::process;

/// How many of its last lines an error quotes.
const QUOTED: usize = 8;

/// Debian's installer.
#[derive(Debug)]
pub(crate) struct Apt {
    program: PathBuf,
}

impl Apt {
    pub(super) fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Brings the lists of packages up to date.
    pub(super) fn update(&self) -> Result<(), Failure> {
        self.run(&["update"])
    }

    /// Installs the first of these choices that can be; the error is that of the first.
    pub(super) fn install_one_of(&self, choices: &[&[&str]]) -> Result<(), Failure> {
        let mut first = None;
        for packages in choices {
            let mut arguments = vec!["install", "-y", "--no-install-recommends"];
            arguments.extend(*packages);
            match self.run(&arguments) {
                Ok(()) => return Ok(()),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn run(&self, arguments: &[&str]) -> Result<(), Failure> {
        let mut command = Command::new(&self.program);
        command
            .args(["-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Options::=--force-confold"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("UCF_FORCE_CONFFOLD", "1");
        let what = format!("apt-get {}", arguments.join(" "));
        eprintln!("==> {what}");
        let (status, lines) = process::show(&what, command, |line| !line.trim().is_empty())?;
        if status.success() {
            return Ok(());
        }
        let last = lines[lines.len().saturating_sub(QUOTED)..].join("\n  ");
        Err(Failure::Missing(format!("`{what}` failed ({status}); its last lines:\n  {last}")))
    }
}

/// The package starts a cluster for the whole machine unless told not to; we run private ones.
pub(super) fn want_no_system_cluster(machine: &Machine) -> Result<(), Failure> {
    let folder = machine.configuration.join("postgresql-common");
    let file = folder.join("createcluster.conf");
    if file.exists() {
        return Ok(());
    }
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, "create_main_cluster = false\n"))
        .map_err(Failure::io(format!("write {}", file.display())))
}
