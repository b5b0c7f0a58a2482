//! Kill -9 while it works: nothing acknowledged is lost, nothing is half done.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod check;
mod child;

use archibald_sqlite::{SqliteOptions, SqliteStore};

use check::Acknowledged;
use child::Child;

const ROUNDS: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archibald.db");
    let mut acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let mut child = Child::start_round("work", &file, round);
        // A different moment each round.
        for _ in 0..(30 + round * 13) {
            acknowledged.hear(&child.line().expect("the child works until it is killed"));
        }
        child.kill().iter().for_each(|line| acknowledged.hear(line));
        let store = SqliteStore::open(&file, SqliteOptions::default()).await.unwrap();
        let lost = acknowledged.lost(&store).await;
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
        check::logs_are_whole(&store).await;
        store.close().await;
    }
    println!("{} kills, {} acknowledged, 0 lost", ROUNDS, acknowledged.len());
    assert!(acknowledged.len() > 3_000, "too few to mean anything: {}", acknowledged.len());
}

#[test]
fn the_child() {
    child::main();
}
