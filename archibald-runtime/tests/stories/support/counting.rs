use archibald_core::error::FieldError;
use archibald_core::id::{OperationKind, Target};
use archibald_runtime::{ActionContext, Completion, Interrupted, ReadAction};
use async_trait::async_trait;
use serde_json::{Value, json};

/// A kind of a user's own that only reads.
pub(crate) struct CountCustomers;

#[async_trait]
impl ReadAction for CountCustomers {
    fn kind(&self) -> OperationKind {
        OperationKind::new("count-customers").unwrap()
    }

    fn validate(&self, _payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        Ok(None)
    }

    async fn run(&self, context: &ActionContext<'_>) -> Result<Completion, Interrupted> {
        let page = context.client.read_customers(1).await?;
        Ok(Completion { result: json!({ "customers": page.customers.len() }), rows: vec![] })
    }
}
