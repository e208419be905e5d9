//! What the lists of runs, of the nodes of one, and of attempts promise.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{JournalUnderTest, Probe, at, attempt, change, node, nodes, run, run_ended, start, wake};
use crate::{
    journal::{Attention, Parked, RunPlace, RunSelect, RunSummary, RunsFilter, Visible},
    record::{AttemptOutcome, ChangeSet, Identity, Job, METADATA, NodePath, NodeRecord, RunRecord, Wake},
    time::Timestamp,
    types::{NodeRunState, RunState},
};

/// The first change set of a run that started at that time, of an owner.
fn start_at(id: &str, started_at: i64, owner: Option<&str>) -> ChangeSet {
    let mut change = start(id);
    if let Some(record) = &mut change.run {
        record.run.started_at = Some(at(started_at));
        record.owner = owner.map(|owner| {
            let (tenant, subject) = owner.split_once('/').expect("tenant/subject");
            Identity { tenant: Some(tenant.into()), ..Identity::bare(subject) }
        });
    }
    change
}

fn all() -> RunsFilter {
    RunsFilter { visible: Visible(Arc::new(|_| true)), select: RunSelect::default(), now: at(0) }
}

/// All runs that pass, read in pages of that size.
async fn list(journal: &Probe, filter: &RunsFilter, limit: u32) -> Vec<RunSummary> {
    let (mut runs, mut after) = (Vec::new(), None::<RunPlace>);
    loop {
        let page = journal.0.runs_page(after.as_ref(), filter, limit).await.expect("a page");
        assert!(page.runs.len() as u64 <= u64::from(limit));
        runs.extend(page.runs);
        if page.at_end {
            assert!(runs.is_sorted_by(|one, next| one.place > next.place), "newest first, each once");
            return runs;
        }
        assert!(after.is_none() || page.scanned_to < after, "a page that is not the last one makes progress");
        after = page.scanned_to;
    }
}

async fn ids(journal: &Probe, filter: &RunsFilter) -> Vec<String> {
    list(journal, filter, 100).await.into_iter().map(|run| run.place.run_id.to_string()).collect()
}

pub async fn runs_are_listed_newest_first_in_pages(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    assert_eq!(ids(&journal, &all()).await, Vec::<String>::new());
    for (id, started_at) in [("c", 20), ("a", 30), ("b", 20), ("d", 10), ("e", 20)] {
        journal.commit(start_at(id, started_at, None)).await;
    }
    for limit in [1, 2, 3, 5, 100] {
        let runs = list(&journal, &all(), limit).await;
        let ids: Vec<&str> = runs.iter().map(|run| run.place.run_id.as_str()).collect();
        assert_eq!(ids, ["a", "e", "c", "b", "d"], "{limit}");
    }
    let first = list(&journal, &all(), 1).await.remove(0);
    assert_eq!(first.state, RunState::Running);
    assert_eq!(first.node_type, Some(("type".into(), "1.0.0".into())));
    assert_eq!((first.place.started_at, first.ended_at, first.error_code), (at(30), None, None));
    // A place that is not that of a run.
    let between = RunPlace { started_at: at(20), run_id: "d".into() };
    let page = journal.0.runs_page(Some(&between), &all(), 100).await.expect("a page");
    let rest: Vec<String> = page.runs.iter().map(|run| run.place.run_id.to_string()).collect();
    assert_eq!((rest, page.at_end), (vec!["c".to_owned(), "b".into(), "d".into()], true));
}

