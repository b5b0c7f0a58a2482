//! What a store says when it cannot be opened, and what it finds when it can.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod child;
mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use archibald_core::event::Cursor;
use archibald_core::id::AgentId;
use archibald_core::port::{AgentStore, EventBus, EventRead, OperationStore, PendingOrderStore, ResetReason};
use archibald_sqlite::{OpenError, SqliteOptions, SqliteStore};
use archibald_testing::conformance::StoreUnderTest;
use rusqlite::Connection;

use child::{Child, enqueue};
use common::{OnDisk, fresh};

async fn refused(path: &Path) -> OpenError {
    match SqliteStore::open(path, SqliteOptions::default()).await {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(&*path.to_string_lossy()), "it names the file: {text}");
            error
        }
    }
}

fn run(path: &Path, script: &str) {
    Connection::open(path).unwrap().execute_batch(script).unwrap();
}

#[tokio::test]
async fn a_folder_and_a_missing_folder() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(refused(folder.path()).await, OpenError::NotAFile { .. }));
    let nowhere = folder.path().join("no such folder/archibald.db");
    let error = refused(&nowhere).await;
    let OpenError::NotWritable { cause, .. } = error else { panic!("{error}") };
    assert_eq!(cause.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    // Permissions do not bind root; the process folder takes no files of anybody.
    let root = folder.path().metadata().unwrap().uid() == 0;
    let path = if root { Path::new("/proc/self").into() } else { folder.path().to_owned() };
    assert!(matches!(refused(&path.join("archibald.db")).await, OpenError::NotWritable { .. }));
}

#[tokio::test]
async fn files_of_others_are_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "dear diary").unwrap();
    assert!(matches!(refused(&text).await, OpenError::Foreign { .. }));
    assert_eq!(fs::read(&text).unwrap(), b"dear diary");

    let foreign = folder.path().join("photos.db");
    run(&foreign, "CREATE TABLE photos (name TEXT)");
    let before = fs::read(&foreign).unwrap();
    assert!(matches!(refused(&foreign).await, OpenError::Foreign { .. }));
    assert_eq!(fs::read(&foreign).unwrap(), before);
}

