//! The stories that every store must pass.
//!
//! A store is anything that implements [`OperationStore`], [`PendingOrderStore`], [`AgentLock`], [`EventBus`] and
//! [`AgentStore`].
//! Give [`store_conformance!`](crate::store_conformance) an async function that makes a fresh, empty one, and it
//! expands into one test a story:
//!
//! ```
//! use std::sync::Arc;
//! use archibald_testing::conformance::{Ports, StoreUnderTest};
//! use archibald_testing::memory::MemoryStore;
//!
//! struct Mine(Arc<MemoryStore>);
//!
//! impl StoreUnderTest for Mine {
//!     fn ports(&self) -> Ports {
//!         Ports::of(self.0.clone())
//!     }
//! }
//!
//! async fn fresh() -> Mine {
//!     Mine(Arc::default())
//! }
//!
//! archibald_testing::store_conformance!(fresh);
//! ```
//!
//! The crate that uses the macro needs `tokio` with `macros` and `rt-multi-thread`.
#![allow(clippy::unwrap_used, clippy::panic)] // Stories are tests: a failed expectation ends them.

mod administer;
mod agents;
mod checks;
mod effects;
mod enqueue;
mod events;
mod leases;
mod pending_orders;
mod reading;
mod recovery;
mod settling;
mod submitting;
mod surveying;
mod waking;

use std::sync::Arc;
use std::time::Duration;

use archibald_core::port::{AgentLock, AgentStore, EventBus, OperationStore, PendingOrderStore};
use async_trait::async_trait;

pub use self::administer::*;
pub use self::agents::*;
pub use self::effects::*;
pub use self::enqueue::*;
pub use self::events::*;
pub use self::leases::*;
pub use self::pending_orders::*;
pub use self::reading::*;
pub use self::recovery::*;
pub use self::settling::*;
pub use self::submitting::*;
pub use self::surveying::*;
pub use self::waking::*;

/// How long a story may take before it counts as hung.
pub const STORY_LIMIT: Duration = Duration::from_secs(120);

/// A store, and what a test may do to it from outside.
#[async_trait]
pub trait StoreUnderTest: Send {
    /// The store as it is now open.
    fn ports(&self) -> Ports;

    /// Lets this much of the store's time pass. Waits unless the store's clock can be moved.
    async fn advance(&mut self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    /// Closes the store and opens it again, as after a restart of the process; [`Self::ports`] are new
    /// ones then. Does nothing where nothing outlives the process.
    async fn reopen(&mut self) {}

    /// Removes what it left. Not called when the story failed.
    async fn finish(&mut self) {}
}

/// The ports of one store.
#[derive(Clone)]
pub struct Ports {
    /// Operations.
    pub store: Arc<dyn OperationStore>,
    /// Orders in the making.
    pub pending_orders: Arc<dyn PendingOrderStore>,
    /// Leases.
    pub lock: Arc<dyn AgentLock>,
    /// Events.
    pub bus: Arc<dyn EventBus>,
    /// Agents that were added.
    pub agents: Arc<dyn AgentStore>,
}

impl Ports {
    /// The ports of one value that has them all.
    pub fn of<S>(store: Arc<S>) -> Self
    where
        S: OperationStore + PendingOrderStore + AgentLock + EventBus + AgentStore + 'static,
    {
        Self {
            store: store.clone(),
            pending_orders: store.clone(),
            lock: store.clone(),
            bus: store.clone(),
            agents: store,
        }
    }
}

/// One test a story, each with a fresh store. See [`conformance`](crate::conformance).
#[macro_export]
macro_rules! store_conformance {
    ($fresh:expr) => {
        $crate::store_conformance! { @tests $fresh;
            one_key_is_one_operation,
            a_key_is_not_used_for_something_else,
            a_key_answers_after_the_end_too,
            the_queue_has_a_limit,
            a_waiting_sync_answers_the_next_request_for_one,
            a_caller_that_leaves_changes_nothing,
            a_target_is_taken_once,
            one_lease_an_agent,
            what_comes_alone_is_leased_as_it_is_accepted,
            the_whole_lease,
            what_cannot_start_is_accepted_and_waits,
            tokens_only_grow,
            an_operation_waits_for_its_time,
            same_target_one_after_another,
            a_paused_agent_leases_nothing,
            a_lock_out_and_a_persons_pause_end_one_by_one,
            what_is_paused_is_not_leased,
            handed_back_is_as_if_never_taken,
            renewal_returns_the_survivors,
            renewal_moves_the_end,
            a_lost_lease_changes_nothing,
            a_lease_can_be_taken_away,
            reaping_gives_the_step_of_the_journal,
            an_ended_lease_stands_in_nobodys_way,
            the_journal_outlives_a_restart,
            places_and_tokens_go_on_after_a_restart,
            a_gate_opens_once,
            the_end_of_a_lease_is_what_the_store_has,
            a_receipt_is_kept_once,
            settling_writes_everything,
            a_refused_settlement_writes_nothing,
            a_row_that_did_not_change_tells_nobody,
            a_checkpoint_keeps_place_and_rows,
            evidence_is_numbered_through,
            an_agent_is_handed_on,
            an_agent_is_freed_where_it_cannot_be_handed_on,
            a_refused_settlement_hands_nothing_on,
            cancelling_withdraws_what_has_no_effect,
            redriving_keeps_the_journal,
            a_doubt_is_resolved_by_a_person,
            old_operations_are_forgotten_whole,
            a_pending_order_is_created_once,
            who_edits_an_old_version_overwrites_nothing,
            a_mutation_that_is_repeated_is_one_change,
            two_devices_submit_one_pending_order_once,
            what_is_submitted_is_locked_until_it_is_an_order,
            what_was_rejected_is_corrected_and_submitted_anew,
            a_doubt_keeps_a_pending_order_locked,
            what_starts_again_takes_its_pending_order_back,
            a_stale_submission_is_refused_whole,
            pending_orders_of_agents_are_their_own,
            pending_orders_are_paged_newest_first,
            open_pending_orders_have_a_limit,
            a_pending_order_goes_with_its_operation,
            changes_of_a_pending_order_are_told_without_a_hole,
            a_snapshot_has_the_pending_orders_of_its_place,
            pending_orders_outlive_a_restart,
            what_waits_in_order,
            a_survey_pages_over_agents,
            a_long_queue_crowds_nobody_out_of_a_survey,
            a_survey_tells_of_pauses_and_ended_leases,
            a_survey_tells_who_works,
            listing_filters_and_pages,
            rows_are_searched_and_paged,
            agents_are_isolated,
            events_are_numbered_without_a_hole,
            reading_goes_on_after_a_cursor,
            a_place_that_cannot_be_served_is_reset,
            what_may_be_pruned_is_old_or_too_much,
            a_new_epoch_resets_everybody,
            a_snapshot_agrees_with_its_place,
            a_snapshot_shows_the_last_finished,
            a_device_misses_no_commit,
            workers_are_woken_for_what_became_available,
            progress_is_the_latest_of_what_runs,
            an_agent_is_kept_once,
            a_kept_agent_is_replaced_where_it_is_as_it_was_seen,
            kept_agents_are_read_by_pages,
            kept_agents_outlive_a_restart,
        }
    };
    (@tests $fresh:expr; $($story:ident,)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $story() {
                let mut under = ($fresh)().await;
                let story = $crate::conformance::$story(&mut under);
                let ended = ::tokio::time::timeout($crate::conformance::STORY_LIMIT, story).await;
                ended.expect("the story is not over within its limit");
                $crate::conformance::StoreUnderTest::finish(&mut under).await;
            }
        )*
    };
}