pub async fn listed_runs_pass_the_filter_and_the_rule(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    for (id, started_at, owner) in [
        ("a-1", 10, Some("acme/alice")),
        ("a-2", 20, Some("acme/bob")),
        ("b-1", 30, Some("beta/carol")),
        ("b-2", 40, None),
    ] {
        journal.commit(start_at(id, started_at, owner)).await;
    }
    let select = |select: RunSelect| RunsFilter { select, ..all() };
    let text = |text: &str| Some(text.to_owned());
    for (wanted, expected) in [
        (
            RunSelect { state: Some(RunState::Running), ..RunSelect::default() },
            &["b-2", "b-1", "a-2", "a-1"][..],
        ),
        (RunSelect { state: Some(RunState::Failed), ..RunSelect::default() }, &[]),
        (RunSelect { tenant: text("acme"), ..RunSelect::default() }, &["a-2", "a-1"]),
        (RunSelect { owner: text("carol"), ..RunSelect::default() }, &["b-1"]),
        (RunSelect { node_type: text("type"), ..RunSelect::default() }, &["b-2", "b-1", "a-2", "a-1"]),
        (RunSelect { node_type: text("typ"), ..RunSelect::default() }, &[]),
        (RunSelect { error_code: text("x"), ..RunSelect::default() }, &[]),
        (RunSelect { id_prefix: text("b-"), ..RunSelect::default() }, &["b-2", "b-1"]),
        (RunSelect { started_after: Some(at(20)), ..RunSelect::default() }, &["b-2", "b-1", "a-2"]),
        (RunSelect { started_before: Some(at(20)), ..RunSelect::default() }, &["a-1"]),
        (
            RunSelect { started_after: Some(at(20)), started_before: Some(at(40)), ..RunSelect::default() },
            &["b-1", "a-2"],
        ),
    ] {
        let filter = select(wanted.clone());
        assert_eq!(ids(&journal, &filter).await, expected, "{wanted:?}");
        let counts = journal.0.runs_count(None, &filter).await.expect("counts");
        assert_eq!(counts.by_state.values().sum::<u64>(), expected.len() as u64, "{wanted:?}");
        assert!(counts.at_end);
    }
    // The rule holds whatever is asked for.
    let is_acme =
        |owner: Option<&Identity>| owner.is_some_and(|owner| owner.tenant.as_deref() == Some("acme"));
    let visible = Visible(Arc::new(is_acme));
    for wanted in [RunSelect::default(), RunSelect { tenant: text("beta"), ..RunSelect::default() }] {
        let filter = RunsFilter { visible: visible.clone(), select: wanted.clone(), ..all() };
        let seen: BTreeSet<String> = ids(&journal, &filter).await.into_iter().collect();
        let expected: &[&str] = if wanted.tenant.is_some() { &[] } else { &["a-1", "a-2"] };
        assert_eq!(seen, expected.iter().map(|id| (*id).to_owned()).collect());
    }
}

pub async fn list_follows_the_end_and_the_deletion_of_a_run(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    journal.commit(start("a")).await;
    // A commit that does not end it changes nothing.
    journal
        .commit(ChangeSet { run: Some(RunRecord { version: 1, last_seq: 2, ..run("a") }), ..change("a") })
        .await;
    assert_eq!(list(&journal, &all(), 10).await[0].state, RunState::Running);
    let mut ended = RunRecord { version: 2, last_seq: 3, deadline: None, ..run("a") };
    (ended.run.state, ended.run.ended_at) = (RunState::Failed, Some(at(50)));
    let mut root = NodeRecord { version: 1, wake: None, deadline: None, ..node("a", "1") };
    (root.node.state, root.node.ended_at) = (NodeRunState::Failed, Some(at(50)));
    let error = serde_json::json!({"code": "it_broke", "message": "it broke"});
    root.node.extensions = Some([("completion_error", error)].into());
    journal.commit(ChangeSet { run: Some(ended.clone()), nodes: vec![root], ..change("a") }).await;
    let listed = list(&journal, &all(), 10).await.remove(0);
    assert_eq!((listed.state, listed.ended_at), (RunState::Failed, Some(at(50))));
    assert_eq!(listed.error_code.as_deref(), Some("it_broke"));
    // A late commit of the run leaves that as it is.
    journal
        .commit(ChangeSet { run: Some(RunRecord { version: 3, last_seq: 4, ..ended }), ..change("a") })
        .await;
    assert_eq!(list(&journal, &all(), 10).await, [listed]);
    let owed: Vec<_> = journal.owed().await.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&owed).await.expect("acknowledged");
    assert_eq!(journal.0.runs_prune(Timestamp::from_micros(i64::MAX), 10).await, Ok(1));
    assert_eq!(list(&journal, &all(), 10).await, []);
}

