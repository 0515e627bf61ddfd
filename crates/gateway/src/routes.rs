//! The one router behind the TLS listener: each part of the gateway adds its own routes.
//!
//! Data flow: listener -> [`router`] -> the API (`/`), data channels (`/v1/data-channel/`),
//! the web console (`/console/`).
//!
//! # Invariants
//! - A path that no part serves is answered in the API's form, so that a client of AWS can show it.

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use towline_ssm::error::{ApiError, ErrorCode};

use crate::error_response::error_response;

/// All routes: those of each part, and an answer for every other path.
pub fn router(parts: impl IntoIterator<Item = Router>) -> Router {
    parts.into_iter().fold(Router::new(), Router::merge).fallback(unknown_path)
}

async fn unknown_path() -> Response<Body> {
    let error = ApiError::new(
        ErrorCode::UnknownOperationException,
        "this path is not served: send API requests to /",
    );
    error_response(StatusCode::NOT_FOUND, &error)
}
