//! Why the journal refused something, or could not be opened.

/// Why the journal could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Somebody else changed a row in between: read again and decide again.
    #[error("a row changed since it was read")]
    Conflict,
    /// No room. Nothing was written.
    #[error("the journal is full: {0}")]
    Full(String),
    /// No room for new work: what is left is kept for what ends work. Nothing
    /// was written.
    #[error("the journal is full: what room there is is kept for work that is under way")]
    Reserved,
    /// A failure of the disk or the database. Nothing was written that can be
    /// seen; whether the commit survived is decided by the database.
    #[error("the journal failed: {0}")]
    Failed(String),
    /// A record is larger than any that a journal can have. Nothing was
    /// written.
    #[error("a record is too big for the journal: {0}")]
    TooBig(String),
    /// A stored record cannot be read.
    #[error("a record of the journal is damaged: {0}")]
    Damaged(String),
}

/// Why the journal could not be opened. Each has a message for whoever starts
/// the program.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: another coordinator is using this journal")]
    Locked { path: String },
    #[error("{path}: this is not a journal of the run coordinator, or it is damaged: {reason}")]
    Corrupt { path: String, reason: String },
    #[error(
        "{path}: the journal has schema {found}, this program knows up to {supported}: use a newer program"
    )]
    Newer { path: String, found: i64, supported: i64 },
    #[error(
        "{path}: the folder {folder} does not exist: make it, or correct --journal or \
         JARVIS_RUN_COORDINATOR_JOURNAL"
    )]
    NoFolder { path: String, folder: String },
    #[error(
        "{path}: this journal owes the JARVIS stores every change ({entries} have yet to be sent), and their \
         URLs are not set; without them it would leave a gap in what they have. Set JARVIS_RUN_STORE_URL, \
         JARVIS_EVENT_STREAM_URL and JARVIS_ARTIFACT_STORE_URL, or say with \
         JARVIS_RUN_COORDINATOR_WITHOUT_STORES to go on owing (owe) or to give it up (forget)"
    )]
    Owes { path: String, entries: u64 },
    #[error("{path}: {reason}")]
    Io { path: String, reason: String },
}
