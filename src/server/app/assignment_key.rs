//! The signing key of assignment tokens, kept in the journal.

use std::sync::Arc;

use super::StartError;
use crate::{
    auth::{AssignmentTokens, KEY_BYTES},
    config::{Mode, Settings},
    journal::{Journal, JournalError},
    types::IdSource,
};

/// The name of the key among the journal's secrets.
const SECRET_NAME: &str = "assignment_token_key";

/// Makes the issuer of assignment tokens, if callers must authenticate. Its key
/// is kept in the journal, so that tokens survive a restart as their runs do.
pub(super) async fn assignment_tokens(
    settings: &Settings,
    journal: &dyn Journal,
    ids: &dyn IdSource,
) -> Result<Option<Arc<AssignmentTokens>>, StartError> {
    match settings.inbound.mode {
        Mode::Disabled => return Ok(None),
        Mode::Required | Mode::Optional => {}
    }
    let fresh = AssignmentTokens::fresh_key(ids).to_vec();
    let key = journal.secret(SECRET_NAME, fresh).await.map_err(StartError::AssignmentKey)?;
    let key = <&[u8; KEY_BYTES]>::try_from(key.as_slice()).map_err(|_| {
        StartError::AssignmentKey(JournalError::Damaged(format!("{SECRET_NAME} has a wrong length")))
    })?;
    Ok(Some(Arc::new(AssignmentTokens::new(key, settings.inbound.clock_skew))))
}
