//! Running programs: with our own output, with it shown and read at once, or with its output taken.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::failure::Failure;

/// Runs to the end on our own output.
pub(crate) fn run(what: &str, mut command: Command) -> Result<(), Failure> {
    let status = command.status().map_err(Failure::io(format!("start {what}")))?;
    success(what, status)
}

/// Runs to the end and gives back what it wrote to standard output; standard error is ours.
pub(crate) fn output(what: &str, mut command: Command) -> Result<String, Failure> {
    command.stderr(Stdio::inherit());
    let output = command.output().map_err(Failure::io(format!("start {what}")))?;
    success(what, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end with all that it writes shown on standard error, and keeps the lines that `keep` names.
pub(crate) fn show(
    what: &str,
    mut command: Command,
    keep: fn(&str) -> bool,
) -> Result<(ExitStatus, Vec<String>), Failure> {
    let (reader, writer) = std::io::pipe().map_err(Failure::io("open a pipe"))?;
    let copy = writer.try_clone().map_err(Failure::io("open a pipe"))?;
    command.stdin(Stdio::null()).stdout(copy).stderr(writer);
    let mut child = command.spawn().map_err(Failure::io(format!("start {what}")))?;
    drop(command); // It holds the writing ends, which would keep the pipe open for ever.

    let (lines, kept) = mpsc::channel();
    thread::spawn(move || pass_on(BufReader::new(reader), keep, &lines));
    let status = child.wait().map_err(Failure::io(format!("wait for {what}")))?;
    Ok((status, drained(&kept)))
}

/// An error that names the program, unless it ended well.
pub(crate) fn success(what: &str, status: ExitStatus) -> Result<(), Failure> {
    if status.success() { Ok(()) } else { Err(Failure::Ended { what: what.to_owned(), status }) }
}

fn pass_on(mut reader: impl BufRead, keep: fn(&str) -> bool, lines: &mpsc::Sender<String>) {
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        // Standard error may be closed; the run goes on all the same.
        let _ = std::io::stderr().write_all(&bytes);
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if keep(&line) && lines.send(line).is_err() {
            return;
        }
        bytes.clear();
    }
}

/// All lines, and no waiting for ever: something that the program left running may still hold the pipe.
fn drained(kept: &mpsc::Receiver<String>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Ok(line) = kept.recv_timeout(Duration::from_secs(2)) {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn shown_output_is_read_from_both_streams_in_order() {
        let (status, lines) =
            show("sh", shell("echo a; echo b >&2; echo skip; echo c; exit 4"), |line| line != "skip")
                .unwrap();
        assert_eq!((status.code(), lines.join(" ")), (Some(4), "a b c".to_owned()));
    }

    #[test]
    fn a_process_left_behind_with_our_pipe_does_not_stop_us() {
        let script = "sleep 30 & echo $!";
        let (status, lines) = show("sh", shell(script), |_| true).unwrap();
        run("kill", shell(&format!("kill {}", lines[0]))).unwrap();
        assert!(status.success());
    }

    #[test]
    fn a_program_that_fails_is_named() {
        let failure = run("the thing", shell("exit 7")).unwrap_err();
        assert_eq!(failure.in_full(), "the thing failed (exit status: 7)");
        let failure = run("the thing", Command::new("/nowhere/thing")).unwrap_err();
        assert!(failure.in_full().starts_with("cannot start the thing: "), "{}", failure.in_full());
    }
}
