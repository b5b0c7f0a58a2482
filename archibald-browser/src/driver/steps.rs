//! What was done with a page, step by step, for a person who wants to see how an operation went.
//!
//! The last steps are remembered while somebody uses the page, in words alone, which costs next to nothing; pictures
//! are taken only where they are asked for. Nothing is remembered of a login: it is over before anybody uses the page.

use std::fmt;
use std::time::{Duration, Instant};

use super::{DriverError, ElementProblem};
use crate::ring::{Place, Ring};
use crate::text::shortened;

/// Steps remembered; older ones are forgotten, and counted.
const REMEMBERED: usize = 400;
/// Characters that are kept of each text. More than is shown, since it is shown without its secrets.
const LONGEST: usize = 8_000;
/// Bytes of all pictures together: the last ones.
const ALL_PICTURES: usize = 1024 * 1024;

/// A step: something done with the page, or a dialog that it showed.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) began: Instant,
    /// There is none of one that was given up, or is under way.
    pub(crate) took: Option<Duration>,
    pub(crate) what: &'static str,
    pub(crate) on: On,
    pub(crate) typed: Option<String>,
    /// What the page showed afterwards.
    pub(crate) address: String,
    pub(crate) problem: Option<String>,
    /// JPEG.
    pub(crate) picture: Option<Vec<u8>>,
}

/// What a step was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum On {
    Page,
    Address(String),
    Selector(String),
    /// A dialog said it.
    Said(String),
}

/// What is remembered of one use of a page.
#[derive(Default)]
pub(super) struct Steps(Option<Record>);

struct Record {
    since: Instant,
    /// Where they are asked for and can be had.
    pictures: bool,
    steps: Ring<Step>,
}

/// The steps of one use, oldest first.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) since: Instant,
    pub(crate) steps: Vec<Step>,
    /// How many there were before the first.
    pub(crate) forgotten: u64,
}

impl Steps {
    /// Somebody begins to use the page.
    pub(super) fn begin(&mut self, pictures: bool) {
        self.0 = Some(Record { since: Instant::now(), pictures, steps: Ring::of(REMEMBERED) });
    }

    /// Nobody uses it any more.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }

    pub(super) fn recorded(&self) -> Option<Recorded> {
        let Record { since, steps, .. } = self.0.as_ref()?;
        let all = steps.iter().cloned().collect();
        Some(Recorded { since: *since, steps: all, forgotten: steps.forgotten() })
    }

    pub(super) fn wants_pictures(&self) -> bool {
        self.0.as_ref().is_some_and(|record| record.pictures)
    }

    /// A step begins. `None` where nothing is remembered.
    pub(super) fn push(&mut self, what: &'static str, on: On, typed: Option<&str>) -> Option<Place> {
        let record = self.0.as_mut()?;
        let step = Step {
            began: Instant::now(),
            took: None,
            what,
            on,
            typed: typed.map(short),
            address: String::new(),
            problem: None,
            picture: None,
        };
        Some(record.steps.push(step))
    }

    /// How a step ended, if its use is not over.
    pub(super) fn ended(&mut self, place: Option<Place>, address: String, problem: Option<&DriverError>) {
        if let Some(step) = self.find(place) {
            (step.took, step.address) = (Some(step.began.elapsed()), short(&address));
            step.problem = problem.map(|problem| short(&in_words(problem)));
        }
    }

    /// How a dialog was answered.
    pub(super) fn answered(&mut self, place: Option<Place>, accepted: bool) {
        if let Some(step) = self.find(place) {
            step.took = Some(step.began.elapsed());
            step.typed = Some(if accepted { "OK" } else { "Cancel" }.to_owned());
        }
    }

    /// What was to be seen after a step; `None` if that could not be had, and then no more are tried: each would take
    /// as long. Older ones make room.
    pub(super) fn seen(&mut self, place: Option<Place>, picture: Option<Vec<u8>>) {
        let Some(record) = &mut self.0 else { return };
        let Some(picture) = picture else {
            record.pictures = false;
            return;
        };
        let Some(mut room) = ALL_PICTURES.checked_sub(picture.len()) else { return };
        for step in record.steps.iter_mut().rev() {
            let size = step.picture.as_ref().map_or(0, Vec::len);
            if size > room {
                step.picture = None;
            }
            room = room.saturating_sub(size);
        }
        if let Some(step) = place.and_then(|place| record.steps.get_mut(place)) {
            step.picture = Some(picture);
        }
    }

    fn find(&mut self, place: Option<Place>) -> Option<&mut Step> {
        self.0.as_mut()?.steps.get_mut(place?)
    }
}

/// Without addresses as they stand, and without escapes.
fn in_words(problem: &DriverError) -> String {
    match problem {
        DriverError::Navigation { text, .. } => format!("cannot be opened: {text}"),
        // In quotes of their own a secret would not be found.
        DriverError::Question { text } => format!("the page asked what was not expected: {text}"),
        DriverError::Element { problem: ElementProblem::NoEntry(entry), .. } => {
            format!("the list has no entry {entry}")
        }
        other => other.to_string(),
    }
}

fn short(text: &str) -> String {
    shortened(text, LONGEST)
}

/// Without what was typed and seen.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("what", &self.what).field("took", &self.took).finish_non_exhaustive()
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").field("remembered", &self.0.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_remembered_before_somebody_uses_the_page_and_after() {
        let mut steps = Steps::default();
        assert!(steps.push("opening a page", On::Page, None).is_none());
        steps.begin(false);
        let place = steps.push("filling a field", On::Selector("#user".into()), Some("nancy"));
        steps.ended(place, "/Order.aspx".into(), Some(&DriverError::Replaced));
        let step = steps.recorded().unwrap().steps.remove(0);
        assert_eq!((step.typed.as_deref(), step.took.is_some()), (Some("nancy"), true));
        assert_eq!(step.problem, Some(DriverError::Replaced.to_string()));
        assert!(!format!("{step:?}").contains("nancy"));
        steps.end();
        assert!(steps.recorded().is_none());
    }

    #[test]
    fn pictures_are_kept_where_they_are_wanted_and_as_long_as_there_is_room() {
        let mut steps = Steps::default();
        steps.begin(true);
        assert!(steps.wants_pictures());
        for size in [ALL_PICTURES / 2, ALL_PICTURES / 2, 1] {
            let place = steps.push("a click", On::Page, None);
            steps.seen(place, Some(vec![0; size]));
        }
        let all = steps.recorded().unwrap().steps;
        let kept: Vec<_> = all.iter().map(|step| step.picture.is_some()).collect();
        assert_eq!(kept, [false, true, true], "the first makes room for the last");
        steps.seen(None, None);
        assert!(!steps.wants_pictures(), "what cannot be had is not tried again");
        steps.begin(false);
        assert!(!steps.wants_pictures());
    }

    #[test]
    fn an_address_does_not_get_in_by_way_of_a_problem() {
        let url = "http://erp.test/(S(s3cret))/Order.aspx".to_owned();
        let problem = DriverError::Navigation { url, text: "net::ERR_FAILED".into() };
        assert_eq!(in_words(&problem), "cannot be opened: net::ERR_FAILED");
        assert_eq!(short(&"è".repeat(LONGEST + 1)).chars().count(), LONGEST + 1);
    }
}
