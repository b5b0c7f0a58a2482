use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::ClusterError;
use super::install::Install;

/// Waits until nobody holds the other end of its input, then stops the server and removes its directory.
/// A signal to the terminal's processes must not end it before that.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
while read -r _; do :; done
for _ in 1 2 3 4 5; do
    "$1" -D "$2/data" stop -s -m immediate -w -t 20
    rm -rf "$2"
    # A program that was making the cluster may still have put something there.
    sleep 0.05
    test -e "$2" || exit 0
    sleep 0.5
done
"#;

/// A child process that outlives us for as long as it takes to clean up, however we end.
///
/// It holds the reading end of a pipe of which nobody but us has the other: the kernel closes that with our
/// process, also after kill -9.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    pub(super) fn start(install: &Install, directory: &Path) -> Result<Self, ClusterError> {
        let start = |mut command: Command| {
            command.args(["-c", SCRIPT, "sh"]).arg(install.program("pg_ctl")).arg(directory);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        let mut in_session = install.as_account(Path::new("setsid"));
        in_session.arg("sh");
        // Without `setsid` a process group of its own must do.
        let child = start(in_session).or_else(|_| {
            let mut in_group = install.as_account(Path::new("sh"));
            in_group.process_group(0);
            start(in_group)
        });
        child
            .map(Self)
            .map_err(|cause| ClusterError::Io { what: "starting the cluster's guard".into(), cause })
    }

    /// Lets it do its work and returns when all is gone.
    pub(super) fn finish(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}
