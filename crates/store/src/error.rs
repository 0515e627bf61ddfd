//! Why the store did not do what it was asked.

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table is at its bound; nothing was written.
    #[error("there are already {limit} {what}: remove some first")]
    Full {
        /// What there are enough of.
        what: &'static str,
        /// The bound.
        limit: i64,
    },
    /// The name is taken; nothing was written.
    #[error("this {0} exists already")]
    Exists(&'static str),
    /// What it should have changed is not there.
    #[error("no such {0}")]
    Missing(&'static str),
    /// A row that this version does not understand.
    #[error("the store holds a row that this version cannot read: {0}")]
    Row(String),
    /// The database failed: disk full, locked for too long, damaged.
    #[error("the store failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the store's schema could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// For an insert whose key may be taken.
    pub(crate) fn on_insert(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| match &error {
            sqlx::Error::Database(d) if d.is_unique_violation() => Self::Exists(what),
            _ => Self::Database(error),
        }
    }
}
