//! Which order a payload names: by its number, or by the draft that became it.

use archibald_core::error::{FieldError, StoreError};
use archibald_core::id::{AgentId, Collection, OperationKind, Target};
use archibald_core::operation::{Operation, OperationState};
use archibald_core::port::{OperationFilter, OperationStore};
use archibald_core::record::LocalRow;
use serde_json::{Value, json};

use super::orders::MAX_NUMBER;
use super::payload::{Nothing, both, read, take_text};
use super::rows;
use crate::action::{ActionContext, Interrupted};

/// Characters that a draft's id may have.
const MAX_DRAFT: usize = 64;

/// An order that exists, or will when the turn of the operation comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WhichOrder {
    Number(String),
    Draft(String),
}

impl WhichOrder {
    /// Takes the fields that name the order out of a payload: exactly one of `order` and `pending_order`.
    pub(super) fn take(payload: &mut Value) -> Result<Self, Vec<FieldError>> {
        let number = take_text(payload, "order", MAX_NUMBER);
        match both(number, Self::take_draft(payload))? {
            (Some(number), None) => Ok(Self::Number(number)),
            (None, Some(draft)) => Ok(draft),
            (given, _) => {
                let got = if given.is_some() { "both" } else { "neither" };
                let detail = format!("must be given, or /pending_order in its place; got {got}");
                Err(vec![FieldError::new("/order", detail)])
            }
        }
    }

    /// Takes the draft out of a payload that may name one.
    pub(super) fn take_draft(payload: &mut Value) -> Result<Option<Self>, Vec<FieldError>> {
        Ok(take_text(payload, "pending_order", MAX_DRAFT)?.map(Self::Draft))
    }

    /// Reads a payload that names an order and nothing else.
    pub(super) fn alone(payload: &Value) -> Result<Self, Vec<FieldError>> {
        let mut rest = payload.clone();
        let which = Self::take(&mut rest);
        both(which, read::<Nothing>(&rest)).map(|(which, _)| which)
    }

    /// What operations on it wait for each other by.
    pub(super) fn target(&self) -> Target {
        let target = match self {
            Self::Number(number) => format!("order:{number}"),
            Self::Draft(id) => format!("draft:{id}"),
        };
        Target::new(target).expect("a checked text is short and has no control characters")
    }

    /// The draft that an order was, where it was one: operations that name it by its number wait for those
    /// that name it by its draft.
    pub(super) async fn canonical(
        store: &dyn OperationStore,
        agent: &AgentId,
        target: Target,
    ) -> Result<Target, StoreError> {
        let Some(number) = target.as_str().strip_prefix("order:") else { return Ok(target) };
        let origin = rows::row(store, agent, origins(), number).await?;
        let draft = origin.as_ref().and_then(|doc| doc["draft"].as_str());
        Ok(draft.map_or(target, |draft| Self::Draft(draft.to_owned()).target()))
    }

    /// The local row by which a submitted draft is found under its order's number.
    pub(super) fn origin_row(draft: &Self, number: &str) -> Option<LocalRow> {
        let Self::Draft(draft) = draft else { return None };
        let doc = Some(json!({ "draft": draft }));
        Some(LocalRow { collection: origins(), id: number.to_owned(), doc, event: None })
    }

    /// The number at the ERP. A draft has one once it was submitted; what its submission came to stands in the
    /// newest operation that has it as its target, since those go one after another.
    pub(super) async fn number(&self, context: &ActionContext<'_>) -> Result<String, Interrupted> {
        let draft = match self {
            Self::Number(number) => return Ok(number.clone()),
            Self::Draft(draft) => draft,
        };
        let submitted = submission(context, &self.target()).await?;
        submitted_as(draft, submitted.as_ref()).map_err(Interrupted::Rejected)
    }
}

/// Which order was which draft.
fn origins() -> Collection {
    Collection::new("order-origins").expect("a valid collection")
}

/// The operation that submits this draft: the one that holds it, else the newest.
async fn submission(context: &ActionContext<'_>, draft: &Target) -> Result<Option<Operation>, Interrupted> {
    let kind = OperationKind::new("submit-order").expect("a valid kind");
    let newest = OperationFilter {
        kind: Some(kind),
        target: Some(draft.clone()),
        limit: 100,
        ..OperationFilter::default()
    };
    let page = context.store().list(&context.operation.agent, &newest).await?;
    let mut submissions: Vec<_> = page.records.into_iter().map(|record| record.operation).collect();
    let holder = submissions.iter().position(|operation| operation.state.holds_target()).unwrap_or(0);
    Ok((holder < submissions.len()).then(|| submissions.swap_remove(holder)))
}

fn submitted_as(draft: &str, submission: Option<&Operation>) -> Result<String, String> {
    let Some(operation) = submission else {
        return Err(format!(
            "pending order {draft} was not submitted: there is no operation that submits it"
        ));
    };
    let became = match &operation.state {
        OperationState::Completed { result } => match result.get("order").and_then(Value::as_str) {
            Some(number) => return Ok(number.to_owned()),
            None => "names no order".to_owned(),
        },
        OperationState::Rejected { why } => format!("was rejected: {why}"),
        OperationState::Failed { why, .. } => format!("failed: {why}"),
        OperationState::Cancelled { by } => format!("was cancelled by {by}"),
        state @ (OperationState::Available { .. }
        | OperationState::Running { .. }
        | OperationState::InDoubt { .. }) => {
            format!("came later and is {}", state.name())
        }
    };
    Err(format!("pending order {draft} was not submitted: operation {} {became}", operation.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(mut payload: Value) -> String {
        let errors = WhichOrder::take(&mut payload).unwrap_err();
        errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect()
    }

    #[test]
    fn an_order_is_named_once() {
        let mut payload = json!({ "order": "20001", "note": "x" });
        let which = WhichOrder::take(&mut payload).unwrap();
        assert_eq!((which.target().as_str(), payload), ("order:20001", json!({ "note": "x" })));
        let mut payload = json!({ "pending_order": "d1" });
        assert_eq!(WhichOrder::take(&mut payload).unwrap().target().as_str(), "draft:d1");
        assert_eq!(
            complaint(json!({ "order": "1", "pending_order": "d1" })),
            "/order must be given, or /pending_order in its place; got both"
        );
        assert_eq!(complaint(json!({})), "/order must be given, or /pending_order in its place; got neither");
        assert_eq!(complaint(json!({ "order": 20001 })), "/order must be a text");
        assert_eq!(
            complaint(json!({ "pending_order": "x".repeat(65) })),
            "/pending_order must have 1 to 64 characters, got 65"
        );
        assert_eq!(complaint(json!({ "order": "" })), "/order must have 1 to 40 characters, got 0");
    }
}
