//! Why the journal refused something, or could not be opened.

/// Why the journal refused a call, or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another commit changed a row first: read again and decide again.
    #[error("a row changed since it was read")]
    Conflict,
    /// The worker was declared dead by another: what it does is not valid any more.
    /// Nothing was written.
    #[error("this worker was declared dead by another, and may not write any more")]
    Fenced,
    /// There is no room. Nothing was written.
    #[error("the journal is full: {0}")]
    Full(String),
    /// There is no room for new work: the rest is reserved for what ends work.
    /// Nothing was written.
    #[error("the journal is full: the remaining room is reserved for work that is under way")]
    Reserved,
    /// The disk or the database failed. Nothing that was written is visible yet;
    /// whether the commit survives a restart is up to the database.
    #[error("the journal failed: {0}")]
    Failed(String),
    /// A record exceeds the maximum size. Nothing was written.
    #[error("a record is too big for the journal: {0}")]
    TooBig(String),
    /// A stored record cannot be read.
    #[error("a record of the journal is damaged: {0}")]
    Damaged(String),
}

impl JournalError {
    /// Whether a commit that failed in this way may be durable, now or later, so that the
    /// journal is asked. (`Full` says that it is not; asking is on the safe side.)
    pub fn is_in_doubt(&self) -> bool {
        match self {
            Self::Full(_) | Self::Failed(_) | Self::Damaged(_) => true,
            Self::Conflict | Self::Fenced | Self::Reserved | Self::TooBig(_) => false,
        }
    }
}

/// Why the journal could not be opened. The messages are for operators.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: another coordinator is using this journal")]
    Locked { path: String },
    #[error("{path}: the file is not a journal of the run coordinator, or is damaged: {reason}")]
    Corrupt { path: String, reason: String },
    #[error(
        "{path}: the journal has schema {found}, and this program supports up to {supported}: use a newer program"
    )]
    Newer { path: String, found: i64, supported: i64 },
    #[error(
        "{path}: the folder {folder} does not exist: create it, or correct --journal or \
         JARVIS_RUN_COORDINATOR_JOURNAL"
    )]
    NoFolder { path: String, folder: String },
    #[error(
        "{path}: this journal owes the JARVIS stores every change ({entries} entries have yet to be sent), and \
         their URLs are not set; without them the stores would have a gap. Set JARVIS_RUN_STORE_URL, \
         JARVIS_EVENT_STREAM_URL and JARVIS_ARTIFACT_STORE_URL, or set JARVIS_RUN_COORDINATOR_WITHOUT_STORES to \
         keep the entries (owe) or to delete them (forget)"
    )]
    Owes { path: String, entries: u64 },
    #[error("{url}: {reason}")]
    Database { url: String, reason: String },
    #[error("{path}: {reason}")]
    Io { path: String, reason: String },
}
