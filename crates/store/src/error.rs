//! Why the store did not do what it was asked.

use crate::tag_keys::TagClash;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table is full; nothing was written.
    #[error("the limit of {limit} {what} is reached: remove some first")]
    Full {
        /// What the table holds.
        what: &'static str,
        /// How many it may hold.
        limit: i64,
    },
    /// The name is taken; nothing was written.
    #[error("the {0} already exists")]
    Exists(&'static str),
    /// The row to change does not exist.
    #[error("no such {0}")]
    Missing(&'static str),
    /// It is not what it was when the change was decided; nothing was written.
    #[error("the {0} was changed at the same time: read it again, then repeat the change")]
    Changed(&'static str),
    /// The system gave no random bytes for an id.
    #[error("the system's random number generator failed")]
    NoRandom,
    /// A row that this version does not understand.
    #[error("the database holds a row that this version cannot read: {0}")]
    Row(String),
    /// The file is not the store that was left.
    #[error(
        "towline.db is not whole: {0}; put back the file together with towline.db-wal from the \
         same \
         moment, or the whole directory from a backup; if you know that this file is the newest, \
         start once with --accept-store"
    )]
    NotWhole(&'static str),
    /// The address of a database server cannot be used.
    #[error("the address of the database: {0}")]
    Address(String),
    /// The database server holds something else than was expected.
    #[error("the database on the server {0}")]
    Server(String),
    /// Another gateway works with the store on the database server.
    #[error("another gateway works with the store of this database")]
    Held,
    /// An administrator has not approved this gateway yet.
    #[error("this gateway waits for `towline-gateway nodes approve` at another one")]
    WaitsForApproval,
    /// It cannot be done with a store on a database server.
    #[error("the store is on a database server: {0}")]
    OnServer(&'static str),
    /// It could not be copied to the other engine.
    #[error("the store cannot be copied: {0}")]
    Transfer(String),
    /// The database failed: disk full, locked for too long, damaged.
    #[error("database error: {0}")]
    Database(#[from] sqlx::Error),
    /// Tags of an older version, under keys that differ in letter case only.
    #[error(
        "tag keys have no letter case, and these differ in nothing else:\n{}\nRemove all but one \
         of \
         each with towline-gateway remove-tag --dir DIR KIND ID KEY, then start again",
        listed(.0)
    )]
    TagClashes(Vec<TagClash>),
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// The engine's code of an error.
enum Code {
    /// SQLite's primary code.
    Sqlite(u32),
    /// PostgreSQL's state, five letters and digits.
    Postgres(String),
}

/// Clashes that an error shows.
const SHOWN: usize = 50;

fn listed(clashes: &[TagClash]) -> String {
    let mut lines: Vec<String> =
        clashes.iter().take(SHOWN).map(|clash| format!("  {clash}")).collect();
    if clashes.len() > SHOWN {
        lines.push(format!("  and {} more", clashes.len() - SHOWN));
    }
    lines.join("\n")
}

impl StoreError {
    /// Whether the disk is full: SQLite's primary code FULL (13), PostgreSQL's `53100`.
    #[must_use]
    pub fn is_full_disk(&self) -> bool {
        matches!(self.code(), Some(Code::Sqlite(13))) || self.is_state(&["53100"])
    }

    /// Whether the disk refused: full, failed, or the file cannot be opened. SQLite's primary codes
    /// IOERR (10), FULL (13) and CANTOPEN (14); extended codes have more bits above. PostgreSQL's
    /// states `53100` and `58030`.
    #[must_use]
    pub fn is_disk(&self) -> bool {
        matches!(self.code(), Some(Code::Sqlite(10 | 13 | 14)))
            || self.is_state(&["53100", "58030"])
    }

    /// Whether the database is away: the connection failed, no answer came, or the server begins,
    /// ends, or has no connection left (PostgreSQL's states `57P01` to `57P03`, `53300`; `57014`
    /// and `25P03` when it ended what took too long).
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut))
            || self.is_state(&["57P01", "57P02", "57P03", "53300", "57014", "25P03"])
    }

    /// Whether the database takes no writes for now: it is away, its disk refuses, or it is
    /// read-only (PostgreSQL's state `25006`, SQLite's primary code READONLY, 8).
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.is_away()
            || self.is_disk()
            || self.is_state(&["25006"])
            || matches!(self.code(), Some(Code::Sqlite(8)))
    }

    /// Whether a row cannot be read by this version, however often it is read.
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        use sqlx::Error::{ColumnDecode, ColumnIndexOutOfBounds, ColumnNotFound, Decode};
        matches!(
            self,
            Self::Row(_)
                | Self::Database(
                    ColumnDecode { .. }
                        | ColumnIndexOutOfBounds { .. }
                        | ColumnNotFound(_)
                        | Decode(_)
                )
        )
    }

    fn is_state(&self, states: &[&str]) -> bool {
        matches!(self.code(), Some(Code::Postgres(state)) if states.contains(&&*state))
    }

    fn code(&self) -> Option<Code> {
        let (Self::Database(error) | Self::Migrate(sqlx::migrate::MigrateError::Execute(error))) =
            self
        else {
            return None;
        };
        let error = error.as_database_error()?;
        let code = error.code()?;
        if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
            return Some(Code::Postgres(code.into_owned()));
        }
        let code: u32 = code.parse().ok()?;
        Some(Code::Sqlite(code & 0xff))
    }

    /// Maps the error of an insert whose key may be taken.
    pub(crate) fn on_insert(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| match &error {
            sqlx::Error::Database(d) if d.is_unique_violation() => Self::Exists(what),
            _ => Self::Database(error),
        }
    }
}
