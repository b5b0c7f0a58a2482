use std::collections::HashMap;
use std::time::Duration;

use archibald_core::event::Progress;
use archibald_core::id::OperationId;
use tokio::time::Instant;

/// Lets fine progress through: the latest of each operation, not more often than the interval.
///
/// It remembers one item for each running operation and forgets those that run no more.
pub(super) struct Thinning {
    interval: Duration,
    sent: HashMap<OperationId, (Instant, Progress)>,
}

/// What is to be done about progress now.
#[derive(Debug, PartialEq)]
pub(super) enum Thinned {
    /// Send this one and ask again.
    Send(Progress),
    /// There is something, for later.
    NotBefore(Instant),
    /// Everything was sent.
    Nothing,
}

impl Thinning {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, sent: HashMap::new() }
    }

    /// Looks at the latest progress of every running operation.
    pub(super) fn next(&mut self, latest: Vec<Progress>, now: Instant) -> Thinned {
        self.sent.retain(|operation, _| latest.iter().any(|progress| progress.operation == *operation));
        let mut due = None;
        for progress in latest {
            let at = match self.sent.get(&progress.operation) {
                Some((_, sent)) if *sent == progress => continue,
                Some((sent_at, _)) => *sent_at + self.interval,
                None => now,
            };
            if at <= now {
                self.sent.insert(progress.operation, (now, progress.clone()));
                return Thinned::Send(progress);
            }
            due = Some(due.map_or(at, |due: Instant| due.min(at)));
        }
        due.map_or(Thinned::Nothing, Thinned::NotBefore)
    }
}

#[cfg(test)]
mod tests {
    use archibald_core::id::AgentId;
    use uuid::Uuid;

    use super::*;

    fn progress(operation: u128, done: u64) -> Progress {
        Progress {
            agent: AgentId::new("nancy").unwrap(),
            operation: OperationId(Uuid::from_u128(operation)),
            step: "reading".into(),
            done,
            total: 100,
            text: String::new(),
        }
    }

    #[test]
    fn the_latest_goes_out_at_the_pace_allowed() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut thinning = Thinning::new(Duration::from_millis(250));
        assert_eq!(thinning.next(vec![progress(1, 1)], at(0)), Thinned::Send(progress(1, 1)));
        assert_eq!(thinning.next(vec![progress(1, 1)], at(1)), Thinned::Nothing);
        assert_eq!(thinning.next(vec![progress(1, 2)], at(2)), Thinned::NotBefore(at(250)));
        let both = vec![progress(1, 3), progress(2, 1)];
        assert_eq!(thinning.next(both.clone(), at(3)), Thinned::Send(progress(2, 1)));
        assert_eq!(thinning.next(both.clone(), at(3)), Thinned::NotBefore(at(250)));
        assert_eq!(thinning.next(both.clone(), at(250)), Thinned::Send(progress(1, 3)));
        assert_eq!(thinning.next(both, at(250)), Thinned::Nothing);
        assert_eq!(thinning.next(vec![], at(251)), Thinned::Nothing);
        assert!(thinning.sent.is_empty());
    }
}
