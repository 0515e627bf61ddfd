//! A row of a result, whichever engine gave it.
//!
//! # Invariants
//! - A whole number is read as `i64`, whatever width the engine computed it in.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Row as _, TypeInfo as _, ValueRef as _};

/// A row.
pub(crate) enum Row {
    /// Of SQLite.
    Sqlite(SqliteRow),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

/// A column's name, or its place.
pub(crate) trait Index: ColumnIndex<SqliteRow> + ColumnIndex<PgRow> + Copy {}

impl Index for &str {}
impl Index for usize {}

/// What a column is read as.
pub(crate) trait Column<'r>: Sized {
    /// From a row of SQLite.
    fn sqlite<I: Index>(row: &'r SqliteRow, index: I) -> Result<Self, sqlx::Error>;
    /// From a row of PostgreSQL.
    fn postgres<I: Index>(row: &'r PgRow, index: I) -> Result<Self, sqlx::Error>;
}

macro_rules! read_alike {
    ($($column:ty),*) => {$(
        impl<'r> Column<'r> for $column {
            fn sqlite<I: Index>(row: &'r SqliteRow, index: I) -> Result<Self, sqlx::Error> {
                row.try_get(index)
            }
            fn postgres<I: Index>(row: &'r PgRow, index: I) -> Result<Self, sqlx::Error> {
                row.try_get(index)
            }
        }
    )*};
}

read_alike!(&'r str, String, Option<String>, Vec<u8>, Option<Vec<u8>>, bool, Option<bool>);

impl<'r> Column<'r> for Option<i64> {
    fn sqlite<I: Index>(row: &'r SqliteRow, index: I) -> Result<Self, sqlx::Error> {
        row.try_get(index)
    }

    fn postgres<I: Index>(row: &'r PgRow, index: I) -> Result<Self, sqlx::Error> {
        if row.try_get_raw(index)?.type_info().name() == "INT4" {
            return Ok(row.try_get::<Option<i32>, _>(index)?.map(i64::from));
        }
        row.try_get(index)
    }
}

impl<'r> Column<'r> for i64 {
    fn sqlite<I: Index>(row: &'r SqliteRow, index: I) -> Result<Self, sqlx::Error> {
        row.try_get(index)
    }

    fn postgres<I: Index>(row: &'r PgRow, index: I) -> Result<Self, sqlx::Error> {
        if row.try_get_raw(index)?.type_info().name() == "INT4" {
            return row.try_get::<i32, _>(index).map(Self::from);
        }
        row.try_get(index)
    }
}

impl Row {
    /// Reads a column.
    pub(crate) fn try_get<'r, T: Column<'r>, I: Index>(
        &'r self,
        index: I,
    ) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => T::sqlite(row, index),
            Self::Postgres(row) => T::postgres(row, index),
        }
    }
}

/// What a whole row is read as.
pub(crate) trait FromRow: Sized {
    /// From the columns in order.
    fn from_row(row: &Row) -> Result<Self, sqlx::Error>;
}

macro_rules! tuples {
    ($(($($part:ident $place:tt),*);)*) => {$(
        impl<$($part),*> FromRow for ($($part,)*)
        where
            $($part: for<'r> Column<'r>),*
        {
            fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
                Ok(($(row.try_get::<$part, usize>($place)?,)*))
            }
        }
    )*};
}

tuples! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
}
