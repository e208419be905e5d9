//! The suite that every [`Journal`](super::Journal) must pass.
//!
//! Each property is a function that takes an empty [`JournalUnderTest`] and panics
//! if the property does not hold. [`all`] runs them one after the other;
//! [`conformance_tests!`](crate::conformance_tests) makes a test of each, so that a
//! failure has a name:
//!
//! ```text
//! conformance_tests!(async || JournalUnderTest::new(MyJournal::empty().await));
//! ```
//!
//! - `commits`, `heads`, `payloads`: commits of whole records, of heads, and of
//!   large inputs and outputs.
//! - `events`, `outbox`: listings of events and of outbox entries.
//! - `wakes`, `workers`: wake-ups, claims and counts; who lives.
//! - `audit`: the audit trail.
//! - `approvals`: the list of approvals; `run_lists`: those of runs, nodes, attempts.
//! - `steering`: pauses, held runs, nodes that are set aside or canceled.
//! - `work`: the work of all runs, and evidence of one.
//! - `secrets`: secrets by name; `bulk`: bulk jobs.
//! - `parking`, `pruning`: parked items; deletion of finished runs.
//! - `webhooks`: notices, subscriptions, deliveries.
//! - `shared`: what a journal promises besides that several processes share.
//! - `samples`: records to commit, and the `Probe` that the properties use.
//!
//! The journal under test must keep an outbox.

mod approvals;
mod audit;
mod bulk;
mod commits;
mod events;
mod heads;
mod marks;
mod outbox;
mod parking;
mod payloads;
mod pruning;
mod run_lists;
mod samples;
mod secrets;
pub mod shared;
mod steering;
mod wakes;
mod webhooks;
mod work;
mod workers;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use self::{
    approvals::*, audit::*, bulk::*, commits::*, events::*, heads::*, marks::*, outbox::*, parking::*,
    payloads::*, pruning::*, run_lists::*, samples::*, secrets::*, steering::*, wakes::*, webhooks::*,
    work::*, workers::*,
};
use super::inspect::Inspect;

/// Opens what a journal left behind, once it is closed.
pub type Reopen = Box<dyn FnOnce() -> BoxFuture<'static, Arc<dyn Inspect>> + Send>;

/// An empty journal.
pub struct JournalUnderTest {
    pub journal: Arc<dyn Inspect>,
    /// How to reopen it, if that is possible.
    pub reopen: Option<Reopen>,
    /// What must live as long as the journal: a directory, a server.
    pub guard: Box<dyn Send>,
}

impl JournalUnderTest {
    pub fn new(journal: impl Inspect) -> Self {
        Self { journal: Arc::new(journal), reopen: None, guard: Box::new(()) }
    }
}

