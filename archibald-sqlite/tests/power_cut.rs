//! The power is cut while the store works: nothing acknowledged is lost. And the disk fails otherwise.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod check;
mod child;
mod forgetful;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::id::AgentId;
use archibald_core::port::OperationStore;
use archibald_sqlite::{Durability, SqliteOptions, SqliteStore};

use check::{Acknowledged, Stage};
use child::{Child, enqueue, new_operation};
use forgetful::{Forgetful, Mounted, Trouble};

/// The file system in place, or nothing where this machine cannot have one; then the store still asserts at
/// every start that SQLite syncs each commit.
fn mounted(disk: &Forgetful) -> Option<Mounted> {
    match disk.mount() {
        Ok(mounted) => Some(mounted),
        Err(error) => {
            eprintln!("SKIPPED power cut: no file system of our own can be mounted here: {error}");
            None
        }
    }
}

/// Whether a byte that was not synced survives: half of them, the same ones in every run.
fn every_other(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 63 == 1
    }
}

/// Lets a child work until it has acknowledged so much, cuts the power, and hears what it said before.
fn work_until_the_power_is_cut(
    disk: &Forgetful,
    role: &str,
    round: u32,
    acknowledgements: usize,
    acknowledged: &mut Acknowledged,
) -> Option<()> {
    let mounted = mounted(disk)?;
    let mut child = Child::start_round(role, &mounted.path("archibald.db"), round);
    let enough = acknowledged.len() + acknowledgements;
    while acknowledged.len() < enough {
        acknowledged.hear(&child.line().expect("the child works until the power is cut"));
    }
    disk.trouble(Trouble::NoPower);
    child.kill().iter().for_each(|line| acknowledged.hear(line));
    Some(())
}

/// What is missing of what was acknowledged, on a copy of the disk.
async fn lost(disk: &Forgetful, acknowledged: &Acknowledged) -> Vec<(String, String, Stage)> {
    let folder = tempfile::tempdir().unwrap();
    disk.copy_to(folder.path());
    let path = folder.path().join("archibald.db");
    let store = SqliteStore::open(path, SqliteOptions::default()).await.expect("a whole file");
    check::logs_are_whole(&store).await;
    let lost = acknowledged.lost(&store).await;
    store.close().await;
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    const CUTS: u32 = 8;
    let disk = Forgetful::default();
    let mut acknowledged = Acknowledged::default();
    for round in 0..CUTS {
        // Every second round works through whole journals, the others enqueue as fast as they can.
        let (role, count) = if round % 2 == 0 { ("flood", 2_500) } else { ("work", 200) };
        let Some(()) = work_until_the_power_is_cut(&disk, role, round, count, &mut acknowledged) else {
            return;
        };
        // Some disks forget all that was not synced, some keep a part.
        let mut part = every_other(round.into());
        disk.power_up(|| round % 4 >= 2 && part());
        let lost = lost(&disk, &acknowledged).await;
        assert!(lost.is_empty(), "cut {round}: {} lost, such as {:?}", lost.len(), lost.first());
    }
    println!("{CUTS} cuts, {} acknowledged, 0 lost", acknowledged.len());
    assert!(acknowledged.len() >= 10_000, "too few to mean anything: {}", acknowledged.len());
}

/// The canary: with commits that are acknowledged before they are synced, the same must lose some. If it
/// does not, the test above proves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn without_syncs_the_same_loses_some() {
    let disk = Forgetful::default();
    let mut acknowledged = Acknowledged::default();
    let Some(()) = work_until_the_power_is_cut(&disk, "lazy", 0, 1_000, &mut acknowledged) else { return };
    disk.power_up(|| false);
    let lost = lost(&disk, &acknowledged).await;
    println!("canary: {} of {} lost", lost.len(), acknowledged.len());
    assert!(!lost.is_empty());
}

