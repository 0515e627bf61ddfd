//! From the body of a request to its shape, and from an answer to its body.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::check::Violations;
use crate::error::{ApiError, ErrorCode, REMEDY, Refused, Remedy};
use crate::json;

/// Largest request body in bytes. The largest that the limits of the shapes allow in earnest are
/// tag lists and policies, both far below; the model's own sum (64 KiB for each session parameter)
/// is nothing we could pass on.
pub const MAX_BODY: usize = 256 * 1024;

/// A request shape that knows its limits.
pub trait Request: DeserializeOwned {
    /// Notes every member that breaks a limit.
    fn check(&self, violations: &mut Violations);
}

/// Reads and checks a request body. An empty body counts as `{}`.
///
/// # Errors
/// `SerializationException` for what is not JSON of this shape, `ValidationException` for a missing
/// member or a broken limit.
pub fn parse<R: Request>(body: &[u8]) -> Result<R, ApiError> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let mut value = json::read(body).map_err(|error| {
        serialization(&format!("the body is not JSON that is taken here: {error}"))
    })?;
    if !value.is_object() {
        return Err(serialization("the body must be a JSON object"));
    }
    drop_nulls(&mut value);
    let request: R = serde_json::from_value(value).map_err(|error| {
        let text = error.to_string();
        if text.starts_with("missing field") {
            ApiError::validation(text)
        } else {
            serialization(&text)
        }
    })?;
    let mut violations = Violations::default();
    request.check(&mut violations);
    violations.into_result().map(|()| request)
}

/// Writes a request or an answer. Shapes of this crate cannot fail to be written.
#[must_use]
pub fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec())
}

/// Reads an answer at the client.
///
/// # Errors
/// `SerializationException` when the answer is not of this shape.
pub fn from_answer<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| serialization(&format!("the answer is not as expected: {error}")))
}

/// Reads an error answer at the client: code (without any namespace in front) and message.
#[must_use]
pub fn error_from_answer(body: &[u8]) -> Option<Refused> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let code = value.get("__type").or_else(|| value.get("code"))?.as_str()?;
    let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
    let message = value
        .get("message")
        .or_else(|| value.get("Message"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let remedy = value.get(REMEDY).and_then(Value::as_str).and_then(Remedy::of);
    Some(Refused { code: code.to_owned(), message: message.to_owned(), remedy })
}

/// The answer of operations that have nothing to say: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Empty {}

fn serialization(message: &str) -> ApiError {
    ApiError::new(ErrorCode::SerializationException, message)
}

/// Removes `null` members at every depth. Nulls inside lists stay: they are wrong there.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