/// The same with labels.
fn labeled(id: &str, started_at: i64, labels: &[(&str, &str)]) -> ChangeSet {
    let mut change = start_at(id, started_at, Some("acme/alice"));
    if let Some(record) = &mut change.run {
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        record.run.extensions = Some([(METADATA, serde_json::json!({"labels": labels}))].into());
    }
    change
}

pub async fn runs_are_found_by_their_labels(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let odd = "ü'\"%_\n";
    for (id, started_at, labels) in [
        ("a", 10, &[("env", "prod"), ("team", "red")][..]),
        ("b", 20, &[("env", "test")]),
        ("c", 30, &[("env", "prod"), ("team", "blue")]),
        ("d", 40, &[]),
        ("e", 50, &[("env", "prod"), (odd, odd)]),
    ] {
        journal.commit(labeled(id, started_at, labels)).await;
    }
    let with = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        RunSelect { labels, ..RunSelect::default() }
    };
    for (wanted, expected) in [
        (with(&[("env", "prod")]), &["e", "c", "a"][..]),
        (with(&[("env", "prod"), ("team", "red")]), &["a"]),
        (with(&[("team", "blue"), ("env", "test")]), &[]),
        (with(&[("env", "pro")]), &[]),
        (with(&[("prod", "env")]), &[]),
        (with(&[(odd, odd)]), &["e"]),
        (RunSelect { started_before: Some(at(50)), ..with(&[("env", "prod")]) }, &["c", "a"]),
        (RunSelect { started_after: Some(at(30)), ..with(&[("env", "prod")]) }, &["e", "c"]),
        (RunSelect { state: Some(RunState::Failed), ..with(&[("env", "prod")]) }, &[]),
    ] {
        let filter = RunsFilter { select: wanted.clone(), ..all() };
        for limit in [1, 2, 100] {
            let found = list(&journal, &filter, limit).await;
            let ids: Vec<&str> = found.iter().map(|run| run.place.run_id.as_str()).collect();
            assert_eq!(ids, expected, "{wanted:?}");
        }
        let counts = journal.0.runs_count(None, &filter).await.expect("counts");
        assert_eq!(counts.by_state.values().sum::<u64>(), expected.len() as u64, "{wanted:?}");
    }
    let shown = list(&journal, &all(), 100).await.remove(0).labels.into_map();
    assert_eq!(shown, [("env", "prod"), (odd, odd)].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    // Who may not see the runs does not find them by a label either.
    let none =
        RunsFilter { visible: Visible(Arc::new(|_| false)), select: with(&[("env", "prod")]), ..all() };
    assert_eq!(ids(&journal, &none).await, Vec::<String>::new());
    // A run that is deleted is not found any more.
    let ended = RunRecord {
        version: 1,
        last_seq: 2,
        ..run_ended(labeled("b", 20, &[("env", "test")]).run.expect("it"))
    };
    journal
        .0
        .commit(ChangeSet {
            run: Some(ended),
            nodes: vec![NodeRecord { version: 1, ..super::ended(node("b", "1")) }],
            ..change("b")
        })
        .await
        .expect("committed");
    let owed: Vec<_> = journal.owed().await.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&owed).await.expect("acknowledged");
    assert_eq!(journal.0.runs_prune(Timestamp::from_micros(i64::MAX), 10).await, Ok(1));
    let filter = RunsFilter { select: with(&[("env", "test")]), ..all() };
    assert_eq!(ids(&journal, &filter).await, Vec::<String>::new());
}

