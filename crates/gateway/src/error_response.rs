//! An error outside of the API's operations as an HTTP response, in the form of AWS JSON 1.1.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use towline_ssm::error::ApiError;

/// Content type of AWS JSON 1.1.
pub(crate) const JSON: &str = "application/x-amz-json-1.1";

/// The response with this status.
pub(crate) fn error_response(status: StatusCode, error: &ApiError) -> Response<Body> {
    let mut response = Response::new(Body::from(error.json_body()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}
