//! A page map held against the site that it is for, before anything is written there.
//!
//! The check logs in once, opens every page of the map, and says of each key whether the flows would find what
//! they need. It goes the flows' road, through the commit gate, and never arms it: what the map calls a write
//! cannot leave. What it posts is the login, the searches, the next page of a list and of an order's lines, and a line
//! on an empty order that nobody saves and whose header stays empty. The next page of an order's lines carries the
//! order's form as it is shown. A link that is a plain address is followed like any page.

mod forms;
mod grids;
mod lists;
mod login;
mod names;
mod probe;
mod report;
mod visit;

use std::sync::Arc;
use std::time::Duration;

use archibald_core::port::Credentials;
use tokio_util::sync::CancellationToken;

use self::login::Entered;
pub use self::report::{Finding, MapReport, PageReport, Picture, Problem, Verdict};
use self::visit::Visitor;
use super::Site;
use crate::driver::{Browser, BrowserError, DriverError};
use crate::gate::Gate;
use crate::launch::sweep;
use crate::pool::{PoolError, PoolOptions};

/// What the browser gets to end by itself.
const CLOSING: Duration = Duration::from_secs(10);

/// Why a page map could not be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is no Chromium, or the gate cannot go by the map.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The browser does not start.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// The browser ended meanwhile.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// There is no port for the gate.
    #[error("the gate cannot be opened")]
    Gate(#[source] std::io::Error),
    /// It was told to stop.
    #[error("the check was stopped")]
    Stopped,
}

/// Checks the site's page map as this user, in a browser of its own, which is gone afterwards. Of the options,
/// those for the launch and the ERP's certificate count. Each step has the site's time for a step. Profiles that
/// killed processes left are removed first.
///
/// `stop` ends it at once; on its return the browser and its profile are gone, with the session in it.
///
/// # Errors
/// [`CheckError`] where there is no browser, or it was stopped. What is wrong with the map is in the report.
///
/// # Cancel safety
/// Dropped, the browser is killed, and its profile removed behind our back: a process that ends at once may leave it
/// for the next sweep. The login may have happened.
pub async fn check_page_map(
    options: PoolOptions,
    site: Site,
    who: &Credentials,
    stop: &CancellationToken,
) -> Result<MapReport, CheckError> {
    let (launch, rules) = options.prepared(&site)?;
    let profiles = launch.profiles.clone();
    let _ = tokio::task::spawn_blocking(move || sweep(&profiles)).await;
    let browser = Browser::launch(&launch).await?;
    let checked = async {
        let gate = Gate::build(Arc::new(rules)).await.map_err(CheckError::Gate)?;
        let context = browser.new_context(Some(gate)).await?;
        let mut visitor = Visitor::new(&site, &context, who).await?;
        match visitor.log_in().await? {
            Entered::In => visit_all(&mut visitor).await?,
            Entered::Out => visitor.leave_out_the_rest(),
        }
        Ok(visitor.into_report())
    };
    let report = tokio::select! {
        report = checked => report,
        () = stop.cancelled() => Err(CheckError::Stopped),
    };
    browser.close(CLOSING).await;
    report
}

/// Lists first: what they show is what the forms are opened with.
async fn visit_all(visitor: &mut Visitor<'_>) -> Result<(), DriverError> {
    visitor.start().await?;
    let orders = visitor.orders().await?;
    let customers = visitor.customers().await?;
    let products = visitor.products().await?;
    visitor.prices().await?;
    visitor.order_forms(&orders, &products).await?;
    visitor.customer_forms(&customers).await
}
