use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::case::Case;
use super::report::Violation;
use super::scratch::Scratch;
use super::trial::{Trial, agent};
use super::{Fate, Subject};
use crate::failpoint::{Failpoint, Kind, POINTS, Spec};

/// How often it is looked which points have been passed.
const LOOK: Duration = Duration::from_millis(3);

/// The points that an operation passes that nobody strikes.
///
/// Every point holds whoever passes it until somebody has taken note, one within the other.
pub(super) async fn of(
    subject: Arc<dyn Subject>,
    lost: Option<Fate>,
) -> Result<BTreeSet<&'static str>, Violation> {
    let scratch = Scratch::new().map_err(|error| Violation::of_the_kit(&error.to_string()))?;
    let watched: Vec<(&'static str, PathBuf, Arc<Failpoint>)> = POINTS
        .iter()
        .enumerate()
        .map(|(number, point)| {
            let file = scratch.path().join(number.to_string());
            let spec = Spec { point, kind: Kind::Hold, agent: Some(agent()) };
            (point.name, file.clone(), Failpoint::armed(spec, file))
        })
        .collect();
    let points = watched.iter().map(|(_, _, point)| point.clone()).collect();
    let trial = Trial::over(subject, Case { lost, ..Case::UNDISTURBED }, points);
    let mut passed = BTreeSet::new();
    let watching = async {
        loop {
            for (name, file, _) in &watched {
                if std::fs::remove_file(file).is_ok() {
                    passed.insert(*name);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        ended = trial.run() => ended.map(drop)?,
        () = watching => {}
    }
    Ok(passed)
}