pub async fn counts_of_owners_and_states_are_exact(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let owners = [Some("acme/alice"), Some("acme/bob"), Some("beta/alice"), None];
    for number in 0..40_usize {
        let id = format!("r{number}");
        journal.commit(start_at(&id, 1000, owners[number % 4])).await;
        if number % 3 == 0 {
            let mut over = start_at(&id, 1000, owners[number % 4]).run.expect("a run");
            (over.version, over.deadline, over.run.state) = (1, None, RunState::Failed);
            over.run.ended_at = Some(at(2000));
            let root = NodeRecord { version: 1, ..super::ended(node(&id, "1")) };
            journal.commit(ChangeSet { run: Some(over), nodes: vec![root], ..change(&id) }).await;
        }
    }
    let is_acme =
        |owner: Option<&Identity>| owner.is_some_and(|owner| owner.tenant.as_deref() == Some("acme"));
    let text = |text: &str| Some(text.to_owned());
    for visible in [Visible::all(), Visible(Arc::new(is_acme)), Visible(Arc::new(|_| false))] {
        for select in [
            RunSelect::default(),
            RunSelect { state: Some(RunState::Failed), ..RunSelect::default() },
            RunSelect { tenant: text("beta"), ..RunSelect::default() },
            RunSelect { owner: text("alice"), state: Some(RunState::Running), ..RunSelect::default() },
            // What is not counted beforehand.
            RunSelect { owner: text("alice"), id_prefix: text("r"), ..RunSelect::default() },
        ] {
            let filter = RunsFilter { visible: visible.clone(), select, ..all() };
            let mut expected = BTreeMap::new();
            for run in list(&journal, &filter, 100).await {
                *expected.entry(run.state.to_string()).or_insert(0_u64) += 1;
            }
            let counts = journal.0.runs_count(None, &filter).await.expect("counts");
            assert_eq!((counts.by_state, counts.at_end), (expected, true), "{filter:?}");
        }
    }
    // From a place on, only what is behind it is counted.
    let place = RunPlace { started_at: at(1000), run_id: "r0".into() };
    let rest = journal.0.runs_count(Some(&place), &all()).await.expect("counts");
    assert_eq!(rest.by_state.values().sum::<u64>(), 0);
    let owed: Vec<_> = journal.owed().await.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&owed).await.expect("acknowledged");
    assert_eq!(journal.0.runs_prune(Timestamp::from_micros(i64::MAX), 100).await, Ok(14));
    let counts = journal.0.runs_count(None, &all()).await.expect("counts");
    assert_eq!(counts.by_state, [("running".to_owned(), 26)].into());
}

pub async fn runs_that_need_attention_say_why(test: JournalUnderTest) {
    const NOW: i64 = 100_000_000;
    let journal = Probe(test.journal);
    let due = |run: &str, path: &str, wake: Wake| NodeRecord { wake: Some(wake), ..node(run, path) };
    let soon = wake(Job::Dispatch, NOW + 1);
    let long_ago = wake(Job::Dispatch, NOW - 70_000_000);
    let runs = [
        ("fine", 10, soon.clone()),
        ("new", 20, wake(Job::Dispatch, NOW - 50_000_000)),
        ("waits", 30, long_ago.clone()),
        ("in-hand", 40, Wake { claimed_by: Some("me".into()), ..long_ago.clone() }),
        ("again", 50, Wake { tries: 3, ..soon.clone() }),
        ("twice", 60, Wake { tries: 2, ..soon.clone() }),
        ("at-executor", 70, Wake { claimed_by: Some("me".into()), job: Job::Deadline, ..long_ago.clone() }),
        ("asks", 80, soon.clone()),
        ("broken", 90, soon.clone()),
    ];
    journal.0.register_worker(&"me".into()).await.expect("registered");
    for (id, started_at, wake) in runs {
        let change = ChangeSet { nodes: vec![due(id, "1", wake)], ..start_at(id, started_at, None) };
        journal.commit(change).await;
    }
    journal.commit(nodes("asks", vec![super::waiting("asks", "1.2", 5, NOW)])).await;
    // The first reason counts.
    journal.commit(nodes("broken", vec![super::waiting("broken", "1.2", 5, NOW)])).await;
    let item = Parked {
        run_id: "broken".into(),
        node_run_id: Some("broken/1".into()),
        job: "dispatch".into(),
        error: "it failed".into(),
        since: at(1),
        until: at(NOW + 1),
    };
    journal.0.park(item).await.expect("parked");
    let filter =
        RunsFilter { select: RunSelect { attention: true, ..RunSelect::default() }, now: at(NOW), ..all() };
    for limit in [1, 2, 100] {
        let found = list(&journal, &filter, limit).await;
        let found: Vec<_> =
            found.iter().map(|run| (run.place.run_id.as_str(), run.attention.expect("a reason"))).collect();
        let expected = [
            ("broken", Attention::Parked),
            ("asks", Attention::Approval),
            ("again", Attention::Retrying),
            ("in-hand", Attention::Waiting),
            ("waits", Attention::Waiting),
        ];
        assert_eq!(found, expected, "{limit}");
    }
    let counts = journal.0.runs_count(None, &filter).await.expect("counts");
    assert_eq!((counts.by_state, counts.at_end), ([("running".to_owned(), 5)].into(), true));
    // With other filters, and for those who may see them only.
    let select = RunSelect { started_before: Some(at(50)), ..filter.select.clone() };
    assert_eq!(ids(&journal, &RunsFilter { select, ..filter.clone() }).await, ["in-hand", "waits"]);
    let select = RunSelect { id_prefix: Some("a".into()), ..filter.select.clone() };
    assert_eq!(ids(&journal, &RunsFilter { select, ..filter.clone() }).await, ["asks", "again"]);
    let none = RunsFilter { visible: Visible(Arc::new(|_| false)), ..filter };
    assert_eq!(ids(&journal, &none).await, Vec::<String>::new());
    assert!(list(&journal, &all(), 100).await.iter().all(|run| run.attention.is_none()));
}

