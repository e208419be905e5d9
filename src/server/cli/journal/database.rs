//! The subcommands on a database.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::Path,
};

use futures::StreamExt;
use slog::{Discard, Logger, o};
use tokio::runtime::{Builder, Runtime};

use super::{MaintenanceError, audit, print_report, rotate_key};
use crate::{
    auth::OldKeys,
    cli::{args::JournalCommand, output::Printer},
    config::{DatabaseUrl, SecretSource},
    evidence,
    journal::{
        ASSIGNMENT_KEYS, AuditFilter, Journal,
        postgres::{PostgresJournal, PostgresOptions},
        sqlite::{self, ExportError, private},
    },
    time::Timestamp,
    transport::database_tls,
    types::RunId,
};

/// A journal that is a database.
pub struct Database {
    url: DatabaseUrl,
    runtime: Runtime,
}

impl Database {
    pub fn new(url: &DatabaseUrl, password: Option<&SecretSource>) -> Result<Self, MaintenanceError> {
        let url = match password {
            Some(password) => url.clone().with_password(password.read()?.expose()),
            None => url.clone(),
        };
        Ok(Self { url, runtime: Builder::new_current_thread().enable_all().build()? })
    }

    /// Runs the subcommand, and returns whether the journal is sound.
    pub fn run(
        &self,
        command: &JournalCommand,
        now: Timestamp,
        out: &mut dyn Write,
    ) -> Result<bool, MaintenanceError> {
        let not_here =
            |command, instead| Err(MaintenanceError::NotHere { command, url: self.url.to_string(), instead });
        match command {
            JournalCommand::Backup { .. } => not_here("backup", "pg_basebackup or pg_dump"),
            JournalCommand::Compact { .. } => not_here(
                "compact",
                "VACUUM, which PostgreSQL does by itself, and the setting of the retention",
            ),
            JournalCommand::Copy { to } if DatabaseUrl::is_url(to) => {
                not_here("copy", "pg_dump and pg_restore, from database to database")
            }
            JournalCommand::Copy { to } => self.copy_to(Path::new(to), out),
            JournalCommand::Check { file: Some(_) } => not_here("check FILE", "--journal with that file"),
            JournalCommand::Check { file: None } => {
                let report = self
                    .runtime
                    .block_on(async { Ok::<_, MaintenanceError>(self.open().await?.check().await?) })?;
                print_report(&self.url, &report, out)
            }
            JournalCommand::Audit { run, since, actor, outcome, shown } => {
                let filter = AuditFilter {
                    run_id: run.clone(),
                    since: since.map(|since| since.from(now)),
                    actor: actor.clone(),
                    outcome: *outcome,
                    ..AuditFilter::default()
                };
                let journal = self.runtime.block_on(self.open())?;
                let page =
                    |after, limit| Ok(self.runtime.block_on(journal.audit_page(after, &filter, limit))?);
                audit::print(page, Printer::stdout().form(shown.output), out)
            }
            JournalCommand::Export { run, file } => self.export(run, file, now, out),
            JournalCommand::RotateKey { revoke_old } => {
                let old_keys = if *revoke_old { OldKeys::Revoke } else { OldKeys::Keep };
                let rotate = |stored, live| rotate_key::rotation(stored, live, old_keys, now);
                let changed = self
                    .runtime
                    .block_on(async { self.open().await?.secret_change(ASSIGNMENT_KEYS, rotate).await })?;
                rotate_key::print(&self.url, changed, out)
            }
        }
    }

    /// Copies a file into the database, and checks what came of it. Returns whether it is
    /// sound.
    pub fn fill_from(&self, file: &Path, out: &mut dyn Write) -> Result<bool, MaintenanceError> {
        let source = sqlite::Tables::open(file)?;
        let report = {
            let options = self.options()?;
            let log = Logger::root(Discard, o!());
            let journal = self.runtime.block_on(PostgresJournal::open(options, log))?;
            for (table, rows) in journal.fill_from(&source, &self.runtime)? {
                writeln!(out, "{table}: {rows} rows")?;
            }
            self.runtime.block_on(journal.check())?
        };
        print_report(&self.url, &report, out)
    }

    /// Copies the database to a new file, and checks what came of it. Returns whether it is
    /// sound.
    fn copy_to(&self, file: &Path, out: &mut dyn Write) -> Result<bool, MaintenanceError> {
        let journal = self.runtime.block_on(self.open())?;
        let new = sqlite::NewFile::begin(file)?;
        for (table, rows) in journal.copy_to(new, &self.runtime)? {
            writeln!(out, "{table}: {rows} rows")?;
        }
        print_report(&file.display(), &sqlite::check(file)?, out)
    }

    fn options(&self) -> Result<PostgresOptions, MaintenanceError> {
        let (url, tls) = (self.url.clone(), database_tls(self.url.tls())?);
        Ok(PostgresOptions { url, tls, writers: 1, readers: 1, outbox: false, news: false })
    }

    async fn open(&self) -> Result<PostgresJournal, MaintenanceError> {
        Ok(PostgresJournal::open_existing(self.options()?, Logger::root(Discard, o!())).await?)
    }

    /// Writes the evidence of a run, and prints the hash by which `runs verify` knows it
    /// again. After a failure there is no file.
    fn export(
        &self,
        run: &RunId,
        file: &Path,
        now: Timestamp,
        out: &mut dyn Write,
    ) -> Result<bool, MaintenanceError> {
        let journal = self.runtime.block_on(self.open())?;
        let pieces = self.runtime.block_on(journal.export(run, now))?;
        let mut pieces = pieces.ok_or_else(|| ExportError::NoRun(run.clone()))?;
        // Readable by its user only: inputs and outputs may be secret.
        let made = private(file).map_err(|source| MaintenanceError::File { file: file.into(), source })?;
        let write = || {
            let mut buffered = BufWriter::new(made);
            while let Some(piece) = self.runtime.block_on(pieces.next()) {
                buffered.write_all(&piece?)?;
            }
            buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
            let bundle = evidence::read(BufReader::new(File::open(file)?))?;
            Ok::<_, MaintenanceError>(bundle.summary().hash)
        };
        let hash = write().inspect_err(|_| {
            let _ = std::fs::remove_file(file);
        })?;
        writeln!(out, "{}: run {run}, hash {hash}", file.display())?;
        Ok(true)
    }
}
