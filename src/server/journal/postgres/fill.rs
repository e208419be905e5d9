//! Takes over a file into an empty database, in one transaction: all of it, or nothing.

use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;

use super::{PostgresJournal, batch::clean, link::Live};
use crate::journal::{
    JournalError,
    sqlite::Tables,
    tables::{Cell, Kind, TABLES, Table},
};

const IS_EMPTY: &str = "SELECT NOT EXISTS (SELECT 1 FROM runs) AND NOT EXISTS (SELECT 1 FROM audit_trail)
    AND NOT EXISTS (SELECT 1 FROM secrets) AND NOT EXISTS (SELECT 1 FROM owners)";

/// What is derived here from what was copied, and the numbers that go on behind it.
const DERIVED: &str = "
    INSERT INTO run_labels (name, value, started_at, run_id)
        SELECT label.key, label.value, started_at, run_id
        FROM runs, jsonb_each_text(labels::jsonb) AS label WHERE labels IS NOT NULL;
    INSERT INTO run_counts (owner, state, slot, runs)
        SELECT coalesce(owner, ''), state, 0, count(*) FROM runs WHERE terminal GROUP BY 1, 2;
    UPDATE meta SET audit_base = (SELECT coalesce(max(id), 0) FROM audit_trail);
    SELECT setval(pg_get_serial_sequence('outbox', 'id'), greatest((SELECT max(id) FROM outbox), 1));
    SELECT setval(pg_get_serial_sequence('webhook_deliveries', 'id'),
                  greatest((SELECT max(id) FROM webhook_deliveries), 1));
    ANALYZE;";

impl PostgresJournal {
    /// Copies everything from a file, some rows at a time. The database must be empty.
    /// Returns the number of rows, by table.
    pub fn fill_from(
        &self,
        source: &Tables,
        runtime: &Runtime,
    ) -> Result<Vec<(&'static str, u64)>, JournalError> {
        let live = runtime.block_on(self.begin_filling())?;
        let mut copied = Vec::with_capacity(TABLES.len());
        for table in &TABLES {
            let rows = source.read(table, |rows| runtime.block_on(insert(&live, table, rows)))?;
            copied.push((table.name, rows));
        }
        runtime.block_on(async {
            live.client.batch_execute(DERIVED).await?;
            live.client.batch_execute("COMMIT").await?;
            Ok(copied)
        })
    }

    async fn begin_filling(&self) -> Result<Live, JournalError> {
        let live = self.connector.connect().await.map_err(JournalError::Failed)?;
        live.client
            .batch_execute(
                "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; BEGIN;
                 LOCK TABLE runs IN EXCLUSIVE MODE",
            )
            .await?;
        if !live.query_one(IS_EMPTY, &[]).await?.try_get(0)? {
            return Err(JournalError::Failed(
                "the database is not empty: nothing was copied, because it would be mixed up".into(),
            ));
        }
        Ok(live)
    }
}

async fn insert(live: &Live, table: &Table, rows: Vec<Vec<Cell>>) -> Result<(), JournalError> {
    let mut columns: Vec<Column> = table.columns.iter().map(|(_, kind)| Column::of(*kind)).collect();
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(row) {
            column.push(cell);
        }
    }
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    let arrays: Vec<String> = table
        .columns
        .iter()
        .zip(1..)
        .map(|((_, kind), place): (_, u32)| format!("${place}::{}[]", type_of(*kind)))
        .collect();
    let sql = format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT * FROM unnest({})",
        table.name,
        names.join(", "),
        arrays.join(", ")
    );
    let parameters: Vec<&(dyn ToSql + Sync)> = columns.iter().map(Column::parameter).collect();
    live.execute(&sql, &parameters).await?;
    Ok(())
}

fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer => "bigint",
        Kind::Flag => "boolean",
        Kind::Bytes => "bytea",
    }
}

enum Column {
    Text(Vec<Option<String>>),
    Integer(Vec<Option<i64>>),
    Flag(Vec<Option<bool>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Column {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(Vec::new()),
            Kind::Integer => Self::Integer(Vec::new()),
            Kind::Flag => Self::Flag(Vec::new()),
            Kind::Bytes => Self::Bytes(Vec::new()),
        }
    }

    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Text(values), Cell::Text(value)) => {
                values.push(value.map(|text| clean(&text).into_owned()));
            }
            (Self::Integer(values), Cell::Integer(value)) => values.push(value),
            (Self::Flag(values), Cell::Flag(value)) => values.push(value),
            (Self::Bytes(values), Cell::Bytes(value)) => values.push(value),
            (Self::Text(_) | Self::Integer(_) | Self::Flag(_) | Self::Bytes(_), _) => {
                unreachable!("a cell is of the kind of its column")
            }
        }
    }

    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Text(values) => values,
            Self::Integer(values) => values,
            Self::Flag(values) => values,
            Self::Bytes(values) => values,
        }
    }
}
