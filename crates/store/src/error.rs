//! Why the store did not do what it was asked.

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
    #[error("this {0} already exists")]
    Exists(&'static str),
    /// The row to change does not exist.
    #[error("no such {0}")]
    Missing(&'static str),
    /// A row that this version does not understand.
    #[error("the database holds a row that this version cannot read: {0}")]
    Row(String),
    /// The database failed: disk full, locked for too long, damaged.
    #[error("database error: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// Maps the error of an insert whose key may be taken.
    pub(crate) fn on_insert(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| match &error {
            sqlx::Error::Database(d) if d.is_unique_violation() => Self::Exists(what),
            _ => Self::Database(error),
        }
    }
}
