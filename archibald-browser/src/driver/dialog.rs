//! JavaScript dialogs: answered at once by policy, and remembered, because they often carry the reason.
//!
//! An unanswered dialog stops every script of its page, so the answer comes from the task that reads the
//! event and never waits for a caller.

use std::collections::VecDeque;

use super::event::DialogOpening;

const REMEMBERED: usize = 20;

/// A dialog that a page showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    /// What it is.
    pub kind: DialogKind,
    /// What it said.
    pub text: String,
    /// Whether it was answered with OK.
    pub accepted: bool,
}

/// The kinds of dialogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogKind {
    /// Only tells something. Accepted.
    Alert,
    /// Asks. Dismissed, unless it was expected.
    Confirm,
    /// Asks for a text. Dismissed.
    Prompt,
    /// Asks whether to leave a changed form. Accepted: we leave on purpose.
    BeforeUnload,
}

/// The document of a window, which is none of the page's.
pub(super) const ELSEWHERE: u64 = u64::MAX;

/// The policy and the memory of one page. Documents are counted as its [`super::view::View`] counts them.
#[derive(Debug, Default)]
pub(super) struct Dialogs {
    expected: Option<Question>,
    seen: VecDeque<Seen>,
    count: u64,
}

/// A question that may be answered with OK: word for word, and by no other document.
#[derive(Debug)]
struct Question {
    text: String,
    document: u64,
}

#[derive(Debug)]
struct Seen {
    place: u64,
    document: u64,
    dialog: Dialog,
}

impl Dialogs {
    /// The next question of this document with exactly this text is answered with OK, once.
    pub(super) fn expect(&mut self, text: &str, document: u64) {
        self.expected = Some(Question { text: text.into(), document });
    }

    /// No question is expected any more.
    pub(super) fn expect_none(&mut self) {
        self.expected = None;
    }

    /// Decides about a dialog and remembers it.
    pub(super) fn answer(&mut self, opening: DialogOpening, document: u64) -> bool {
        let kind = match opening.r#type.as_str() {
            "alert" => DialogKind::Alert,
            "beforeunload" => DialogKind::BeforeUnload,
            "prompt" => DialogKind::Prompt,
            _ => DialogKind::Confirm,
        };
        let accepted = match kind {
            DialogKind::Alert | DialogKind::BeforeUnload => true,
            DialogKind::Prompt => false,
            DialogKind::Confirm => {
                let is_it = |expected: &mut Question| {
                    expected.document == document && expected.text == opening.message.trim()
                };
                self.expected.take_if(is_it).is_some()
            }
        };
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        let dialog = Dialog { kind, text: opening.message, accepted };
        self.seen.push_back(Seen { place: self.count, document, dialog });
        self.count += 1;
        accepted
    }

    /// How many were shown, ever.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The first question that was dismissed after the first `count` dialogs; in one document, if named.
    pub(super) fn dismissed(&self, count: u64, document: Option<u64>) -> Option<&str> {
        let is_it = |seen: &&Seen| {
            let here = document.is_none_or(|document| document == seen.document);
            seen.place >= count && here && !seen.dialog.accepted
        };
        self.seen.iter().find(is_it).map(|seen| seen.dialog.text.as_str())
    }

    /// What was shown since the last call, oldest first.
    pub(super) fn take(&mut self) -> Vec<Dialog> {
        self.seen.drain(..).map(|seen| seen.dialog).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(kind: &str, message: &str) -> DialogOpening {
        DialogOpening { message: message.into(), r#type: kind.into() }
    }

    #[test]
    fn only_the_expected_question_is_answered_with_ok_and_only_once() {
        let mut dialogs = Dialogs::default();
        assert!(!dialogs.answer(opening("confirm", "Delete the order?"), 1));
        dialogs.expect("Delete the order?", 1);
        assert!(!dialogs.answer(opening("confirm", "A similar order exists. Save?"), 1));
        assert!(!dialogs.answer(opening("confirm", "Delete the order? And all others?"), 1));
        assert!(!dialogs.answer(opening("confirm", "Delete the order?"), 2), "another document asks");
        assert!(dialogs.answer(opening("confirm", "Delete the order?"), 1));
        assert!(!dialogs.answer(opening("confirm", "Delete the order?"), 1));
        assert!(dialogs.answer(opening("beforeunload", ""), 1));
        assert!(dialogs.answer(opening("alert", "Error 42"), 1));
        let seen = dialogs.take();
        assert_eq!(seen.len(), 8);
        assert_eq!(seen[7], Dialog { kind: DialogKind::Alert, text: "Error 42".into(), accepted: true });
        assert!(dialogs.take().is_empty());
    }

    #[test]
    fn what_was_dismissed_is_told_by_time_and_document() {
        let mut dialogs = Dialogs::default();
        dialogs.answer(opening("confirm", "old"), 1);
        let count = dialogs.count();
        assert_eq!(dialogs.dismissed(count, None), None);
        dialogs.answer(opening("alert", "told"), 1);
        dialogs.answer(opening("confirm", "similar?"), 2);
        assert_eq!(dialogs.dismissed(count, None), Some("similar?"));
        assert_eq!(dialogs.dismissed(count, Some(2)), Some("similar?"));
        assert_eq!(dialogs.dismissed(count, Some(1)), None);
    }
}
