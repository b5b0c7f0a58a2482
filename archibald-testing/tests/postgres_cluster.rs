//! The private PostgreSQL: it starts, survives what tests do to it, and never stays behind.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use archibald_testing::postgres::{Cluster, ClusterError, ClusterOptions};

/// Set for the copy of this test that plays the process which is killed.
const VICTIM: &str = "ARCHIBALD_CLUSTER_VICTIM";

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the process exists and is not merely waiting to be buried.
fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
}

#[test]
fn serves_on_a_socket_alone_and_leaves_nothing_behind() {
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    assert_eq!(cluster.sql("postgres", "show listen_addresses").unwrap(), "");
    assert_eq!(cluster.sql("postgres", "show fsync").unwrap(), "on");
    let url = cluster.create_database("orders_1").unwrap();
    assert!(url.starts_with("postgres://postgres@localhost/orders_1?host=/"), "{url}");
    assert_eq!(cluster.sql("orders_1", "select 1 + 1").unwrap(), "2");

    let (pid, directory) = (cluster.postmaster().unwrap(), cluster.directory().to_owned());
    drop(cluster);
    assert!(!is_alive(pid));
    assert!(!directory.exists());
}

#[test]
fn keeps_its_data_over_kill_and_restart() {
    let options = ClusterOptions { settings: vec![("work_mem".into(), "5MB".into())], ..Default::default() };
    let cluster = Cluster::start(&options).unwrap();
    assert_eq!(cluster.sql("postgres", "show work_mem").unwrap(), "5MB");
    cluster.sql("postgres", "create table kept as select 7 as n").unwrap();
    let first = cluster.postmaster().unwrap();
    cluster.kill().unwrap();
    cluster.restart().unwrap();
    assert_ne!(cluster.postmaster().unwrap(), first);
    assert_eq!(cluster.sql("postgres", "select n from kept").unwrap(), "7");
    cluster.stop().unwrap();
    assert!(matches!(cluster.sql("postgres", "select 1"), Err(ClusterError::Program { .. })));
    cluster.restart().unwrap();
    assert_eq!(cluster.sql("postgres", "select n from kept").unwrap(), "7");
}

#[test]
fn says_what_to_install_and_what_was_wrong() {
    let options = ClusterOptions { programs: Some("/nonexistent".into()), ..Default::default() };
    let error = Cluster::start(&options).unwrap_err().to_string();
    assert!(error.contains("/nonexistent") && error.contains("apt-get install"), "{error}");

    let options = ClusterOptions { settings: vec![("no_such".into(), "1".into())], ..Default::default() };
    let error = Cluster::start(&options).unwrap_err().to_string();
    assert!(error.contains("no_such"), "{error}");
}

#[test]
fn goes_with_its_process_even_by_kill_9() {
    if env::var_os(VICTIM).is_some() {
        play_victim();
    }
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "goes_with_its_process_even_by_kill_9", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let told = lines.find_map(|line| line.unwrap().split_once("cluster=").map(|(_, told)| told.to_owned()));
    let told = told.unwrap();
    let (pid, directory) = told.split_once(' ').unwrap();
    let (pid, directory): (u32, PathBuf) = (pid.parse().unwrap(), directory.into());
    assert!(is_alive(pid) && directory.exists());

    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually("the server is gone", || !is_alive(pid));
    eventually("its directory is gone", || !Path::new(&directory).exists());
}

fn play_victim() -> ! {
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    println!("cluster={} {}", cluster.postmaster().unwrap(), cluster.directory().display());
    loop {
        thread::park();
    }
}
