//! The table of metrics: name, type, labels, meaning. Documentation, alert rules
//! and the dashboard are made from it or checked against it.
//!
//! Names follow the conventions of Prometheus: base units, `_total` for counters,
//! one quantity a name. Labels have few values, which are all known beforehand or
//! come from the configuration: no ids, no types, nothing that a caller chooses.

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Type {
    #[cfg(test)]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric with all its labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) type_: Type,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

macro_rules! families {
    ($($constant:ident = $type:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(crate) const $constant: Family = Family {
            name: $name,
            type_: Type::$type,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// All of them, in the order of the documentation.
        #[cfg(test)]
        pub(super) const ALL: &[Family] = &[$($constant),*];
    };
}

families! {
    HTTP_SERVER_DURATION = Histogram "http_server_request_duration_seconds"
        ["operation", "http_response_status_code"]
        "Time from a request to the head of its answer, by operation of the API documents";
    HTTP_SERVER_ACTIVE = Gauge "http_server_active_requests" [] "Requests without an answer";
    HTTP_CLIENT_DURATION = Histogram "http_client_request_duration_seconds" ["service", "outcome"]
        "Time from our request to the head of its answer; outcome 2xx to 5xx, or none if there was no answer";

    RUNS_STARTED = Counter "arp_runs_started_total" [] "Runs that were started";
    RUNS_COMPLETED = Counter "arp_runs_completed_total" ["state", "error_code"]
        "Runs that ended; error_code is one of the contract's, other, or empty";
    RUN_DURATION = Histogram "arp_run_duration_seconds" ["state"] "Time from the start of a run to its end";
    RUNS_LIVE = Gauge "arp_runs_live" ["state"]
        "Runs that have not ended: held by an operator, or running";
    NODE_RUNS_CREATED = Counter "arp_node_runs_created_total" ["kind"] "Node runs that were created, roots included";
    NODE_RUNS_COMPLETED = Counter "arp_node_runs_completed_total" ["kind", "state", "error_code"]
        "Node runs that ended; error_code is one of the contract's, other, or empty";
    NODE_RUN_QUEUE = Histogram "arp_node_run_queue_seconds" ["kind"]
        "Time from the creation of a node run until it is handed to its executor for the first time";
    NODE_RUN_DURATION = Histogram "arp_node_run_duration_seconds" ["kind", "state"]
        "Time from the first hand-over of a node run to its end";
    NODE_RUNS_LIVE = Gauge "arp_node_runs_live" [] "Node runs that have not ended";
    ATTEMPTS = Counter "arp_attempts_total" ["kind", "outcome"]
        "Calls to execute or begin a node run, by what came of them";
    ATTEMPTS_LOGGED = Counter "arp_attempts_logged_total" ["outcome"]
        "Attempts that did not end their node run: retried, late, lost with a process, fenced off";
    POLICY_DECISIONS = Counter "arp_policy_decisions_total" ["action", "decision"] "Policy decisions";
    EVENTS = Counter "arp_events_appended_total" ["type"] "Events that were appended";
    CANCELS = Counter "arp_cancel_notifications_total" ["outcome"]
        "Cancels sent to executors: acknowledged, again (to be repeated), given_up";

    WORK_DUE = Gauge "arp_work_due" [] "Wake-ups that are due and not claimed";
    WORK_IN_HAND = Gauge "arp_work_in_hand" [] "Wake-ups that are claimed and not done";
    WORK_WAITING = Gauge "arp_work_waiting" [] "Node runs that wait for their dispatch, now or later";
    WORK_EXECUTING = Gauge "arp_work_executing" [] "Node runs that are at executors";
    WORK_WAITING_OLDEST = Gauge "arp_work_waiting_oldest_timestamp_seconds" []
        "Since when the node run waits that has waited the longest for its executor";
    WORK_EXECUTING_OLDEST = Gauge "arp_work_executing_oldest_timestamp_seconds" []
        "When the node run was handed over that is at its executor the longest";
    APPROVALS_WAITING = Gauge "arp_approvals_waiting" [] "Node runs that wait for an approval";
    WORK_PARKED = Gauge "arp_work_parked" [] "Wake-ups that cannot be processed and are set aside";
    WORK_WITHOUT_WAKE_UP = Gauge "arp_work_without_wake_up" [] "Live records without a wake-up: never expected";
    EXECUTOR_IN_HAND = Gauge "arp_executor_node_runs_in_hand" ["executor"]
        "Node runs of an executor that are in memory: at it, or waiting for it";
    EXECUTOR_ROOM = Gauge "arp_executor_node_runs_room" ["executor"] "How many more fit";
    EXECUTOR_SLOTS = Gauge "arp_executor_slots" ["executor", "member"] "Concurrent calls that are allowed";
    EXECUTOR_IN_FLIGHT = Gauge "arp_executor_slots_in_use" ["executor", "member"] "Concurrent calls";
    EXECUTOR_WAITING = Gauge "arp_executor_slots_waiting" ["executor"] "Node runs that wait for a free slot";
    EXECUTOR_LEFT_ALONE = Counter "arp_executor_left_alone_total" ["executor", "member"]
        "How often it failed several times in a row and was left alone";
    EXECUTOR_BREAKER_OPEN = Gauge "arp_executor_breaker_open" ["executor", "member"]
        "1 while the circuit breaker is open or half open";

    COMMIT_DURATION = Histogram "arp_journal_commit_duration_seconds" []
        "Time of a commit, the wait for its group included";
    COMMITS = Counter "arp_journal_commits_total" ["result"] "Commits";
    COMMIT_GROUPS = Counter "arp_journal_groups_total" [] "Groups of changes that were committed together";
    COMMIT_GROUPED = Counter "arp_journal_grouped_changes_total" [] "Changes in them";
    CHECKPOINTS = Counter "arp_journal_checkpoints_total" [] "Copies of the write-ahead log into the database";
    CHECKPOINT_SECONDS = Counter "arp_journal_checkpoint_seconds_total" [] "Time that they took";
    JOURNAL_BYTES = Gauge "arp_journal_bytes" ["file"] "Size of the journal: database and write-ahead log";
    OUTBOX_ENTRIES = Gauge "arp_outbox_entries" [] "Changes that the JARVIS stores have yet to accept";
    OUTBOX_OLDEST = Gauge "arp_outbox_oldest_timestamp_seconds" [] "When the oldest of them was decided";

    OUTBOX_DELIVERIES = Counter "arp_outbox_deliveries_total" ["recipient", "result"]
        "Calls to the JARVIS stores with entries: accepted, or refused (or not answered)";

    AUTH_REFUSALS = Counter "arp_auth_refusals_total" ["reason"] "Requests that were refused for their caller";
    LIMIT_REFUSALS = Counter "arp_limit_refusals_total" ["limit"] "Requests and connections that a limit refused";
    TOKEN_REQUESTS = Counter "arp_token_requests_total" ["result"] "Requests for tokens: ok or failed";
    EVENT_FOLLOWERS = Gauge "arp_event_followers" [] "Event streams that are open";
    SERVICE_OUTAGES = Counter "arp_service_outages_total" ["service"] "How often a service ceased to answer";
    SPANS = Counter "arp_spans_total" ["result"]
        "Spans: exported, rejected by the collector, failed to be sent, dropped because too many waited";
    WEBHOOK_DELIVERIES = Counter "arp_webhook_deliveries_total" ["result"]
        "Reports that were sent to webhooks: accepted, refused, or given_up after a day";
    WEBHOOK_BACKLOG = Gauge "arp_webhook_backlog" [] "Reports that targets of webhooks have yet to accept";
    WEBHOOK_OLDEST = Gauge "arp_webhook_oldest_timestamp_seconds" [] "When the oldest of them was made";

    HEALTH = Gauge "arp_health_status" ["check"] "Health checks: 0 ok, 1 degraded, 2 down";
    CLOCK_AHEAD = Gauge "arp_clock_ahead_seconds" [] "How far the server's clock is ahead of the machine's";
    BUILD_INFO = Gauge "arp_build_info" ["version", "commit", "built_at"]
        "1; the program's version, and its commit and date if they are known";
    PROCESS_START = Gauge "process_start_time_seconds" [] "When the process started";
    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "CPU time of the process";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [] "Resident memory of the process";
    PROCESS_FDS = Gauge "process_open_fds" [] "Open files of the process";
    PROCESS_THREADS = Gauge "process_threads" [] "Threads of the process";
}

impl Family {
    /// The name under which it is registered: the encoder appends `_total`.
    pub(super) fn registered(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }
}
