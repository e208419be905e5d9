//! SQLite's query plans: what is asked often is answered by an index.

use super::*;

#[tokio::test]
async fn excepted_run_is_skipped_in_the_index() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let journal = open(path.clone());
    let crowd = (0..10_000).map(|number| node("big", &format!("1.{number}")));
    journal.commit(nodes("big", crowd.collect())).await.expect("committed");
    journal.commit(nodes("small", vec![node_due("small", "1", 200)])).await.expect("committed");
    let want = ClaimFilter { except: vec!["big".into()], limit: 256, ..ClaimFilter::default() };
    let claimed = journal.claim_due(&"me".into(), at(1000), &want).await.expect("claimed");
    assert_eq!(claimed.len(), 1);

    // SQLite reads a row of the table only after it has checked the list of runs.
    // (Its plan does not show that; its code does.)
    let (columns, due, connection) = (HeadRow::COLUMNS, claims::DUE, raw(&path));
    let sql = format!("EXPLAIN SELECT {columns} FROM node_runs WHERE {due} ORDER BY wake_at LIMIT 256");
    let code: Vec<(String, i64, i64)> = connection
        .prepare(&sql)
        .and_then(|mut code| {
            code.raw_query().mapped(|row| Ok((row.get(1)?, row.get(2)?, row.get(3)?))).collect()
        })
        .expect("code");
    let root: i64 = connection
        .query_one("SELECT rootpage FROM sqlite_schema WHERE name = 'node_runs'", [], |row| row.get(0))
        .expect("a table");
    let table = code.iter().find(|(op, _, page)| op == "OpenRead" && *page == root).expect("it is opened").1;
    let first =
        |wanted: &dyn Fn(&str, i64) -> bool| code.iter().position(|(op, cursor, _)| wanted(op, *cursor));
    let checked = first(&|op, _| matches!(op, "Found" | "NotFound")).expect("the list is checked");
    let read = first(&|op, cursor| op == "Column" && cursor == table).expect("rows are read");
    assert!(checked < read, "{code:?}");
}

