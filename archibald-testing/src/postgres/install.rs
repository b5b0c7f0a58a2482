use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ClusterError;

/// Where Debian and its children keep one directory a major version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The programs of one PostgreSQL and who runs them.
#[derive(Debug, Clone)]
pub(super) struct Install {
    programs: PathBuf,
    account: Option<(u32, u32)>,
}

impl Install {
    /// What was asked for, else the newest under [`VERSIONS`], else what is in PATH.
    pub(super) fn find(programs: Option<&Path>) -> Result<Self, ClusterError> {
        let found = match programs {
            Some(given) => Some(given.to_owned()).filter(|given| has_server(given)),
            None => newest().or_else(in_path),
        };
        let looked =
            programs.map_or_else(|| format!("{VERSIONS}/*/bin"), |given| given.display().to_string());
        let programs = found.ok_or(ClusterError::NotInstalled { looked })?;
        Ok(Self { programs, account: account()? })
    }

    /// One of its programs, run in nobody's environment: no `PGHOST` and the like.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = self.as_account(&self.programs.join(program));
        command.env_clear().env("LC_ALL", "C").env("PATH", env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Any program, run by whoever runs the server.
    pub(super) fn as_account(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    pub(super) fn program(&self, program: &str) -> PathBuf {
        self.programs.join(program)
    }

    pub(super) fn account(&self) -> Option<(u32, u32)> {
        self.account
    }

    pub(super) fn runs_as_another(&self) -> bool {
        self.account.is_some()
    }
}

/// Runs it to its end and returns what it printed.
pub(super) fn run(command: &mut Command) -> Result<String, ClusterError> {
    let program =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let what = |what: &str| format!("{what} {program}");
    let output = command.output().map_err(|cause| ClusterError::Io { what: what("starting"), cause })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    Err(ClusterError::Program { program, output: String::from_utf8_lossy(&said).trim().to_owned() })
}

fn has_server(directory: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres", "psql"].iter().all(|program| directory.join(program).is_file())
}

fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
        Some((version, path.join("bin")))
    });
    versions.filter(|(_, programs)| has_server(programs)).max().map(|(_, programs)| programs)
}

fn in_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).find(|directory| has_server(directory))
}

/// Who runs the server where we may not: `None` for anybody but root.
fn account() -> Result<Option<(u32, u32)>, ClusterError> {
    let us = fs::metadata("/proc/self").map(|us| us.uid()).ok();
    if us.unwrap_or_else(|| id("-u", None).unwrap_or(u32::MAX)) != 0 {
        return Ok(None);
    }
    let of = |name| Some((id("-u", Some(name))?, id("-g", Some(name))?));
    of("postgres").or_else(|| of("nobody")).map(Some).ok_or(ClusterError::NoAccount)
}

fn id(which: &str, name: Option<&str>) -> Option<u32> {
    let output = Command::new("id").arg(which).args(name).stderr(Stdio::null()).output().ok()?;
    output.status.success().then_some(())?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