/// Calls another macro with `$given` and the names of all properties.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_journal_property {
    ($then:path, $given:expr) => {
        $then! {
            $given;
            commit_is_all_or_nothing
            conflict_does_not_affect_other_commits
            versions_count_up_and_stale_ones_conflict
            new_record_must_not_exist
            records_are_read_as_they_were_stored
            missing_records_are_not_found
            attempts_are_replaced_by_number_and_listed_in_order
            live_nodes_are_listed_deepest_first_and_by_subtree
            heads_agree_with_records
            head_commit_changes_only_state_end_and_wake
            inputs_and_outputs_of_any_size_are_read_whole
            unread_inputs_and_outputs_stay_stored
            live_records_need_a_wake_up_or_deadline
            ids_with_special_characters_are_opaque
            big_bodies_are_read_whole
            concurrent_commits_are_all_durable
            racing_commits_have_one_winner
            reopened_journal_has_everything
            first_secret_of_a_name_is_kept
            secret_is_replaced_only_if_it_is_as_expected
            marks_are_kept_by_name
            changed_runs_are_found_from_a_time_on
            events_are_listed_in_order_without_gaps
            event_page_keeps_both_limits
            subtree_events_are_found_across_sparse_pages
            event_page_reports_the_last_event
            due_wakes_are_claimed_in_order_and_once
            held_claims_are_listed_by_job_once_due
            two_workers_never_claim_the_same_wake
            dispatches_of_excepted_runs_are_not_claimed
            wakes_are_claimed_by_job_and_kind
            claim_makes_earlier_reads_stale
            claims_of_dead_workers_become_due_immediately
            worker_that_has_beaten_is_not_declared_dead
            duty_is_held_by_one_living_worker
            signs_of_life_are_those_of_all_workers
            fenced_worker_writes_nothing
            released_claims_become_due_immediately
            next_wake_is_the_earliest_unclaimed_one
            overdue_runs_are_listed_until_they_end
            counts_follow_the_stored_records
            load_names_the_oldest_first
            outbox_lists_entries_in_order_until_acknowledged
            listed_outbox_entries_can_be_read
            owed_entries_are_for_one_recipient_and_not_in_hand
            run_is_settled_when_its_entries_are_acknowledged
            outbox_has_exactly_the_entries_of_the_change_set
            adopted_events_may_have_gaps
            parked_wake_is_unclaimed_until_its_time
            parked_run_is_not_overdue_until_its_time
            decided_items_are_no_longer_parked
            item_with_an_unchanged_wake_stays_parked
            parking_again_keeps_the_first_time
            items_without_a_wake_up_cannot_be_parked
            finished_runs_are_pruned_whole_oldest_first
            run_with_outbox_entries_or_wake_ups_is_not_pruned
            pruned_run_loses_its_parked_items
            latest_commit_time_is_that_of_a_run
            audit_records_are_part_of_their_commit
            audit_records_are_read_as_stored_after_a_restart
            audit_trail_is_listed_in_pages_by_filter
            audit_page_reports_the_last_record
            old_audit_records_are_pruned_oldest_first
            audit_records_outlive_their_run
            runs_are_listed_newest_first_in_pages
            listed_runs_pass_the_filter_and_the_rule
            list_follows_the_end_and_the_deletion_of_a_run
            runs_are_found_by_their_labels
            counts_of_owners_and_states_are_exact
            runs_that_need_attention_say_why
            tree_has_each_node_before_its_descendants
            attempts_are_read_in_pages
            run_that_is_repeated_is_not_pruned
            bulk_job_is_read_as_it_was_written
            bulk_jobs_are_listed_and_those_that_are_live
            old_bulk_jobs_are_pruned_with_their_results
            approvals_are_listed_oldest_first_in_pages
            approvals_are_listed_while_their_nodes_wait
            wake_of_an_approval_is_claimed_like_any_other
            pauses_are_kept_by_scope_with_an_audit_record
            commit_under_pauses_that_have_changed_is_a_conflict
            set_aside_wakes_are_claimed_at_their_time_or_resumed
            held_runs_are_listed_and_wake_up_at_the_end_of_their_hold
            canceled_nodes_are_listed_with_their_last_attempt
            work_is_counted_by_lane_worker_and_store
            exported_run_is_a_whole_bundle
            webhooks_are_bounded_listed_and_deleted_with_deliveries
            notices_are_part_of_their_commit
            newly_parked_item_is_reported_if_wanted
            reports_of_executors_are_kept_with_their_notices
            deliveries_wait_in_order_until_accepted
            given_up_deliveries_are_listed_retried_and_pruned
            webhook_whose_target_is_gone_is_disabled
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! run_journal_properties {
    ($make:expr; $($property:ident)+) => {
        $( $crate::journal::conformance::$property($make.await).await; )+
    };
}

/// Makes a test of each property. The argument is an `AsyncFn() -> JournalUnderTest`.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::for_each_journal_property!($crate::journal_property_tests, $make);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! journal_property_tests {
    ($make:expr; $($property:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                $crate::journal::conformance::$property(($make)().await).await;
            }
        )+
    };
}

/// Runs every property, each with a journal of its own.
pub async fn all(make: impl AsyncFn() -> JournalUnderTest) {
    for_each_journal_property!(run_journal_properties, make());
}
