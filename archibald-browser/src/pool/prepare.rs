use std::sync::Arc;

use super::{PoolError, PoolOptions};
use crate::erp::Site;
use crate::gate::{GateRules, Tls};
use crate::launch::{Engine, LaunchOptions};

impl PoolOptions {
    /// How a browser is started for this site, and what its gate goes by: with an engine that is there, and a
    /// key for the gate where the ERP is at an https address.
    pub(crate) fn prepared(&self, site: &Site) -> Result<(LaunchOptions, GateRules), PoolError> {
        let mut launch = self.launch.clone();
        let engine = match launch.engine.take() {
            Some(path) => Engine::at(path)?,
            None => Engine::find()?,
        };
        launch.engine = Some(engine.path);
        let rules = site.map().gate_rules(site.base())?;
        if site.base().scheme() != "https" {
            return Ok((launch, rules));
        }
        let tls = Tls::new(site.base(), self.erp_ca.as_deref())?;
        launch.gate_keys.push(tls.key().to_owned());
        Ok((launch, rules.over_tls(Arc::new(tls))))
    }
}
