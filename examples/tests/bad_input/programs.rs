//! The real programs, as processes in a folder of their own.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::api::{NANCY, OPERATOR};

/// Ample for a program that says no; who hangs is killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the programs run and what they find there.
pub(crate) struct Folder(TempDir);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that serves; killed when dropped.
pub(crate) struct Running {
    child: Child,
    address: String,
    /// All that it has logged so far, to be read from the beginning.
    log: fs::File,
    /// Open, or its next line would break it.
    _stdout: BufReader<ChildStdout>,
}

impl Folder {
    /// With the files that the cases name.
    pub(crate) fn prepared() -> Self {
        let folder = Self(TempDir::new().unwrap());
        for inner in ["empty", "tmp"] {
            fs::create_dir(folder.path(inner)).unwrap();
        }
        let damaged = [b"SQLite format 3\0".as_slice(), &[0xA5; 8176]].concat();
        folder.write("garbage.db", 0o600, "garbage ".repeat(100));
        folder.write("damaged.db", 0o600, damaged);
        folder.write("settle-later.toml", 0o600, "settle = \"later\"\n");
        let schedule = |rest: &str| format!("[[schedule]]\nkind = \"sync-orders\"\n{rest}\n");
        folder.write("six-fields.toml", 0o600, schedule("cron = \"0 */15 6-20 * * 1-5\""));
        folder.write("no-sync.toml", 0o600, "[[schedule]]\nkind = \"sync-all\"\nevery = \"15m\"\n");
        folder.write("browser.toml", 0o600, "browser = 3\n");
        folder.write("agents.toml", 0o600, agents("andrew-secret"));
        folder.write("readable.toml", 0o644, agents("andrew-secret"));
        folder.write("wrong-password.toml", 0o600, agents("not-his"));
        folder.write("tokens.toml", 0o600, tokens());
        folder.write("readable.key", 0o644, "a secret that is long enough for it\n");
        folder.write("agents.key", 0o600, "5e".repeat(32));
        folder.write("other.key", 0o600, "0f".repeat(32));
        folder.write("short.key", 0o600, "too short\n");
        folder
    }

    /// How this command line ends, `NAME=value` in front as in a shell.
    pub(crate) async fn end_of(&self, line: &str) -> Ended {
        let mut command = tokio::process::Command::from(self.command(line));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let Ok(output) = timeout(PATIENCE, command.output()).await else {
            panic!("`{line}` did not end within {PATIENCE:?}")
        };
        let output = output.unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// What programs that ended left among the temporary files.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Nothing of our own environment decides a case. Unless a case says otherwise, a server takes a free port
    /// and needs no browser.
    fn command(&self, line: &str) -> Command {
        let mut words = line.split_whitespace().peekable();
        let mut environment = vec![("ARCHIBALD_LISTEN", "127.0.0.1:0"), ("ARCHIBALD_DRIVER", "direct")];
        environment.extend(std::iter::from_fn(|| words.next_if(|word| word.contains('='))?.split_once('=')));
        let mut command = Command::new(program(words.next().unwrap()));
        command.args(words).current_dir(self.0.path());
        command.env_clear().envs(environment).env("TMPDIR", self.path("tmp"));
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, mode: u32, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
}

impl Running {
    /// Returns when it has said where it listens.
    pub(crate) fn start(folder: &Folder, line: &str) -> Self {
        let log = fs::File::create(folder.path("tmp/log")).unwrap();
        let mut command = folder.command(line);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        stdout.read_line(&mut said).unwrap();
        let logged = fs::File::open(folder.path("tmp/log")).unwrap();
        let log = fs::read_to_string(folder.path("tmp/log")).unwrap();
        fs::remove_file(folder.path("tmp/log")).unwrap();
        let address =
            said.strip_prefix("listening on http://").and_then(|rest| rest.split_whitespace().next());
        let address = address.map(str::to_owned);
        let mut running = Self { child, address: String::new(), log: logged, _stdout: stdout };
        running.address = address.unwrap_or_else(|| panic!("`{line}` said {said:?} and\n{log}"));
        running
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// SIGTERM, and it must end well; all that it logged.
    pub(crate) fn drained(mut self) -> String {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        std::io::read_to_string(&mut self.log).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(name: &str) -> &'static Path {
    Path::new(match name {
        "server" => env!("CARGO_BIN_EXE_server"),
        "erp" => env!("CARGO_BIN_EXE_erp"),
        "demo" => env!("CARGO_BIN_EXE_demo"),
        _ => panic!("no case runs {name}"),
    })
}

fn agents(password_of_andrew: &str) -> String {
    let agent =
        |name, password| format!("[[agent]]\nid = {name:?}\nuser = {name:?}\npassword = {password:?}\n");
    agent("nancy", "nancy-secret") + &agent("andrew", password_of_andrew)
}

fn tokens() -> String {
    let nancy = format!("[[token]]\nvalue = {NANCY:?}\nagent = \"nancy\"\n");
    nancy + &format!("[[token]]\nvalue = {OPERATOR:?}\nscope = \"operator\"\n")
}
