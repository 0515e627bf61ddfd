//! Errors below the API as answers of the API.
//!
//! # Invariants
//! - The cause of an internal error goes to the log and never to the client.

use towline_host::entropy::NoRandom;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::StoreError;

use crate::vault::VaultError;

/// What a client is told while the database is away, full or read-only.
const NO_STORE: &str = "the store of the gateway cannot do this for now (away, full or read-only); \
                        open sessions go on. Try again later";

/// An error of ours: logged with its cause, told to the client without it.
pub(super) fn internal(what: &str, cause: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%cause, "{what}");
    ApiError::new(
        ErrorCode::InternalServerError,
        "the gateway failed; the request may be tried again",
    )
}

/// The same when the store takes no writes, or gives no answer, for now.
pub(super) fn no_store(what: &str, cause: &dyn std::fmt::Display) -> ApiError {
    ApiError { message: NO_STORE.to_owned(), ..internal(what, cause) }
}

/// Turns failures below into answers. A bound of the store is the client's to act upon; the rest is
/// ours.
pub(super) trait OrInternal<T> {
    fn or_internal(self, what: &str) -> Result<T, ApiError>;
}

impl<T> OrInternal<T> for Result<T, StoreError> {
    fn or_internal(self, what: &str) -> Result<T, ApiError> {
        self.map_err(|error| match &error {
            StoreError::Full { .. } => {
                ApiError::new(ErrorCode::ServiceQuotaExceededException, error.to_string())
            }
            StoreError::Exists(_) => {
                ApiError::new(ErrorCode::ResourceAlreadyExistsException, error.to_string())
            }
            StoreError::Missing(_) => {
                ApiError::new(ErrorCode::ResourceNotFoundException, error.to_string())
            }
            StoreError::Changed(_) => ApiError::new(ErrorCode::TooManyUpdates, error.to_string()),
            StoreError::Database(_) if error.is_passing() => no_store(what, &error),
            StoreError::NoRandom
            | StoreError::Row(_)
            | StoreError::NotWhole(_)
            | StoreError::TagClashes(_)
            | StoreError::Address(_)
            | StoreError::Server(_)
            | StoreError::OnServer(_)
            | StoreError::Transfer(_)
            | StoreError::Held
            | StoreError::WaitsForApproval
            | StoreError::Database(_)
            | StoreError::Migrate(_) => internal(what, &error),
        })
    }
}

impl<T> OrInternal<T> for Result<T, NoRandom> {
    fn or_internal(self, what: &str) -> Result<T, ApiError> {
        self.map_err(|error| internal(what, &error))
    }
}

impl<T> OrInternal<T> for Result<T, VaultError> {
    fn or_internal(self, what: &str) -> Result<T, ApiError> {
        self.map_err(|error| internal(what, &error))
    }
}
