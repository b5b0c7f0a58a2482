//! The one way in which anything at the ERP is changed: click, gate, answer.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, Intent, NotSent};
use archibald_core::error::FenceError;
use archibald_core::port::{ClientError, CommitGate, GateRefused};
use futures::FutureExt;

use super::ErpClient;
use super::order_form::Typing;
use crate::driver::{DriverError, Limit};
use crate::gate::{Fence, Gate, GateRefusal, SendOutcome, Why};

/// A click that changes the ERP.
#[derive(Debug)]
pub(super) struct Write<'a> {
    /// `page.write`, as in the page map.
    pub(super) name: &'static str,
    /// Selector of the control.
    pub(super) control: &'a str,
    /// What it asks, word for word, and is answered with OK; empty if it does not ask.
    pub(super) question: &'a str,
    /// Selector of the answering page's validation texts.
    pub(super) validation: &'a str,
}

/// An act that ended before there was an answer that could be read back.
#[derive(Debug)]
pub(super) enum Ended {
    Refused(String),
    NotSent(NotSent),
    Ambiguous { evidence: String, answered: bool },
}

/// A page of this user's session that answered a write. The request is over at the ERP; what it did is
/// told by the page alone.
#[derive(Debug)]
pub(super) struct Answer {
    validation: Vec<String>,
    /// How many dialogs had been shown before the click.
    dialogs: u64,
}

/// What the answering page shows of the thing that was written.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    /// Its number or code; empty if it has none yet.
    pub(super) key: &'a str,
    /// What the page says of the write.
    pub(super) message: Option<&'a str>,
}

impl ErpClient {
    /// Clicks the control with leave of the fence and waits for the page that answers. What was typed is
    /// the caller's, and so is the verdict about that page.
    pub(super) async fn write(&self, write: Write<'_>, fence: Fence, limit: &Limit) -> Result<Answer, Ended> {
        let dialogs = self.page().dialogs_shown();
        let armed = self.gate().map_err(Ended::NotSent)?.arm(write.name, fence);
        let question = (!write.question.is_empty()).then(|| self.page().expect_question(write.question));
        let clicked = self.page().click_through(&limit.within(self.site().step()), write.control).await;
        let outcome = armed.outcome().await;
        drop(question);
        match outcome.as_deref() {
            None => Err(Ended::NotSent(not_sent(clicked, &self.refusals()))),
            Some(SendOutcome::Fenced(refused)) => Err(Ended::NotSent(fenced(refused))),
            // Released by the journal, and yet nothing left: a probe need wait for no request.
            Some(SendOutcome::NotSent(why)) => Err(Ended::answered(format!("not sent: {why}"))),
            Some(SendOutcome::Lost(why)) => {
                Err(Ended::Ambiguous { evidence: format!("the answer was lost: {why}"), answered: false })
            }
            Some(SendOutcome::Answered { status }) => {
                let answer = format!("answered with {status}");
                clicked.map_err(|error| Ended::answered(format!("{answer}, but not shown: {error}")))?;
                self.look_at_answer(write.validation, dialogs, limit)
                    .await
                    .map_err(|error| Ended::answered(format!("{answer}: {error}")))
            }
        }
    }

    async fn look_at_answer(
        &self,
        validation: &str,
        dialogs: u64,
        limit: &Limit,
    ) -> Result<Answer, ClientError> {
        let look = self.site().look(self.page(), limit, validation).await?;
        look.expect_user(self.site(), self.user())?;
        Ok(Answer { validation: look.validation, dialogs })
    }

    /// A question that the answer asked was dismissed unread: what the write did is for a probe to find.
    /// Validation texts refuse it only where the page still is that of the thing as it was, and does not say
    /// besides that something was carried out.
    pub(super) fn expect_no_objection(
        &self,
        answer: &Answer,
        known: Option<&str>,
        shown: &Shown<'_>,
    ) -> Result<(), Ended> {
        if let Some(text) = self.page().dismissed_since(answer.dialogs) {
            return Err(Ended::answered(format!("the page asked {text:?}, which was dismissed")));
        }
        if answer.validation.is_empty() {
            return Ok(());
        }
        let text = answer.validation.join(" ");
        if shown.key == known.unwrap_or_default() && shown.message.is_none() {
            return Err(Ended::Refused(text));
        }
        let (key, message) = (shown.key, shown.message);
        Err(Ended::answered(format!("the answer shows {key:?}, says {message:?} and complains: {text}")))
    }

    /// Whether the answer says that it was saved: a new thing by its number, a known one by the site's
    /// words, since its form would also show what was typed if nothing had been saved.
    pub(super) fn expect_saved(
        &self,
        answer: &Answer,
        known: Option<&str>,
        shown: &Shown<'_>,
        words: &str,
    ) -> Result<(), Ended> {
        self.expect_no_objection(answer, known, shown)?;
        match known {
            None if shown.key.is_empty() => Err(Ended::unsaid("neither a number nor a complaint")),
            Some(known) if shown.key != known => {
                Err(Ended::answered(format!("the answer shows {:?}, not {known:?}", shown.key)))
            }
            Some(_) if shown.message != Some(words) => {
                Err(Ended::answered(format!("the answer says {:?}, not {words:?}", shown.message)))
            }
            _ => Ok(()),
        }
    }

