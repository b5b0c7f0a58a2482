use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use archibald_testing::postgres::{Cluster, ClusterOptions};

/// How long anything of the database's may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A database server of one test's own, which may do to it what it likes.
pub struct Private(pub Cluster);

#[derive(Debug, Clone, Copy)]
pub enum Restart {
    /// Sessions are ended, and what they were doing is rolled back.
    Fast,
    /// As by a crash.
    Immediate,
    /// The postmaster alone is gone, and its sessions find that out by themselves.
    Killed,
}

impl Private {
    pub fn start() -> Self {
        Self::start_with(ClusterOptions::default())
    }

    /// What a power cut would take is not the matter here.
    pub fn start_with(options: ClusterOptions) -> Self {
        Self(Cluster::start(&ClusterOptions { fsync: false, ..options }).unwrap())
    }

    pub fn url(&self) -> String {
        self.0.url()
    }

    pub fn sql(&self, statement: &str) -> String {
        self.0.sql("postgres", statement).unwrap()
    }

    pub fn restart(&self, how: Restart) {
        match how {
            Restart::Fast => self.stop_fast(),
            Restart::Immediate => {}
            Restart::Killed => self.0.kill().unwrap(),
        }
        self.0.restart().unwrap();
    }

    fn stop_fast(&self) {
        let noted = self.0.directory().join("data/postmaster.pid");
        interrupt(self.0.postmaster().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while noted.exists() {
            assert!(Instant::now() < deadline, "a fast stop takes too long");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The server stands still, as on a disk that does not answer, until the value is dropped.
    pub fn freeze(&self) -> Frozen {
        let postmaster = self.0.postmaster().unwrap();
        // First the one that makes the others.
        let mut frozen = Frozen::of(vec![postmaster]);
        frozen.others = Some(Box::new(Frozen::of(children_of(postmaster))));
        frozen
    }
}

/// Processes that stand still; they go on when this is dropped, and also when the test dies.
pub struct Frozen {
    keeper: Child,
    others: Option<Box<Frozen>>,
}

impl Frozen {
    /// A shell goes on with them when the other end of its input is closed, by whatever.
    pub fn of(processes: Vec<u32>) -> Self {
        let keeper = Command::new("sh")
            .args(["-c", "kill -STOP \"$@\"; echo; read -r _; kill -CONT \"$@\"", "sh"])
            .args(processes.iter().map(ToString::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut frozen = Self { keeper, others: None };
        let mut line = [0];
        std::io::Read::read_exact(frozen.keeper.stdout.as_mut().unwrap(), &mut line).unwrap();
        frozen
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.others.take());
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}

fn interrupt(process: u32) {
    let told = Command::new("sh").args(["-c", "kill -INT \"$1\"", "sh", &process.to_string()]).status();
    assert!(told.unwrap().success());
}

fn children_of(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state parent`, and a name may have anything in it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
