//! The suite that every [`Journal`] must pass.
//!
//! Each property is a function that takes a [`JournalUnderTest`] with nothing in it
//! and panics if the property does not hold. [`all`] runs them one after the
//! other; [`conformance_tests!`](crate::conformance_tests) makes a test of
//! each, so that a failure has a name:
//!
//! ```text
//! conformance_tests!(async || JournalUnderTest::new(MyStore::empty().await));
//! ```
//!
//! The subject must keep an outbox.

mod adopted;
mod commits;
mod events;
mod parking;
mod pruning;
mod samples;
mod wakes;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use self::{adopted::*, commits::*, events::*, parking::*, pruning::*, samples::*, wakes::*};
use super::Journal;

/// Opens what a store left behind, once that store is gone.
pub type Reopen = Box<dyn FnOnce() -> BoxFuture<'static, Arc<dyn Journal>> + Send>;

/// A store under test, with nothing in it yet.
pub struct JournalUnderTest {
    pub journal: Arc<dyn Journal>,
    /// How to close and open it again, if that can be done.
    pub reopen: Option<Reopen>,
    /// Whatever must live as long as the store does: a directory, a server.
    pub guard: Box<dyn Send>,
}

impl JournalUnderTest {
    pub fn new(journal: impl Journal) -> Self {
        Self { journal: Arc::new(journal), reopen: None, guard: Box::new(()) }
    }
}

/// Calls another macro with `$given` and the names of all properties.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_store_property {
    ($then:path, $given:expr) => {
        $then! {
            $given;
            a_commit_is_all_or_nothing
            a_conflict_leaves_its_neighbours_alone
            versions_count_up_and_old_ones_conflict
            what_is_new_must_not_exist
            records_come_back_as_they_were_stored
            what_does_not_exist_is_not_found
            attempts_are_replaced_by_number_and_listed_in_order
            live_nodes_come_deepest_first_and_by_subtree
            heads_say_what_records_say
            a_change_of_a_head_leaves_all_else_as_it_is
            inputs_and_outputs_of_any_size_come_back_whole
            inputs_and_outputs_that_were_not_read_stay_as_they_are
            live_things_need_a_time_to_be_looked_at
            odd_ids_are_just_ids
            big_bodies_come_back_whole
            sixty_four_committers_at_once_are_all_durable
            racing_commits_have_one_winner
            everything_is_there_after_reopening
            a_secret_is_whatever_was_kept_first
            events_come_in_order_without_gaps
            a_page_of_events_keeps_both_limits
            events_within_a_subtree_are_found_across_sparse_pages
            a_page_that_ends_with_the_last_event_says_so
            wakes_are_claimed_when_due_in_order_and_once
            owned_wakes_are_named_by_job_once_they_should_be_done
            two_owners_never_claim_the_same_wake
            wakes_of_excepted_runs_are_left_alone
            wakes_are_claimed_by_job_and_kind
            a_claim_outdates_what_was_read_before
            wakes_of_dead_and_unknown_owners_become_due_at_once
            released_wakes_become_due_at_once
            the_next_wake_is_the_earliest_free_one
            overdue_runs_are_listed_until_they_are_over
            counts_follow_what_is_stored
            the_outbox_lists_what_changed_in_order_until_acknowledged
            what_the_outbox_names_can_be_read
            a_page_of_the_outbox_is_for_one_recipient_and_says_how_far_it_looked
            what_came_from_the_jarvis_stores_is_written_but_not_owed
            events_that_were_adopted_may_have_gaps
            a_parked_wake_is_nobodys_until_its_time_comes
            a_parked_run_is_not_overdue_until_its_time_comes
            what_is_decided_after_all_is_no_longer_parked
            what_waits_as_before_is_still_parked
            parking_again_keeps_when_it_began
            what_needs_nothing_cannot_be_parked
            finished_runs_are_forgotten_whole_oldest_first
            a_run_that_is_owed_or_has_a_wake_up_is_not_forgotten
            a_forgotten_run_takes_along_what_was_parked_of_it
            the_newest_time_is_that_of_the_latest_commit_of_a_run
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! run_store_properties {
    ($make:expr; $($property:ident)+) => {
        $( $crate::journal::conformance::$property($make.await).await; )+
    };
}

/// A test of each property. The argument is an `AsyncFn() -> JournalUnderTest`.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::for_each_store_property!($crate::store_property_tests, $make);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! store_property_tests {
    ($make:expr; $($property:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                $crate::journal::conformance::$property(($make)().await).await;
            }
        )+
    };
}

/// Every property, each with a subject of its own.
pub async fn all(make: impl AsyncFn() -> JournalUnderTest) {
    for_each_store_property!(run_store_properties, make());
}
