//! Opening: whose file it is, whether it can be trusted, and what the last process left.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use archibald_core::error::{Cause, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::code::is_damage;
use crate::hub::Hub;
use crate::place::{Place, PlaceFile};
use crate::read::Reader;
use crate::readers::Readers;
use crate::sql;
use crate::store::{Durability, SqliteOptions, SqliteStore};
use crate::tx::Tx;
use crate::writer::{Owned, Writer};

/// Why the file could not be opened as a store. Nothing of it was changed, unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path is not that of a file.
    #[error("{} is not a file; give the path of the database file itself", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file, or one beside it, can be neither made nor written.
    #[error("{} cannot be opened for writing", path.display())]
    NotWritable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Another process, or another store of this one, has it.
    #[error(
        "{} is in use by another process, which holds {}; an SQLite store is for one process, \
         many processes need PostgreSQL", path.display(), lock.display()
    )]
    InUse {
        /// The database.
        path: PathBuf,
        /// The lock file that the other holds.
        lock: PathBuf,
    },
    /// It is not a store of ours.
    #[error("{} is {what}, not a store of Archibald", path.display())]
    Foreign {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// It was written by a newer version of this crate.
    #[error("{} has schema {found}, and this version knows none after {known}", path.display())]
    Newer {
        /// The path.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest one that is known here.
        known: i64,
    },
    /// Its content is damaged: restore a backup.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The path.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// It would not keep what it acknowledges, as on some network file systems.
    #[error("{} cannot be used safely: {setting} is {found}, not {wanted}", path.display())]
    NotDurable {
        /// The path.
        path: PathBuf,
        /// Which setting of SQLite.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// SQLite failed otherwise.
    #[error("{} could not be opened", path.display())]
    Sqlite {
        /// The path.
        path: PathBuf,
        /// What it said.
        #[source]
        cause: Cause,
    },
    /// The system has no thread for it.
    #[error("no thread could be started for {}", path.display())]
    NoThread {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// What the last process left could not be recovered.
    #[error("{} could not be recovered", path.display())]
    Recovery {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        cause: StoreError,
    },
}

/// Held as long as the database is open: nobody else may open it.
pub(crate) struct FileLock {
    _file: File,
}

/// Statements of a connection that are kept prepared: all that there are.
const STATEMENTS: usize = 100;
/// Pages that the writer keeps in memory at most; those that many agents' operations are found by are among them.
const WRITER_CACHE_KIB: i64 = 32 * 1024;
/// Pages in the log after which they are moved into the database: what changed often meanwhile is moved once.
/// More than 4,000 would take readers a second look-up for each page.
const CHECKPOINT_PAGES: i64 = 4_000;
/// How long a connection waits for another that stands in its way, as while the log begins anew.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn open(path: PathBuf, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
    let at = path.clone();
    let opened = tokio::task::spawn_blocking(move || open_blocking(&path, options)).await;
    opened.unwrap_or_else(|error| Err(OpenError::NoThread { path: at, cause: io::Error::other(error) }))
}

fn open_blocking(path: &Path, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
    let lock = take_lock(path)?;
    check_header(path)?;
    let mut conn = connect_to_write(path, options.durability).map_err(|error| sqlite(path, error))?;
    prepare(&mut conn, path, &options)?;
    let hub = Arc::new(Hub::default());
    let (tx, place) = recover(conn, path, &options)?;
    let readers = (0..options.readers.max(1)).map(|_| connect_to_read(path)).collect::<Result<Vec<_>, _>>();
    let readers = readers.map_err(|error| sqlite(path, error))?;
    let no_thread = |cause| OpenError::NoThread { path: path.to_owned(), cause };
    let reader = Reader::new(Readers::start(readers).map_err(no_thread)?, options.clock.clone());
    let owned = Owned { tx, clock: options.clock, hub: hub.clone(), place, lock };
    Ok(SqliteStore { writer: Writer::start(owned).map_err(no_thread)?, reader, hub })
}

fn take_lock(path: &Path) -> Result<FileLock, OpenError> {
    if path.is_dir() {
        return Err(OpenError::NotAFile { path: path.to_owned() });
    }
    let lock = beside(path, ".lock");
    let file = open_private(&lock)?;
    match file.try_lock() {
        Ok(()) => Ok(FileLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned(), lock }),
        Err(TryLockError::Error(cause)) => Err(OpenError::NotWritable { path: lock, cause }),
    }
}

/// Makes the file where there is none, readable by its owner alone; SQLite gives `-wal` and `-shm` the same.
fn check_header(path: &Path) -> Result<(), OpenError> {
    let mut file = open_private(path)?;
    let mut header = Vec::new();
    let read = (&mut file).take(16).read_to_end(&mut header);
    read.map_err(|cause| OpenError::NotWritable { path: path.to_owned(), cause })?;
    if header.is_empty() || header == *b"SQLite format 3\0" {
        return Ok(());
    }
    Err(OpenError::Foreign { path: path.to_owned(), what: "no SQLite database" })
}

fn open_private(path: &Path) -> Result<File, OpenError> {
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map_err(|cause| OpenError::NotWritable { path: path.to_owned(), cause })
}

