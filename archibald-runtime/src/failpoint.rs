use archibald_core::id::OperationId;
use async_trait::async_trait;

/// Named places in an attempt at which a test may hold, kill or fail the process.
///
/// | name | where |
/// | --- | --- |
/// | `effect.intended` | the intent is committed, the page not touched yet |
/// | `effect.released` | `released` is committed, no byte has left |
/// | `effect.answered` | the act has ended, nothing is recorded |
/// | `repair.answered` | the repair has ended, nothing is recorded |
/// | `effect.recorded` | the receipt is committed, the operation not settled |
#[async_trait]
pub trait Failpoints: Send + Sync {
    /// An attempt is at `name`. Whatever this waits for, the attempt waits for.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn at(&self, name: &'static str, operation: OperationId);
}

/// Nothing is held, killed or failed.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFailpoints;

#[async_trait]
impl Failpoints for NoFailpoints {
    async fn at(&self, _name: &'static str, _operation: OperationId) {}
}
