//! Scripts that run in the page: a function of ours, its argument as JSON, its result as JSON.

use chromiumoxide::cdp::js_protocol::runtime::EvaluateParams;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DriverError, ElementProblem};

/// Finds and waits for elements; defined before every script that acts.
const LOCATE: &str = include_str!("js/locate.js");

/// Clicks when the element is ready.
pub(super) const CLICK: &str = include_str!("js/click.js");
/// Sets a field as a person would.
pub(super) const FILL: &str = include_str!("js/fill.js");
/// Waits until a predicate holds.
pub(super) const WAIT: &str = include_str!("js/wait.js");
/// The page's state in a few words.
pub(super) const STATE: &str = include_str!("js/state.js");
/// The whole of a document that is nothing but text.
pub(super) const PLAIN: &str =
    "() => document.contentType === 'text/plain' ? document.body?.textContent ?? '' : ''";
/// The document as text, without secrets.
pub(super) const CONTENT: &str = include_str!("js/content.js");

/// What a script shall act on.
#[derive(Serialize)]
pub(super) struct Acting<'a> {
    pub(super) selector: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<&'a str>,
    pub(super) limit: u64,
}

/// What a script shall wait for.
#[derive(Serialize)]
pub(super) struct Waiting<'a> {
    pub(super) selector: &'a str,
    pub(super) predicate: Option<&'a str>,
    pub(super) limit: u64,
}

/// What became of a field.
#[derive(Deserialize)]
pub(super) struct Filled {
    #[serde(default)]
    pub(super) changed: bool,
    pub(super) problem: Option<Problem>,
}

/// Why an element was not used.
#[derive(Deserialize)]
pub(super) struct Problem {
    why: String,
    #[serde(default)]
    by: String,
}

impl Problem {
    pub(super) fn of(self, selector: &str) -> DriverError {
        let problem = match self.why.as_str() {
            "missing" => ElementProblem::Missing,
            "hidden" => ElementProblem::Hidden,
            "disabled" => ElementProblem::Disabled,
            "covered" => ElementProblem::Covered(self.by),
            "no-entry" => ElementProblem::NoEntry(self.by),
            _ => ElementProblem::Moving,
        };
        DriverError::Element { selector: selector.into(), problem }
    }
}

/// What `Runtime.evaluate` answers, as far as we need it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Evaluated {
    result: Remote,
    exception_details: Option<Thrown>,
}

#[derive(Debug, Deserialize)]
struct Remote {
    #[serde(default)]
    value: Value,
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Thrown {
    text: String,
    exception: Option<Remote>,
}

/// A call of `function`, which is a JavaScript function expression, with one argument.
pub(super) fn call(function: &str, argument: &impl Serialize) -> Result<EvaluateParams, DriverError> {
    let argument = serde_json::to_string(argument)
        .map_err(|source| DriverError::Answer { method: "a script's argument", source })?;
    let expression =
        format!("(async (argument) => {{ {LOCATE}\nreturn await ({function})(argument); }})({argument})");
    let mut evaluate = EvaluateParams::new(expression);
    evaluate.await_promise = Some(true);
    evaluate.return_by_value = Some(true);
    Ok(evaluate)
}

impl Evaluated {
    pub(super) fn value(self) -> Result<Value, DriverError> {
        match self.exception_details {
            None => Ok(self.result.value),
            Some(thrown) => {
                let said = thrown.exception.and_then(|it| it.description).unwrap_or(thrown.text);
                let message = said.lines().next().unwrap_or_default().to_owned();
                Err(DriverError::Script { message })
            }
        }
    }
}

/// Whether a refusal means that the document went away under the script.
pub(super) fn is_replaced(refusal: &str) -> bool {
    const SAYINGS: [&str; 5] = [
        "Inspected target navigated or closed",
        "Execution context was destroyed",
        "Cannot find context with specified id",
        "Cannot find default execution context",
        "Promise was collected",
    ];
    SAYINGS.iter().any(|saying| refusal.contains(saying))
}
