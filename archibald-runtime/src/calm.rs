use std::panic::AssertUnwindSafe;

use archibald_core::error::StoreError;
use futures::FutureExt;

/// Calls a store. Its panic is its failure, and must not end what keeps the other agents going.
///
/// # Cancel safety
/// That of the call.
pub(crate) async fn calm<T, E: From<StoreError>>(
    what: &'static str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let panicked = || StoreError::Unavailable { what: format!("{what} panicked"), cause: None };
    caught(what, call).await.unwrap_or_else(|| Err(panicked().into()))
}

/// Awaits it; `None` where it panicked.
///
/// # Cancel safety
/// That of the call.
pub(crate) async fn caught<T>(what: &'static str, call: impl Future<Output = T>) -> Option<T> {
    let done = AssertUnwindSafe(call).catch_unwind().await;
    done.inspect_err(|_| tracing::error!("{what} panicked")).ok()
}
