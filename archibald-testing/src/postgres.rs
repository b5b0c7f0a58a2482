//! A private PostgreSQL for tests, benches and the demo.
//!
//! [`Cluster::start`] makes a cluster in a directory of its own, reached by a Unix socket alone, so that it
//! meets neither the system's server nor another cluster. It is stopped and removed when the value is
//! dropped, and also when its process ends without dropping it: by `exit`, from a `static`, or by kill -9.

mod guard;
mod install;
mod pooler;
mod server;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use self::guard::Guard;
use self::install::{Install, run};
pub use self::pooler::Pooler;
use self::server::Server;

/// Why there is no cluster, or why it did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// PostgreSQL is not installed here.
    #[error(
        "no PostgreSQL server was found: initdb is neither in {looked} nor in PATH; \
         install one, on Debian with `apt-get install --no-install-recommends postgresql`"
    )]
    NotInstalled {
        /// Where it was looked for.
        looked: String,
    },
    /// PgBouncer is not installed here.
    #[error(
        "no pgbouncer was found, neither in PATH nor in /usr/sbin; \
         install one, on Debian with `apt-get install --no-install-recommends pgbouncer`"
    )]
    NoPooler,
    /// PostgreSQL refuses to run as root and there is nobody else to run it.
    #[error("PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody")]
    NoAccount,
    /// A name that is not taken for a database.
    #[error("a database's name must be 1 to 63 characters of a-z, 0-9 and '_', got {0:?}")]
    BadName(String),
    /// The file system or the start of a program failed.
    #[error("{what} failed")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// A program of PostgreSQL said no.
    #[error("{program} failed: {output}")]
    Program {
        /// Which.
        program: String,
        /// What it printed, and for the server the end of its log.
        output: String,
    },
}

/// What a cluster is to be like.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Whether what is committed is on disk (default). Off is faster, and loses everything with the power.
    pub fsync: bool,
    /// Connections that the server takes.
    pub max_connections: u32,
    /// Further settings, as in `postgresql.conf`; they win over those above.
    pub settings: Vec<(String, String)>,
    /// Where `initdb`, `pg_ctl` and `psql` are, instead of the newest that is installed.
    pub programs: Option<PathBuf>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { fsync: true, max_connections: 200, settings: vec![], programs: None }
    }
}

/// A running private cluster. Its calls block; from async code use `spawn_blocking`, or do not care in tests.
#[derive(Debug)]
pub struct Cluster {
    install: Install,
    directory: PathBuf,
    server: Mutex<Option<Server>>,
    guard: Guard,
}

impl Cluster {
    /// Makes and starts a cluster; takes a second or two.
    ///
    /// # Errors
    /// [`ClusterError`]; nothing is left behind.
    pub fn start(options: &ClusterOptions) -> Result<Self, ClusterError> {
        let install = Install::find(options.programs.as_deref())?;
        let directory = make_directory(&install)?;
        let guard = match Guard::start(&install, &directory) {
            Ok(guard) => guard,
            Err(error) => {
                fs::remove_dir_all(&directory).ok();
                return Err(error);
            }
        };
        let cluster = Self { install, directory, server: Mutex::default(), guard };
        cluster.init(options)?;
        cluster.restart()?;
        Ok(cluster)
    }

    /// A URL of the database `postgres`, as a user who may do anything.
    #[must_use]
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// A URL of any database of this cluster.
    #[must_use]
    pub fn database_url(&self, name: &str) -> String {
        let host = percent_encode(&self.directory.to_string_lossy());
        format!("postgres://postgres@localhost/{name}?host={host}")
    }