#[tokio::test]
async fn a_newer_schema() {
    let mut disk = fresh().await;
    disk.finish().await;
    run(&disk.path(), "PRAGMA user_version = 99");
    let error = refused(&disk.path()).await;
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn a_schema_of_before_is_brought_up_to_date() {
    let mut disk = fresh().await;
    enqueue(&disk.store, "nancy", "before").await;
    disk.finish().await;
    run(&disk.path(), "DROP TABLE pending_orders; DROP TABLE kept_agents; PRAGMA user_version = 5");
    disk.reopen().await;
    let nancy = AgentId::new("nancy").unwrap();
    assert_eq!(disk.store.waiting(&nancy, None, 10).await.unwrap().len(), 1);
    assert_eq!(disk.store.page(&nancy, None, 10).await.unwrap().orders, []);
    assert_eq!(disk.store.kept_agents("", 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_damaged_file() {
    let mut disk = fresh().await;
    for n in 0..200 {
        enqueue(&disk.store, "nancy", &format!("k{n}")).await;
    }
    disk.finish().await;
    let whole = fs::read(disk.path()).unwrap();
    let mut torn = whole.clone();
    torn[8192..whole.len() / 2].fill(0xA5);
    fs::write(disk.path(), &torn).unwrap();
    let error = refused(&disk.path()).await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    fs::write(disk.path(), &whole[..whole.len() / 2]).unwrap();
    let error = refused(&disk.path()).await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    fs::write(disk.path(), &whole).unwrap();
    disk.reopen().await;
}

#[tokio::test]
async fn a_second_process_is_refused_and_told_what_to_do() {
    let disk = fresh().await;
    let said = Child::start("open", &disk.path()).output();
    assert!(said.contains("refused: "), "{said}");
    for part in [&*disk.path().to_string_lossy(), "archibald.db.lock", "PostgreSQL"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let here = refused(&disk.path()).await;
    assert!(matches!(here, OpenError::InUse { .. }), "nor by this process: {here}");
    disk.store.close().await;
    let said = Child::start("open", &disk.path()).output();
    assert!(said.contains("opened"), "{said}");
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let disk = fresh().await;
    enqueue(&disk.store, "nancy", "k").await;
    let files: Vec<_> = fs::read_dir(disk.folder.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 5, "database, -wal, -shm, .lock and .head: {files:?}");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn calls_after_the_end_are_refused() {
    let disk = fresh().await;
    let nancy = AgentId::new("nancy").unwrap();
    let mut wakes = disk.store.subscribe(&nancy);
    disk.store.close().await;
    disk.store.close().await;
    assert!(disk.store.pause(&nancy.into(), "late", false).await.is_err());
    assert!(disk.store.paused().await.is_err());
    assert!(wakes.changed().await.is_err());
}

/// The store's threads are its own: what was handed over is done though the runtime of the caller has ended,
/// and the file is let go of when the store is dropped.
#[test]
fn a_runtime_that_ends_takes_nothing_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archibald.db");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let store = first.block_on(SqliteStore::open(&path, SqliteOptions::default())).unwrap();
    first.block_on(async {
        let mut call = store.enqueue(child::new_operation("nancy", "handed over"));
        assert!(futures::poll!(&mut call).is_pending(), "one poll hands the request over");
    });
    drop(first);
    let second = runtime();
    second.block_on(async {
        assert!(store.enqueue(child::new_operation("nancy", "handed over")).await.unwrap().replayed);
        drop(store);
        let mut opened = SqliteStore::open(&path, SqliteOptions::default()).await;
        while matches!(opened, Err(OpenError::InUse { .. })) {
            tokio::task::yield_now().await;
            opened = SqliteStore::open(&path, SqliteOptions::default()).await;
        }
        opened.unwrap().close().await;
    });
}

/// Puts a backup in the place of the database, as a person does.
async fn restore(disk: &mut OnDisk, backup: &[u8]) {
    disk.store.close().await;
    fs::write(disk.path(), backup).unwrap();
    disk.reopen().await;
}

#[tokio::test]
async fn a_backup_is_whole_private_and_never_written_over_a_file() {
    let disk = fresh().await;
    let id = enqueue(&disk.store, "nancy", "kept").await;
    let path = disk.folder.path().join("backup.db");
    disk.store.backup(&path).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&path).unwrap();
    let again = disk.store.backup(&path).await.unwrap_err();
    assert!(again.to_string().contains("backup.db"), "{again}");
    assert_eq!(fs::read(&path).unwrap(), before);

    let restored = SqliteStore::open(&path, SqliteOptions::default()).await.unwrap();
    let nancy = AgentId::new("nancy").unwrap();
    assert!(restored.get(&nancy, id).await.unwrap().is_some());
    restored.close().await;
}

#[tokio::test]
async fn a_restored_backup_begins_a_new_epoch_and_the_same_file_does_not() {
    let nancy = AgentId::new("nancy").unwrap();
    let mut disk = fresh().await;
    enqueue(&disk.store, "nancy", "kept").await;
    let epoch = disk.store.head(&nancy).await.unwrap().epoch;
    disk.reopen().await;
    assert_eq!(disk.store.head(&nancy).await.unwrap().epoch, epoch, "nothing is missing");
    let copy = disk.folder.path().join("copy.db");
    disk.store.backup(&copy).await.unwrap();
    let old = fs::read(&copy).unwrap();

    enqueue(&disk.store, "nancy", "lost").await;
    let device = Cursor { epoch, seq: disk.store.head(&nancy).await.unwrap().head };
    restore(&mut disk, &old).await;
    // What the device had not seen yet is written anew, so that the number alone would look right.
    enqueue(&disk.store, "nancy", "other").await;
    let read = disk.store.read(&nancy, device, 10).await.unwrap();
    assert_eq!(read, EventRead::Reset(ResetReason::Epoch));
    let shown = disk.store.snapshot(&nancy, 10).await.unwrap();
    assert_eq!(shown.operations.len(), 2);
}

/// Recovery writes events of its own: they must not make up for those that are missing.
#[tokio::test]
async fn a_restored_backup_with_work_in_hand_begins_a_new_epoch_too() {
    let nancy = AgentId::new("nancy").unwrap();
    let mut disk = fresh().await;
    let ports = disk.ports();
    let id = enqueue(&disk.store, "nancy", "k").await;
    let request = child::lease_request("nancy", id);
    let leased = ports.lock.lease(&request).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    disk.store.backup(&copy).await.unwrap();
    let old = fs::read(&copy).unwrap();
    ports.lock.hand_back(&leased.lease).await.unwrap();
    let epoch = ports.bus.head(&nancy).await.unwrap().epoch;
    restore(&mut disk, &old).await;
    assert_ne!(disk.store.head(&nancy).await.unwrap().epoch, epoch);
}

#[tokio::test]
async fn a_database_without_its_note_begins_a_new_epoch() {
    let nancy = AgentId::new("nancy").unwrap();
    let mut disk = fresh().await;
    enqueue(&disk.store, "nancy", "k").await;
    let epoch = disk.store.head(&nancy).await.unwrap().epoch;
    disk.store.close().await;
    fs::remove_file(disk.folder.path().join("archibald.db.head")).unwrap();
    disk.reopen().await;
    assert_ne!(disk.store.head(&nancy).await.unwrap().epoch, epoch);
}

#[test]
fn the_child() {
    child::main();
}