#[tokio::test]
async fn frequent_statements_use_an_index() {
    let directory = Directory::new();
    drop(open(directory.file("j.db")));
    let connection = raw(&directory.file("j.db"));
    schema::set_up(&connection).expect("as the journal does");
    for (sql, index) in [
        (
            "SELECT body FROM node_runs INDEXED BY node_runs_live WHERE run_id = ?1 AND terminal = 0",
            "node_runs_live",
        ),
        (
            "SELECT body FROM node_runs INDEXED BY node_runs_live WHERE run_id = ?1 AND terminal = 0 AND path > ?2 || '.' AND path < ?2 || '/'",
            "node_runs_live (run_id=? AND path>? AND path<?)",
        ),
        (
            &format!("SELECT body FROM node_runs WHERE {} ORDER BY wake_at LIMIT ?5", claims::DUE),
            "wakes_free (wake_job=? AND kind=? AND wake_at>? AND wake_at<?)",
        ),
        ("UPDATE node_runs SET wake_owner = NULL WHERE wake_owner = ?", "wakes_owned"),
        (workers::REAP, "wakes_owned"),
        ("SELECT run_id FROM runs WHERE terminal = 0 AND deadline <= ? ORDER BY deadline", "runs_live"),
        ("SELECT seq, body FROM events WHERE run_id = ? AND seq > ? ORDER BY seq", "PRIMARY KEY"),
        ("SELECT count(*) FROM node_runs WHERE terminal = 0", "node_runs_live"),
        ("SELECT max(changed_at) FROM runs WHERE terminal = 1", "runs_over"),
        (
            "SELECT run_id FROM runs WHERE terminal = 1 AND changed_at < ? ORDER BY changed_at LIMIT ?",
            "runs_over",
        ),
        ("DELETE FROM node_runs WHERE run_id = ? RETURNING node_run_id", "node_runs_of_run"),
        (
            "SELECT content FROM node_payloads WHERE node_run_id = ? AND member = 'inputs'",
            "(node_run_id=? AND member=?)",
        ),
        ("DELETE FROM node_payloads WHERE node_run_id = ? AND NOT (member = ?)", "(node_run_id=?)"),
        (run_list::BEHIND, "PRIMARY KEY"),
        ("SELECT count(*) FROM run_list WHERE held = 1", "run_list_held"),
        (steering::SET_ASIDE, "wakes_free (wake_job=?)"),
        (
            run_list::LABELED,
            "run_labels USING PRIMARY KEY (name=? AND value=? AND started_at>? AND (started_at,run_id)<(?,?))",
        ),
        (audit::NEWEST, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (audit::NEWEST_OF_RUN, "audit_trail_of_run (run_id=? AND rowid>? AND rowid<?)"),
        (attention::SOURCES[1].1, "approvals"),
        (attention::SOURCES[3].1, "wakes_free (wake_job=? AND kind=? AND wake_at>? AND wake_at<?)"),
        (&tree::nodes_between("path"), "node_runs_of_run (run_id=? AND path>? AND path<?)"),
    ] {
        let plan: Vec<String> = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .and_then(|mut plan| plan.raw_query().mapped(|row| row.get(3)).collect())
            .expect("a plan");
        assert!(plan[0].contains(index), "{sql}: {plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}: {plan:?}");
    }
}

/// Wake-ups that wait for a busy executor are in nothing else's way: no query reads
/// through them, and lanes are not limited to the jobs and kinds that the program
/// knows.
#[tokio::test]
async fn unclaimed_wakes_are_found_lane_by_lane() {
    let directory = Directory::new();
    drop(open(directory.file("j.db")));
    let connection = raw(&directory.file("j.db"));
    schema::set_up(&connection).expect("as the journal does");
    const LANE: &str = "wakes_free (wake_job=? AND kind=? AND wake_at>? AND wake_at<?)";
    // The smallest job is the first entry.
    let (first, next) = ("wakes_free", "wakes_free (wake_job>?)");
    for (sql, steps) in [
        (claims::JOBS, [first, next].as_slice()),
        (claims::WAKE_NEXT, &[first, next, "wakes_free (wake_job=? AND kind=? AND wake_at>?)"]),
        (claims::WAKES_DUE, &[first, next, LANE]),
        (claims::DUE_BY_LANE, &[first, next, LANE, LANE]),
    ] {
        let plan: Vec<String> = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .and_then(|mut plan| plan.raw_query().mapped(|row| row.get(3)).collect())
            .expect("a plan");
        let nodes = |step: &&String| step.contains("node_runs");
        let found: Vec<&String> = plan.iter().filter(nodes).collect();
        assert_eq!(found.len(), steps.len(), "{sql}: {plan:#?}");
        for (found, step) in found.iter().zip(steps) {
            assert!(found.starts_with("SEARCH") && found.ends_with(step), "{sql}: {plan:#?}");
        }
    }
}

#[tokio::test]
async fn frequent_statements_are_compiled_once() {
    const TIMES: i32 = 5;
    let directory = Directory::new();
    let journal = open(directory.file("j.db"));
    journal.commit(start("a")).await.expect("committed");
    // Compiling a statement costs more than executing any of these.
    journal
        .reads
        .here(|connection| {
            let compiled_once = |sql: &str, ask: &dyn Fn() -> Result<(), JournalError>| {
                (0..TIMES).try_for_each(|_| ask())?;
                let statement = connection.prepare_cached(sql)?;
                assert_eq!(statement.get_status(StatementStatus::Run), TIMES, "{sql}");
                assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
                Ok::<(), JournalError>(())
            };
            let of_run = "SELECT seq, path, body FROM events WHERE run_id = ? AND seq > ? ORDER BY seq";
            compiled_once(of_run, &|| read::events(connection, &"a".into(), 0, None, NO_LIMIT).map(drop))?;
            let overdue =
                "SELECT run_id FROM runs WHERE terminal = 0 AND deadline <= ? ORDER BY deadline LIMIT ?";
            compiled_once(overdue, &|| read::runs_overdue(connection, at(1), 10).map(drop))
        })
        .expect("readable");
}