    /// Makes an empty database and returns its URL.
    ///
    /// # Errors
    /// [`ClusterError`]; also where it exists already.
    pub fn create_database(&self, name: &str) -> Result<String, ClusterError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || name.len() > 63 || !name.chars().all(allowed) {
            return Err(ClusterError::BadName(name.to_owned()));
        }
        self.sql("postgres", &format!("create database \"{name}\""))?;
        Ok(self.database_url(name))
    }

    /// Starts a PgBouncer before this cluster that lends a connection for one transaction, and has so many for each
    /// database. `port` names its socket: 1 to 65535, but 5432, and another one for each.
    ///
    /// # Errors
    /// [`ClusterError`]; nothing is left running.
    pub fn pooler(&self, port: u16, connections: u32) -> Result<Pooler, ClusterError> {
        Pooler::start(&self.install, &self.directory, port, connections)
    }

    /// Runs one statement by `psql` and returns what it prints: unaligned, a row a line, `|` between.
    ///
    /// # Errors
    /// [`ClusterError::Program`] with the server's words.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String, ClusterError> {
        let mut psql = self.install.command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]);
        run(psql.arg(&self.directory).args(["-d", database, "-c", statement]))
    }

    /// Restarts the server as after a crash: no checkpoint, all connections cut. Starts one that is down.
    ///
    /// # Errors
    /// [`ClusterError::Program`] with the end of the server's log.
    pub fn restart(&self) -> Result<(), ClusterError> {
        self.stop()?;
        *self.server() = Some(Server::start(&self.install, &self.directory)?);
        Ok(())
    }

    /// Ends the server as after a crash and leaves it down, until [`Cluster::restart`].
    ///
    /// # Errors
    /// [`ClusterError`] where it could not be told to.
    pub fn stop(&self) -> Result<(), ClusterError> {
        self.server().take().map_or(Ok(()), |mut server| server.stop())
    }

    /// Kills the postmaster with signal 9 and leaves the server down, until [`Cluster::restart`].
    ///
    /// # Errors
    /// [`ClusterError`] where it could not be killed.
    pub fn kill(&self) -> Result<(), ClusterError> {
        self.server().take().map_or(Ok(()), |mut server| server.kill())
    }

    /// The process id of the postmaster; `None` while the server is down.
    #[must_use]
    pub fn postmaster(&self) -> Option<u32> {
        self.server().as_ref().map(Server::pid)
    }

    /// Where everything of it is; gone once the cluster is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn init(&self, options: &ClusterOptions) -> Result<(), ClusterError> {
        let mut initdb = self.install.command("initdb");
        initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]);
        run(initdb.arg(self.directory.join("data")))?;
        let file = self.directory.join("data").join("postgresql.conf");
        let write = fs::read_to_string(&file)
            .and_then(|given| fs::write(&file, given + &configuration(options, &self.directory)));
        write.map_err(|cause| ClusterError::Io { what: format!("writing {}", file.display()), cause })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop().ok();
        self.guard.finish();
        // Already gone, unless somebody ended the guard.
        fs::remove_dir_all(&self.directory).ok();
    }
}

/// Made for us alone; its path is short, because a socket's may have but a hundred bytes.
fn make_directory(install: &Install) -> Result<PathBuf, ClusterError> {
    let parent = std::env::temp_dir();
    // Another account can neither enter root's private directories nor remove its own from them.
    let parent =
        if install.runs_as_another() || parent.as_os_str().len() > 40 { "/tmp".into() } else { parent };
    let directory = parent.join(format!("archibald-pg-{}", Uuid::now_v7().simple()));
    let made = fs::DirBuilder::new().mode(0o700).create(&directory).and_then(|()| match install.account() {
        Some((user, group)) => chown(&directory, Some(user), Some(group)),
        None => Ok(()),
    });
    let what = format!("making {}", directory.display());
    made.map(|()| directory).map_err(|cause| ClusterError::Io { what, cause })
}

fn configuration(options: &ClusterOptions, directory: &Path) -> String {
    let on_off = if options.fsync { "on" } else { "off" };
    let fixed = [
        ("listen_addresses", String::new()),
        ("unix_socket_directories", directory.to_string_lossy().into_owned()),
        ("max_connections", options.max_connections.to_string()),
        ("shared_buffers", "32MB".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("fsync", on_off.to_owned()),
        ("full_page_writes", on_off.to_owned()),
    ];
    let given = options.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let line = |(name, value): (&str, String)| format!("\n{name} = '{}'", value.replace('\'', "''"));
    fixed.into_iter().chain(given).map(line).collect::<String>() + "\n"
}

fn percent_encode(path: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(byte);
    path.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