    /// What came of typing, as the end of an act if it did not come to its end.
    pub(super) fn typed<T>(&self, typed: Result<T, impl Into<Typing>>) -> Result<T, Ended> {
        typed.map_err(|error| match error.into() {
            Typing::Refused(text) => Ended::Refused(text),
            Typing::Client(error) => Ended::NotSent(match self.explained(error) {
                ClientError::SessionExpired => NotSent::SessionExpired,
                ClientError::LeaseLost(_) => NotSent::LeaseLost,
                other => NotSent::Other(other.to_string()),
            }),
        })
    }

    /// What the gate refused explains a page that is not what was expected better than the page does. Another
    /// site's picture or script may have been refused at any time: that is told besides.
    pub(super) fn explained(&self, error: ClientError) -> ClientError {
        let refusals = self.refusals();
        match (error, telling(&refusals)) {
            (ClientError::Unrecognised { page, key, selector, detail }, Some(Refused::Besides(refusal))) => {
                ClientError::Unrecognised { page, key, selector, detail: format!("{detail}; {refusal}") }
            }
            (ClientError::Unavailable(why), Some(Refused::Besides(refusal))) => {
                ClientError::Unavailable(format!("{why}; {refusal}"))
            }
            (
                ClientError::Unrecognised { .. } | ClientError::Unavailable(_),
                Some(Refused::This(refusal)),
            ) => ClientError::Unrecognised {
                page: refusal.page.clone(),
                key: "writes or harmless".to_owned(),
                selector: refusal.control.clone(),
                detail: format!("the gate refused it: {}", refusal.why),
            },
            (error, _) => error,
        }
    }

    fn refusals(&self) -> Vec<GateRefusal> {
        self.gate().map(Gate::take_refusals).unwrap_or_default()
    }
}

impl Ended {
    /// Ambiguous, and the request is over at the ERP.
    pub(super) fn answered(evidence: impl ToString) -> Self {
        Self::Ambiguous { evidence: evidence.to_string(), answered: true }
    }

    pub(super) fn unsaid(what: &str) -> Self {
        Self::answered(format!("the answer shows {what}"))
    }

    pub(super) fn outcome<R>(self) -> ActOutcome<R> {
        match self {
            Self::Refused(text) => ActOutcome::Refused(text),
            Self::NotSent(why) => ActOutcome::NotSent(why),
            Self::Ambiguous { evidence, answered } => ActOutcome::Ambiguous { evidence, answered },
        }
    }
}

/// The fence of an intent.
pub(super) fn fence(intent: Intent, gate: Arc<dyn CommitGate>) -> Fence {
    Box::new(move || async move { gate.open(intent).await.map(|permit| permit.until()) }.boxed())
}

fn fenced(refused: &GateRefused) -> NotSent {
    match &refused.0 {
        FenceError::Superseded => NotSent::LeaseLost,
        other => NotSent::Other(other.to_string()),
    }
}

/// No request came to the gate, and none will get through any more.
fn not_sent(clicked: Result<(), DriverError>, refusals: &[GateRefusal]) -> NotSent {
    let why = match clicked {
        Err(DriverError::LeaseLost { .. }) => return NotSent::LeaseLost,
        Err(error) => error.to_string(),
        Ok(()) => "the click sent no request".to_owned(),
    };
    NotSent::Other(match telling(refusals) {
        Some(Refused::This(refusal)) => refusal.to_string(),
        Some(Refused::Besides(refusal)) => format!("{why}; {refusal}"),
        None => why,
    })
}

/// A refusal, and whether it is what went wrong.
#[derive(Debug, PartialEq, Eq)]
enum Refused<'a> {
    This(&'a GateRefusal),
    /// Of another site: it may have nothing to do with it.
    Besides(&'a GateRefusal),
}

/// The last one that is the ERP's, else the last.
fn telling(refusals: &[GateRefusal]) -> Option<Refused<'_>> {
    let own = refusals.iter().rfind(|refusal| refusal.why != Why::Foreign);
    own.map(Refused::This).or_else(|| refusals.last().map(Refused::Besides))
}

#[cfg(test)]
mod tests {
    use archibald_core::port::LeaseLost;

    use super::*;

    fn refusal(page: &str, why: Why) -> GateRefusal {
        GateRefusal { page: page.into(), control: "any".into(), why }
    }

    #[test]
    fn what_another_site_was_refused_hides_nothing() {
        let font = refusal("https://fonts.test/", Why::Foreign);
        let own = refusal("order", Why::Unknown);
        let told = |refusals: &[GateRefusal]| match not_sent(Ok(()), refusals) {
            NotSent::Other(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(told(&[]), "the click sent no request");
        assert_eq!(told(&[own.clone(), font.clone()]), own.to_string());
        assert_eq!(told(std::slice::from_ref(&font)), format!("the click sent no request; {font}"));
        let lost = || DriverError::LeaseLost { what: "a click", source: LeaseLost };
        assert_eq!(not_sent(Err(lost()), &[own, font]), NotSent::LeaseLost);
    }
}
