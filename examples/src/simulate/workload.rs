//! What is asked for, when and by whom; and the same as lines of JSON.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use archibald_core::id::{AgentId, OperationKind};
use archibald_core::operation::Class;
use serde::{Deserialize, Serialize};

use super::error::SimulateError;

/// Where a recorded sync does not say how long its requests take: as long as one of a slow ERP on average.
const USUAL_REQUEST_MS: u64 = 10_000;

/// As late as an operation may be asked for, and as long as one may take.
const LATEST_MS: u64 = 3_660 * super::DAY_MS;
const LONGEST_MS: u64 = 7 * super::DAY_MS;

/// One operation that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Milliseconds since midnight of the first day.
    pub at_ms: u64,
    /// Its place among [`Workload::agents`].
    pub agent: u32,
    /// Who goes first within the agent.
    pub class: Class,
    /// What sort it is.
    pub kind: OperationKind,
    /// How long each of its requests to the ERP takes, in milliseconds; between two of them a sync can give way.
    pub requests_ms: Vec<u64>,
}

/// All that is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workload {
    /// Those who ask.
    pub agents: Vec<AgentId>,
    /// In order of time.
    pub jobs: Vec<Job>,
}

/// A job as a line of a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at_ms: u64,
    agent: AgentId,
    class: Class,
    kind: OperationKind,
    duration_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests_ms: Option<Vec<u64>>,
}

impl Workload {
    /// Puts the jobs in order of time; those of one moment stay as they are.
    #[must_use]
    pub fn new(agents: Vec<AgentId>, mut jobs: Vec<Job>) -> Self {
        jobs.sort_by_key(|job| job.at_ms);
        Self { agents, jobs }
    }

    /// The days that it lasts, at least 1.
    #[must_use]
    pub fn days(&self) -> u64 {
        self.jobs.last().map_or(1, |job| job.at_ms / super::DAY_MS + 1)
    }

    /// Reads what [`write`](Self::write) wrote, or somebody else.
    ///
    /// # Errors
    /// [`SimulateError::File`], and [`SimulateError::Line`] for a line that is no job.
    pub fn read(file: &Path) -> Result<Self, SimulateError> {
        let opened = File::open(file).map_err(SimulateError::file("--workload", file))?;
        let (mut agents, mut jobs, mut known) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (number, line) in BufReader::new(opened).lines().enumerate() {
            let line = line.map_err(SimulateError::file("--workload", file))?;
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |why| SimulateError::Line { file: file.to_owned(), line: number + 1, why };
            let line: Line = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
            let agent = *known.entry(line.agent.clone()).or_insert_with(|| {
                agents.push(line.agent.clone());
                agents.len() as u32 - 1
            });
            jobs.push(line.job(agent).map_err(wrong)?);
        }
        match jobs.is_empty() {
            true => Err(SimulateError::Line { file: file.to_owned(), line: 1, why: "no operation".into() }),
            false => Ok(Self::new(agents, jobs)),
        }
    }

    /// One line of JSON for each job.
    ///
    /// # Errors
    /// [`SimulateError::File`].
    pub fn write(&self, file: &Path) -> Result<(), SimulateError> {
        let write = || {
            let mut out = BufWriter::new(File::create(file)?);
            for job in &self.jobs {
                serde_json::to_writer(&mut out, &Line::of(job, &self.agents[job.agent as usize]))?;
                out.write_all(b"\n")?;
            }
            out.flush()
        };
        write().map_err(SimulateError::file("--record", file))
    }
}

impl Line {
    fn of(job: &Job, agent: &AgentId) -> Self {
        Self {
            at_ms: job.at_ms,
            agent: agent.clone(),
            class: job.class,
            kind: job.kind.clone(),
            duration_ms: job.requests_ms.iter().sum(),
            requests_ms: Some(job.requests_ms.clone()),
        }
    }

    fn job(self, agent: u32) -> Result<Job, String> {
        let Self { at_ms, class, kind, duration_ms, requests_ms, .. } = self;
        for (field, got, most) in [("at_ms", at_ms, LATEST_MS), ("duration_ms", duration_ms, LONGEST_MS)] {
            if got > most {
                return Err(format!("{field} must be at most {most}, got {got}"));
            }
        }
        let requests_ms = requests_ms.unwrap_or_else(|| match class {
            Class::Interactive => vec![duration_ms],
            Class::Background => parts(duration_ms),
        });
        // A sum of what a file says may not fit.
        let sum = requests_ms.iter().try_fold(0_u64, |sum, one| sum.checked_add(*one));
        match sum {
            Some(sum) if sum == duration_ms && !requests_ms.is_empty() => {
                Ok(Job { at_ms, agent, class, kind, requests_ms })
            }
            _ => Err(format!("requests_ms must be one or more that add up to duration_ms ({duration_ms})")),
        }
    }
}

/// Requests of the usual length, the last one shorter.
fn parts(duration_ms: u64) -> Vec<u64> {
    let mut parts = vec![USUAL_REQUEST_MS; (duration_ms / USUAL_REQUEST_MS) as usize];
    let rest = duration_ms % USUAL_REQUEST_MS;
    if rest > 0 || parts.is_empty() {
        parts.push(rest);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Workload, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jobs.jsonl");
        std::fs::write(&file, text).unwrap();
        Workload::read(&file).map_err(|error| error.in_full().split(".jsonl").last().unwrap().to_owned())
    }

    #[test]
    fn a_recorded_sync_can_give_way_after_each_of_its_requests() {
        let line = |class| {
            format!(r#"{{"at_ms":5,"agent":"nancy","class":"{class}","kind":"any","duration_ms":25000}}"#)
        };
        let both = read(&format!("{}\n\n{}\n", line("background"), line("interactive"))).unwrap();
        assert_eq!(both.jobs[0].requests_ms, [10_000, 10_000, 5_000]);
        assert_eq!(both.jobs[1].requests_ms, [25_000]);
        assert_eq!(both.agents.len(), 1);
    }

    #[test]
    fn a_line_that_is_no_job_is_named() {
        assert_eq!(read("\n").unwrap_err(), ", line 1: no operation");
        let bad = read(
            r#"{"at_ms":5,"agent":"nancy","class":"interactive","kind":"any","duration_ms":3,"requests_ms":[1,1]}"#,
        );
        assert_eq!(
            bad.unwrap_err(),
            ", line 1: requests_ms must be one or more that add up to duration_ms (3)"
        );
        assert!(read("\nx").unwrap_err().starts_with(", line 2: expected value"));
        let late = r#"{"at_ms":18446744073709551615,"agent":"nancy","class":"interactive","kind":"any","duration_ms":3}"#;
        assert!(read(late).unwrap_err().contains("at_ms must be at most 316224000000, got 1844"));
        let huge = format!(
            r#"{{"at_ms":5,"agent":"nancy","class":"interactive","kind":"any","duration_ms":3,"requests_ms":[{0},{0}]}}"#,
            u64::MAX
        );
        assert!(read(&huge).unwrap_err().contains("add up"));
    }
}
