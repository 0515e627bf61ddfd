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
            serialization(&without_value(&text))
        }
    })?;
    let mut violations = Violations::default();
    request.check(&mut violations);
    violations.into_result().map(|()| request)
}

/// What serde says of a value that does not fit, without the value: it may be a secret, and answers
/// of refusals are kept. `invalid type: integer `1`, expected a string` names the type alone.
fn without_value(text: &str) -> String {
    let Some((found, expected)) = text.rsplit_once(", expected ") else { return text.to_owned() };
    let kind = found.split(['`', '"']).next().unwrap_or_default().trim_end();
    format!("{kind}, expected {expected}")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::second_factor::EnableSecondFactorRequest;
    use crate::api::webhook::CreateWebhookRequest;

    #[test]
    fn a_value_of_another_type_is_told_by_its_type_alone() {
        for (code, told) in [
            ("987654", "invalid type: integer, expected a string"),
            ("98765.4", "invalid type: floating point, expected a string"),
            ("[\"987654\"]", "invalid type: sequence, expected a string"),
        ] {
            let body = format!(r#"{{"PrincipalName":"ann","TokenCode":{code}}}"#);
            let error = parse::<EnableSecondFactorRequest>(body.as_bytes()).unwrap_err();
            assert_eq!(error.message, told);
        }
        let body = br#"{"WebhookName":"abc","Url":"https://x.example","Secret":true}"#;
        let error = parse::<CreateWebhookRequest>(body).unwrap_err();
        assert_eq!(error.message, "invalid type: boolean, expected a string");
    }

    #[test]
    fn a_value_cannot_hide_in_what_was_expected() {
        let text = r#"invalid type: string "a, expected `s3cret", expected a sequence"#;
        assert_eq!(without_value(text), "invalid type: string, expected a sequence");
        let text = "unknown variant `s3cret`, expected `A` or `B`";
        assert_eq!(without_value(text), "unknown variant, expected `A` or `B`");
        assert_eq!(without_value("the text has no such form"), "the text has no such form");
    }
}
