//! The variables about the journal.

use super::own;
use crate::config::{
    kind::Kind,
    variable::{Group, Variable},
};

variables! {
    JOURNAL_GROUP:
    "Journal" {
        JOURNAL = own("JARVIS_RUN_COORDINATOR_JOURNAL", Kind::Journal,
            "Journal with all state: the path of an SQLite database, which is created if it does not exist (its \
             folder must exist), or the URL of a PostgreSQL database, which several coordinators may share. \
             --journal overrides this.")
            .default("./jarvis-run-coordinator.db");
        JOURNAL_PASSWORD = own("JARVIS_RUN_COORDINATOR_JOURNAL_PASSWORD", Kind::Secret,
            "Password of the PostgreSQL user, if the URL of the journal does not have it.")
            .example("a-password");
        JOURNAL_PASSWORD_FILE = own("JARVIS_RUN_COORDINATOR_JOURNAL_PASSWORD_FILE", Kind::Path,
            "File with that password, which is read at the start.")
            .example("/run/secrets/journal-password");
        JOURNAL_WRITERS = own("JARVIS_RUN_COORDINATOR_JOURNAL_WRITERS", Kind::Count,
            "Connections to PostgreSQL that write. While one waits for the disk of the database, the next \
             collects changes.")
            .between(1, 32).default("2");
        JOURNAL_READERS = own("JARVIS_RUN_COORDINATOR_JOURNAL_READERS", Kind::Count,
            "Connections to PostgreSQL that read. Each is shared by many reads. One more connection is for \
             heartbeats, one for news, and up to two are for exports.")
            .between(1, 64).default("4");
        JOURNAL_NEWS = own("JARVIS_RUN_COORDINATOR_JOURNAL_NEWS", Kind::Switch,
            "Whether coordinators on one PostgreSQL announce changes to one another (LISTEN and NOTIFY, on a \
             connection of its own). Otherwise each finds those of the others by looking, twice a second: for \
             poolers that give each transaction another connection.")
            .default("on");
        JOURNAL_MAX_BYTES = own("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", Kind::Bytes,
            "Maximum size of the journal. The last sixteenth (at least 4m, at most a quarter) is reserved for \
             finishing work: when only that is left, new runs and children are refused with 503.")
            .between(256 << 10, 8192 << 30).because("an empty journal and some room")
            .unset("no limit").example("10g");
        RETENTION = own("JARVIS_RUN_COORDINATOR_RETENTION", Kind::Age,
            "How long finished runs are kept, for example 30d or 12h. Then they are deleted, but not before the \
             JARVIS stores (if configured) have accepted them.")
            .unset("no limit").example("30d");
        AUDIT_RETENTION = own("JARVIS_RUN_COORDINATOR_AUDIT_RETENTION", Kind::Age,
            "How long records of the audit trail are kept, whether their runs are or not.")
            .default("90d").contract("§19.1");
    }
}