fn connect_to_write(path: &Path, durability: Durability) -> Result<Connection, rusqlite::Error> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::ProcessCrash => "NORMAL",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    // What a savepoint would have to undo is kept in memory: it is a few pages.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(conn)
}

fn connect_to_read(path: &Path) -> Result<Connection, rusqlite::Error> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// One thread at a time has a connection, so SQLite need not lock it.
fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(PATIENCE)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise statements are prepared anew for each value, in case it would make another plan better.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(conn)
}

/// Asks whether it is ours and whole, sets it up or brings it up to date, and asserts that it will keep what
/// it acknowledges.
fn prepare(conn: &mut Connection, path: &Path, options: &SqliteOptions) -> Result<(), OpenError> {
    let version = check_owner(conn, path)?;
    if options.verify {
        let verdict: String = ask(conn, path, "PRAGMA quick_check(1)")?;
        if verdict != "ok" {
            return Err(OpenError::Damaged { path: path.to_owned(), what: verdict });
        }
    }
    let mode: String = ask(conn, path, "PRAGMA journal_mode = WAL")?;
    assert_setting(path, "journal_mode", mode, "wal")?;
    let wanted = match options.durability {
        Durability::Full => "2",
        Durability::ProcessCrash => "1",
    };
    let synchronous: i64 = ask(conn, path, "PRAGMA synchronous")?;
    assert_setting(path, "synchronous", synchronous.to_string(), wanted)?;
    migrate(conn, path, version)
}

/// The version of its schema; 0 where there is none yet.
fn check_owner(conn: &Connection, path: &Path) -> Result<i64, OpenError> {
    let (path_owned, known) = (path.to_owned(), sql::MIGRATIONS.len() as i64);
    let tables: i64 = ask(conn, path, sql::TABLES)?;
    let application: i64 = ask(conn, path, "PRAGMA application_id")?;
    let version: i64 = ask(conn, path, "PRAGMA user_version")?;
    if tables == 0 && application == 0 && version == 0 {
        return Ok(0);
    }
    if application != sql::APPLICATION_ID {
        return Err(OpenError::Foreign { path: path_owned, what: "an SQLite database of another program" });
    }
    if version > known {
        return Err(OpenError::Newer { path: path_owned, found: version, known });
    }
    Ok(version)
}

fn migrate(conn: &mut Connection, path: &Path, version: i64) -> Result<(), OpenError> {
    let done = usize::try_from(version).unwrap_or(0);
    for script in sql::MIGRATIONS.iter().skip(done) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate);
        let tx = tx.map_err(|error| sqlite(path, error))?;
        tx.execute_batch(script).map_err(|error| sqlite(path, error))?;
        tx.commit().map_err(|error| sqlite(path, error))?;
    }
    Ok(())
}

/// Voids the leases of the last boot, keeps their journals, and begins a new epoch where history was lost.
fn recover(conn: Connection, path: &Path, options: &SqliteOptions) -> Result<(Tx, PlaceFile), OpenError> {
    let recovery = |cause| OpenError::Recovery { path: path.to_owned(), cause };
    let head = beside(path, ".head");
    let unreadable = |cause| OpenError::NotWritable { path: head.clone(), cause };
    let mut file = open_private(&head)?;
    let noted = PlaceFile::read(&mut file).map_err(unreadable)?;
    let mut tx = Tx::new(conn, options.clock.now());
    let place = recovered(&mut tx, noted).map_err(recovery)?;
    Ok((tx, PlaceFile::start(file, place).map_err(unreadable)?))
}

fn recovered(tx: &mut Tx, noted: Option<Place>) -> Result<Place, StoreError> {
    tx.statement(sql::BEGIN)?;
    tx.load_last_position()?;
    // Before anything is written: what recovery adds must not make up for what is missing.
    let before = tx.place()?;
    if before.is_none_or(|place| place.is_behind(noted)) {
        if before.is_some() {
            tracing::warn!("the database is older than the log that was served from it: new epoch");
        }
        tx.new_epoch()?;
    }
    for (agent, operation) in tx.leases_over(i64::MAX)? {
        tracing::info!(%agent, %operation, "the last process ended while this ran");
        tx.expire(&agent, operation)?;
    }
    tx.write_events()?;
    let after = tx.place()?;
    tx.statement(sql::COMMIT)?;
    tx.take_effects();
    after.ok_or_else(|| StoreError::Damaged { what: "the file has no epoch".to_owned(), cause: None })
}

fn ask<T: FromSql>(conn: &Connection, path: &Path, question: &'static str) -> Result<T, OpenError> {
    conn.query_row(question, [], |row| row.get(0)).map_err(|error| sqlite(path, error))
}

fn assert_setting(
    path: &Path,
    setting: &'static str,
    found: String,
    wanted: &'static str,
) -> Result<(), OpenError> {
    if found == wanted {
        return Ok(());
    }
    Err(OpenError::NotDurable { path: path.to_owned(), setting, found, wanted })
}

fn sqlite(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    if is_damage(&error) {
        return OpenError::Damaged { path, what: error.to_string() };
    }
    OpenError::Sqlite { path, cause: error.into() }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}
