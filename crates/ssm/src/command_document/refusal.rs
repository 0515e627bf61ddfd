//! How a command document or its parameters are refused.

use crate::error::{ApiError, ErrorCode};

pub(super) fn content(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidDocumentContent, message)
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidParameters, message)
}
