//! What the machine must have, and how it gets it: found, else installed where that is allowed, else named.

mod apt;
mod machine;

use std::path::PathBuf;

pub(crate) use self::machine::Machine;

use crate::failure::Failure;

/// Something from outside this repository that building or running it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// For the SQLite that is built in.
    CCompiler,
    /// Drives the ERP; the headless shell is the lighter of the two and enough.
    Chromium,
    /// Its programs: tests and demo run private clusters.
    Postgres,
    /// The tests put it before a cluster of theirs.
    PgBouncer,
}

/// Makes sure of all of them.
///
/// # Errors
/// [`Failure::Missing`] says what to install, or what stood in the way of installing it.
pub(crate) fn ensure(needs: &[Need]) -> Result<(), Failure> {
    ensure_on(&Machine::this(), needs)
}

fn ensure_on(machine: &Machine, needs: &[Need]) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for need in needs {
        if need.find(machine)?.is_none() {
            missing.push(*need);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    match machine.installer() {
        Some(apt) => install(machine, &apt, &missing),
        None => Err(Failure::Missing(missing.iter().map(Need::advice).collect::<Vec<_>>().join("\n       "))),
    }
}

fn install(machine: &Machine, apt: &apt::Apt, missing: &[Need]) -> Result<(), Failure> {
    apt.update()?;
    for need in missing {
        if *need == Need::Postgres {
            apt::want_no_system_cluster(machine)?;
        }
        apt.install_one_of(need.packages())?;
        if need.find(machine)?.is_none() {
            let advice = need.advice();
            return Err(Failure::Missing(format!("{advice} (apt-get installed it, yet it is not found)")));
        }
    }
    Ok(())
}

impl Need {
    /// The program that shows that it is there.
    fn find(self, machine: &Machine) -> Result<Option<PathBuf>, Failure> {
        match self {
            Self::CCompiler => Ok(machine.program(&["cc"])),
            Self::Chromium => machine.chromium(),
            Self::Postgres => Ok(machine.postgres()),
            Self::PgBouncer => Ok(machine.service("pgbouncer")),
        }
    }

    /// Debian's packages: the first choice that can be installed is enough.
    fn packages(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::CCompiler => &[&["gcc", "libc6-dev"]],
            Self::Chromium => {
                &[&["chromium-headless-shell", "chromium-sandbox"], &["chromium", "chromium-sandbox"]]
            }
            Self::Postgres => &[&["postgresql"]],
            Self::PgBouncer => &[&["pgbouncer"]],
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::CCompiler => {
                "a C compiler (`cc`) is missing, which the SQLite that is built in needs: \
                 install the packages `gcc` and `libc6-dev`"
            }
            Self::Chromium => {
                "Chromium is missing: install the packages `chromium-headless-shell` (or `chromium`) and \
                 `chromium-sandbox`, or set CHROME to the program"
            }
            Self::Postgres => {
                "PostgreSQL's programs are missing (no `initdb` under /usr/lib/postgresql or in PATH): \
                 install the package `postgresql`"
            }
            Self::PgBouncer => {
                "PgBouncer is missing (no `pgbouncer` in PATH or /usr/sbin): install the package `pgbouncer`"
            }
        }
    }
}

#[cfg(test)]
mod tests;