pub async fn tree_has_each_node_before_its_descendants(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    journal.commit(start("a")).await;
    journal.commit(start("b")).await;
    let paths = ["1.2", "1.2.4", "1.2.40", "1.2.5", "1.20", "1.3", "1.3.7"];
    journal.commit(nodes("a", paths.iter().rev().map(|path| node("a", path)).collect())).await;
    for (under, expected) in [
        (None, &["1", "1.2", "1.2.4", "1.2.40", "1.2.5", "1.20", "1.3", "1.3.7"][..]),
        (Some("1.2"), &["1.2", "1.2.4", "1.2.40", "1.2.5"]),
        (Some("1.20"), &["1.20"]),
        (Some("1.9"), &[]),
    ] {
        let under = under.map(|path| NodePath::from(path.to_owned()));
        for limit in [1, 2, 3, 8, 100] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = journal.0.tree_page(&"a".into(), under.as_ref(), after.as_ref(), limit).await;
                let page = page.expect("a page");
                assert!(page.nodes.len() as u64 <= u64::from(limit));
                seen.extend(page.nodes.into_iter().map(|node| node.head.path.to_string()));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{under:?} by {limit}");
        }
    }
    // A place that was made up stays within the subtree.
    let (under, made_up) = (NodePath::from("1.3".to_owned()), NodePath::from("1.2".to_owned()));
    let page = journal.0.tree_page(&"a".into(), Some(&under), Some(&made_up), 100).await.expect("a page");
    assert!(page.nodes.iter().all(|node| under.contains(&node.head.path)), "{page:?}");
}

pub async fn attempts_are_read_in_pages(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    journal.commit(start("a")).await;
    let attempts = (1..=5).map(|number| attempt("a/1", number, AttemptOutcome::Lost)).collect();
    journal.commit(ChangeSet { attempts, ..change("a") }).await;
    for limit in [1, 2, 5, 100] {
        let (mut seen, mut after) = (Vec::new(), 0);
        loop {
            let page = journal.0.attempts_page(&"a/1".into(), after, limit).await.expect("a page");
            seen.extend(page.attempts.iter().map(|attempt| attempt.attempt));
            let Some(next) = page.next else { break };
            after = next;
        }
        assert_eq!(seen, [1, 2, 3, 4, 5], "{limit}");
    }
}
