use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use archibald_core::id::OperationId;
use archibald_runtime::{Failpoints, NoFailpoints};
use async_trait::async_trait;

use super::Settings;

/// Holds the first attempt that reaches a failpoint, for ever, and says so in a file: the barrier behind
/// which a test kills this process.
struct Hold {
    at: String,
    file: PathBuf,
    held: AtomicBool,
}

#[async_trait]
impl Failpoints for Hold {
    async fn at(&self, name: &'static str, operation: OperationId) {
        if name != self.at || self.held.swap(true, Relaxed) {
            return;
        }
        let partial = self.file.with_extension("partial");
        let written = tokio::fs::write(&partial, operation.to_string()).await;
        if written.is_ok() && tokio::fs::rename(&partial, &self.file).await.is_ok() {
            tracing::warn!(name, %operation, "held at a failpoint");
            std::future::pending::<()>().await;
        }
        tracing::error!(file = %self.file.display(), "the hold file cannot be written; not held");
    }
}

/// As the settings say; by default nothing is ever held.
pub(super) fn from(settings: &Settings) -> Arc<dyn Failpoints> {
    match (settings.get("hold-at"), settings.get("hold-file")) {
        (Some(at), Some(file)) => {
            Arc::new(Hold { at: at.to_owned(), file: file.into(), held: AtomicBool::new(false) })
        }
        _ => Arc::new(NoFailpoints),
    }
}
