//! Single values: what devices, files and pages hand over as text.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use archibald_core::effect::Mark;
use archibald_core::erp::{CustomerDifference, Date};
use archibald_core::event::Cursor;
use archibald_core::id::{
    AgentId, OperationId, OperationKey, OperationKind, PendingOrderId, ScheduleName, Target, WorkerId,
};
use archibald_core::time::Timestamp;
use archibald_testing::data::{Cents, Percent};
use archibald_testing::erp::FaultSpec;
use archibald_testing::failpoint::Spec;

pub(super) const WORDS: &[&str] = &[
    ".",
    "-",
    "+",
    ":",
    "T",
    "Z",
    "~",
    "0",
    "9",
    "00",
    "2026-11-22",
    "store.intend.before",
    ":kill",
    "nancy",
    ": wanted ",
    ", found ",
    "\"",
    "\\u0000",
    "some",
    "fail-before=1",
    ",",
    "18446744073709551615",
    "\u{e9}",
];

/// A refusal repeats at most so much of what was given.
const REPEATED: usize = 600;

pub(super) fn read(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    again::<Cursor>(text);
    again::<Timestamp>(text);
    again::<OperationId>(text);
    again::<PendingOrderId>(text);
    again::<Cents>(text);
    again::<Percent>(text);
    same::<Date>(text);
    same::<AgentId>(text);
    same::<OperationKey>(text);
    same::<OperationKind>(text);
    same::<ScheduleName>(text);
    same::<Target>(text);
    same::<WorkerId>(text);
    if let Ok(spec) = text.parse::<Spec>() {
        assert_eq!(spec.to_string(), text);
    }
    drop(text.parse::<FaultSpec>());
    if let Ok(percent) = Percent::from_italian(text) {
        assert_eq!(Percent::from_italian(&percent.italian()), Ok(percent));
    }
    marks(text);
    if let Some(difference) = CustomerDifference::read(text) {
        assert_eq!(CustomerDifference::read(&difference.to_string()), Some(difference));
    }
}

/// What is accepted is the same once it is written; what is refused says so in few words.
fn again<T: FromStr<Err: Display> + Display + Debug + PartialEq>(text: &str) -> Option<String> {
    match text.parse::<T>() {
        Ok(value) => {
            let written = value.to_string();
            match written.parse::<T>() {
                Ok(back) => assert_eq!(back, value, "{text:?} is written {written:?}"),
                Err(error) => panic!("{text:?} is written {written:?}: {error}"),
            }
            Some(written)
        }
        Err(error) => {
            let words = error.to_string();
            let length = text.len().min(REPEATED);
            assert!(!words.is_empty() && words.len() <= 200 + 6 * length, "{words}");
            None
        }
    }
}

/// There is one way to write it.
fn same<T: FromStr<Err: Display> + Display + Debug + PartialEq>(text: &str) {
    if let Some(written) = again::<T>(text) {
        assert_eq!(written, text);
    }
}

/// A mark is found behind the agent's own text, and nowhere else.
fn marks(text: &str) {
    if let Some(mark) = Mark::read(text) {
        assert!(text.ends_with(&mark.search_text()), "{text:?} has {mark}");
        if let Ok(stamped) = mark.stamp(text) {
            assert_eq!(Mark::read(&stamped), Some(mark));
        }
    }
}
