use std::sync::Arc;

use archibald_core::id::OperationId;
use archibald_runtime::Failpoints;
use archibald_testing::failpoint::Failpoint;
use async_trait::async_trait;

use super::{SettingError, Settings};

/// The one that the settings arm; by default none.
///
/// # Errors
/// [`SettingError::Value`] for a name or a kind that there is not.
pub(super) fn from(settings: &Settings) -> Result<Option<Arc<Failpoint>>, SettingError> {
    let (Some(spec), Some(file)) = (settings.get("failpoint"), settings.get("failpoint-file")) else {
        return Ok(None);
    };
    let expected = "NAME:KIND or NAME:KIND:AGENT, of a known point and kind, and an agent's id";
    let spec = spec.parse().map_err(|_| settings.refuse("failpoint", expected))?;
    Ok(Some(Failpoint::armed(spec, file.into())))
}

/// The runtime's own places, passed as those of the ports are.
pub(super) fn in_attempts(point: &Arc<Failpoint>) -> Arc<dyn Failpoints> {
    Arc::new(InAttempts(point.clone()))
}

struct InAttempts(Arc<Failpoint>);

#[async_trait]
impl Failpoints for InAttempts {
    async fn at(&self, name: &'static str, _operation: OperationId) {
        self.0.at(name, None).await;
    }
}
