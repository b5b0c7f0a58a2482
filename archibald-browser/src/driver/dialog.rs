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

/// The policy and the memory of one page.
#[derive(Debug, Default)]
pub(super) struct Dialogs {
    expected: Option<String>,
    seen: VecDeque<Dialog>,
}

impl Dialogs {
    /// The next question that contains this text is answered with OK, once.
    pub(super) fn expect(&mut self, text: &str) {
        self.expected = Some(text.into());
    }

    /// No question is expected any more.
    pub(super) fn expect_none(&mut self) {
        self.expected = None;
    }

    /// Decides about a dialog and remembers it.
    pub(super) fn answer(&mut self, opening: DialogOpening) -> bool {
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
                self.expected.take_if(|expected| opening.message.contains(expected.as_str())).is_some()
            }
        };
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(Dialog { kind, text: opening.message, accepted });
        accepted
    }

    /// What was shown since the last call, oldest first.
    pub(super) fn take(&mut self) -> Vec<Dialog> {
        self.seen.drain(..).collect()
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
        assert!(!dialogs.answer(opening("confirm", "Delete the order?")));
        dialogs.expect("Delete");
        assert!(!dialogs.answer(opening("confirm", "A similar order exists. Save?")));
        assert!(dialogs.answer(opening("confirm", "Delete the order?")));
        assert!(!dialogs.answer(opening("confirm", "Delete the order?")));
        assert!(dialogs.answer(opening("beforeunload", "")));
        assert!(dialogs.answer(opening("alert", "Error 42")));
        let seen = dialogs.take();
        assert_eq!(seen.len(), 6);
        assert_eq!(seen[5], Dialog { kind: DialogKind::Alert, text: "Error 42".into(), accepted: true });
        assert!(dialogs.take().is_empty());
    }
}