/// The file system itself: it keeps what was synced and forgets the rest.
#[test]
fn what_was_not_synced_is_forgotten() {
    let disk = Forgetful::default();
    let Some(folder) = mounted(&disk) else { return };
    let mut file = File::create_new(folder.path("file")).unwrap();
    file.write_all(b"synced").unwrap();
    file.sync_data().unwrap();
    assert_eq!(disk.syncs(), 1);
    file.write_all(b" and not").unwrap();
    file.write_all_at(b"S", 0).unwrap();
    assert_eq!(std::fs::read(folder.path("file")).unwrap(), b"Synced and not");
    disk.trouble(Trouble::NoPower);
    assert!(file.sync_data().is_err());
    drop((file, folder));
    disk.power_up(|| false);
    assert_eq!(content(&disk, "file"), b"synced");
}

/// A test that fails leaves files open; the folder goes all the same.
#[test]
fn a_folder_in_use_is_given_up_too() {
    let disk = Forgetful::default();
    let Some(folder) = mounted(&disk) else { return };
    let path = folder.path("");
    let file = File::create_new(folder.path("file")).unwrap();
    drop(folder);
    assert!(!path.exists(), "{}", path.display());
    drop(file);
}

fn content(disk: &Forgetful, name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    disk.copy_to(folder.path());
    std::fs::read(folder.path().join(name)).unwrap()
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).await.unwrap()
}

async fn refused(store: &SqliteStore, key: &str) -> String {
    match store.enqueue(new_operation("agent-0", key)).await {
        Err(EnqueueError::Store(StoreError::Unavailable { cause: Some(cause), .. })) => cause.to_string(),
        other => panic!("{other:?}"),
    }
}

/// A commit that is alone costs one sync.
#[tokio::test(flavor = "multi_thread")]
async fn every_commit_is_synced_before_it_is_acknowledged() {
    let disk = Forgetful::default();
    let Some(folder) = mounted(&disk) else { return };
    let store = open(&folder.path("archibald.db")).await;
    enqueue(&store, "agent-0", "first").await;
    let before = disk.syncs();
    for n in 0..10 {
        enqueue(&store, "agent-0", &format!("k{n}")).await;
    }
    assert_eq!(disk.syncs() - before, 10);
    store.close().await;
}

/// After a sync that failed nobody knows what is on disk: the store stops, and says so, until it is opened
/// anew. What it had acknowledged is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_stops_the_store() {
    let disk = Forgetful::default();
    let Some(folder) = mounted(&disk) else { return };
    let store = open(&folder.path("archibald.db")).await;
    enqueue(&store, "agent-0", "kept").await;
    disk.trouble(Trouble::SyncFails);
    let why = refused(&store, "unknown").await;
    assert!(why.contains("opened anew"), "{why}");
    disk.trouble(Trouble::None);
    assert_eq!(refused(&store, "late").await, why, "a sync that works again changes nothing");
    assert_eq!(store.failure(), Some(why));
    let waiting = store.waiting(&AgentId::new("agent-0").unwrap(), None, 10).await.expect("reading goes on");
    assert!(!waiting.is_empty());
    store.close().await;
    let store = open(&folder.path("archibald.db")).await;
    assert!(store.enqueue(new_operation("agent-0", "kept")).await.unwrap().replayed);
    assert!(!store.enqueue(new_operation("agent-0", "late")).await.unwrap().replayed);
    store.close().await;
}

/// A full disk refuses, keeps what it has, and works again when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_until_there_is_room() {
    let disk = Forgetful::default();
    let Some(folder) = mounted(&disk) else { return };
    let store = open(&folder.path("archibald.db")).await;
    enqueue(&store, "agent-0", "kept").await;
    disk.trouble(Trouble::Full);
    let why = refused(&store, "refused").await;
    assert!(why.contains("full"), "{why}");
    disk.trouble(Trouble::None);
    assert_eq!(store.failure(), None);
    assert!(store.enqueue(new_operation("agent-0", "kept")).await.unwrap().replayed);
    assert!(!store.enqueue(new_operation("agent-0", "refused")).await.unwrap().replayed);
    store.close().await;
}

#[tokio::test]
async fn the_canary_is_not_the_default() {
    assert_eq!(SqliteOptions::default().durability, Durability::Full);
}

#[test]
fn the_child() {
    child::main();
}
