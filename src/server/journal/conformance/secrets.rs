//! Secrets by name.

use futures::future::join_all;

use super::{JournalUnderTest, samples::*};
use crate::journal::JournalError;

pub async fn secret_is_replaced_only_if_it_is_as_expected(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let (first, second, third) = (vec![0, 255, b'\''], vec![2; 5000], vec![3]);
    assert_eq!(journal.0.secret_find("key").await, Ok(None));
    let missing = journal.0.secret_replace("key", first.clone(), second.clone()).await;
    assert_eq!(missing, Err(JournalError::Conflict));
    assert_eq!(journal.0.secret_find("key").await, Ok(None));

    journal.0.secret("key", first.clone()).await.expect("stored");
    journal.0.secret("other", first.clone()).await.expect("stored");
    assert_eq!(journal.0.secret_replace("key", first.clone(), second.clone()).await, Ok(()));
    assert_eq!(journal.0.secret_find("key").await, Ok(Some(second.clone())));
    assert_eq!(journal.0.secret_find("other").await, Ok(Some(first.clone())), "each name has its own");
    // Again, as after an answer that was lost.
    assert_eq!(journal.0.secret_replace("key", first.clone(), second.clone()).await, Ok(()));
    let stale = journal.0.secret_replace("key", first.clone(), third.clone()).await;
    assert_eq!(stale, Err(JournalError::Conflict));
    assert_eq!(journal.0.secret_find("key").await, Ok(Some(second.clone())));
    // Concurrently: one replaces it.
    let racers =
        join_all((10..30).map(|number| journal.0.secret_replace("key", second.clone(), vec![number]))).await;
    assert_eq!(racers.iter().filter(|answer| answer.is_ok()).count(), 1, "{racers:?}");
    let winner = journal.0.secret_find("key").await;

    let journal = reopened(journal, subject.reopen).await;
    assert_eq!(journal.0.secret_find("key").await, winner);
}
