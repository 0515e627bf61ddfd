//! A value that is bound to a statement.
//!
//! # Invariants
//! - Each value knows its type also when it is NULL: PostgreSQL compares types before values.

/// A bound value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// BIGINT.
    Number(Option<i64>),
    /// TEXT.
    Text(Option<String>),
    /// BLOB or BYTEA.
    Bytes(Option<Vec<u8>>),
    /// BOOLEAN.
    Truth(bool),
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for Value {
            fn from(number: $number) -> Self { Self::Number(Some(i64::from(number))) }
        }
        impl From<&$number> for Value {
            fn from(number: &$number) -> Self { Self::Number(Some(i64::from(*number))) }
        }
        impl From<Option<$number>> for Value {
            fn from(number: Option<$number>) -> Self { Self::Number(number.map(i64::from)) }
        }
    )*};
}

numbers!(i64, i32, u32, u8);

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

macro_rules! converted {
    ($variant:ident: $($from:ty),*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self { Self::$variant(Some(value.into())) }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self { Self::$variant(value.map(Into::into)) }
        }
    )*};
}

converted!(Text: &str, String);
converted!(Bytes: &[u8], Vec<u8>);

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<&&str> for Value {
    fn from(text: &&str) -> Self {
        Self::Text(Some((*text).to_owned()))
    }
}

impl From<&Option<String>> for Value {
    fn from(text: &Option<String>) -> Self {
        Self::Text(text.clone())
    }
}

impl From<&Vec<u8>> for Value {
    fn from(bytes: &Vec<u8>) -> Self {
        Self::Bytes(Some(bytes.clone()))
    }
}

impl From<Option<&Vec<u8>>> for Value {
    fn from(bytes: Option<&Vec<u8>>) -> Self {
        Self::Bytes(bytes.cloned())
    }
}

impl From<&Option<Vec<u8>>> for Value {
    fn from(bytes: &Option<Vec<u8>>) -> Self {
        Self::Bytes(bytes.clone())
    }
}

/// Binds values to a statement of one driver. TEXT of PostgreSQL holds no NUL: there it becomes
/// U+FFFD, so that a text with a NUL is stored, and found again by the same text.
macro_rules! bind_all {
    ($query:expr, $values:expr, $text:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value {
                Value::Number(number) => query.bind(number),
                Value::Text(text) => query.bind(text.map($text)),
                Value::Bytes(bytes) => query.bind(bytes),
                Value::Truth(truth) => query.bind(truth),
            };
        }
        query
    }};
}

/// Runs a bound statement on a connection of one driver; `$row` makes its rows ours.
macro_rules! fetched {
    ($statement:expr, $connection:expr, $wanted:expr, $row:expr) => {
        Ok(match $wanted {
            Wanted::Count => {
                let changed = $statement.execute($connection).await?.rows_affected();
                Outcome { changed, ..Outcome::default() }
            }
            Wanted::First => {
                let row = $statement.fetch_optional($connection).await?;
                Outcome { rows: row.map($row).into_iter().collect(), changed: 0 }
            }
            Wanted::All => {
                let rows = $statement.fetch_all($connection).await?;
                Outcome { rows: rows.into_iter().map($row).collect(), changed: 0 }
            }
        })
    };
}

pub(super) use {bind_all, fetched};
