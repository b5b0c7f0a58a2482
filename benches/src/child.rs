//! A process that is told what to do line by line.
//!
//! Each line of its standard input is a question and each of its standard output the answer, both in JSON: `{"Ok": …}`,
//! or `{"Err": "why"}`. It ends when its input does, so none outlives whoever started it.

use std::process::Stdio;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::Failure;

/// A child, seen by whoever started it.
pub struct Child {
    process: tokio::process::Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts it.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(mut command: Command) -> Result<Self, Failure> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("a child without pipes".into());
        };
        Ok(Self { process, input, output: BufReader::new(output).lines() })
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What it says, and where it ended instead.
    pub async fn ask<A: DeserializeOwned>(&mut self, question: &impl Serialize) -> Result<A, Failure> {
        let line = format!("{}\n", serde_json::to_string(question)?);
        self.input.write_all(line.as_bytes()).await?;
        self.answer().await
    }

    /// The next answer.
    ///
    /// # Errors
    /// What it says, and where it ended instead.
    pub async fn answer<A: DeserializeOwned>(&mut self) -> Result<A, Failure> {
        let line = self.output.next_line().await?.ok_or("a child ended before it answered")?;
        Ok(serde_json::from_str::<Result<A, String>>(&line)??)
    }

    /// Lets it end, and waits for that.
    ///
    /// # Errors
    /// Where it ended badly.
    pub async fn end(mut self) -> Result<(), Failure> {
        drop(self.input);
        let status = self.process.wait().await?;
        if status.success() { Ok(()) } else { Err(format!("a child ended with {status}").into()) }
    }
}

/// The questions, as they come; `None` once nobody asks any more.
pub(crate) struct Questions(Lines<BufReader<tokio::io::Stdin>>);

impl Questions {
    pub(crate) fn new() -> Self {
        Self(BufReader::new(tokio::io::stdin()).lines())
    }

    pub(crate) async fn next<Q: DeserializeOwned>(&mut self) -> Result<Option<Q>, Failure> {
        let line = self.0.next_line().await?;
        Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
    }
}

/// Answers the last question.
pub(crate) async fn answer<A: Serialize>(answer: Result<A, Failure>) -> Result<(), Failure> {
    let line = format!("{}\n", serde_json::to_string(&answer.map_err(|error| error.to_string()))?);
    let mut output = tokio::io::stdout();
    output.write_all(line.as_bytes()).await?;
    Ok(output.flush().await?)
}
