use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

use super::install::Install;
use super::{ClusterError, percent_encode};

/// How long it may take to come up on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Ends with the other end of its input, however that is closed.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
"$1" -q "$2" &
while read -r _; do :; done
kill -9 $!
wait
"#;

/// A PgBouncer before a cluster: it lends each client a connection for one transaction. It ends when the value is
/// dropped, and also with its process; its files go with the cluster.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    port: u16,
    directory: PathBuf,
}

impl Pooler {
    pub(super) fn start(
        install: &Install,
        directory: &Path,
        port: u16,
        connections: u32,
    ) -> Result<Self, ClusterError> {
        let program = find().ok_or(ClusterError::NoPooler)?;
        let failed = |what: &str| {
            let what = format!("{what} pgbouncer");
            move |cause| ClusterError::Io { what, cause }
        };
        let (file, log) = (directory.join(format!("{port}.ini")), directory.join(format!("{port}.log")));
        fs::write(&file, configuration(directory, port, connections)).map_err(failed("configuring"))?;
        let out = fs::File::create(&log).map_err(failed("writing the log of"))?;
        let mut shell = install.as_account(Path::new("sh"));
        shell.args(["-c", SCRIPT, "sh"]).arg(program).arg(&file);
        let err = out.try_clone().map_err(failed("writing the log of"))?;
        let process = shell.stdin(Stdio::piped()).stdout(out).stderr(err).spawn();
        let process = process.map_err(failed("starting"))?;
        let mut pooler = Self { process, port, directory: directory.to_owned() };
        pooler.wait_until_ready().map_err(|cause| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            ClusterError::Program { program: "pgbouncer".into(), output: format!("{cause}: {}", said.trim()) }
        })?;
        Ok(pooler)
    }

    /// A URL of a database of the cluster, by way of this.
    #[must_use]
    pub fn database_url(&self, name: &str) -> String {
        let host = percent_encode(&self.directory.to_string_lossy());
        format!("postgres://postgres@localhost:{}/{name}?host={host}", self.port)
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let socket = self.directory.join(format!(".s.PGSQL.{}", self.port));
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match UnixStream::connect(&socket) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

/// In PATH, or where Debian has it, which is not in everybody's.
fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
}

fn configuration(directory: &Path, port: u16, connections: u32) -> String {
    let directory = directory.display();
    format!(
        "[databases]\n* = host={directory} user=postgres\n\n[pgbouncer]\npool_mode = transaction\n\
         default_pool_size = {connections}\nmax_client_conn = 1000\nauth_type = any\nlisten_port = {port}\n\
         unix_socket_dir = {directory}\n"
    )
}
