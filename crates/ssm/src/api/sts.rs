//! The Security Token Service's query protocol: a form comes in, XML goes out.
//!
//! Data flow: body -> [`StsRequest::parse`] -> handler -> [`CallerIdentity::to_xml`], or
//! [`error_xml`] for a refusal.
//!
//! # Invariants
//! - Everything that goes into XML is escaped, characters that XML cannot hold are dropped.
//! - A form has at most [`MAX_FORM_FIELDS`] fields.
//!
//! # Not here
//! - No XML parser: our own client takes the three values out of an answer of a form it knows.

use std::collections::BTreeMap;

use crate::error::{ApiError, ErrorCode, Refused};
use crate::operation::Operation;

/// Content type of requests with a form body.
pub const FORM_CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
/// The API version that clients send.
pub const VERSION: &str = "2011-06-15";
/// Name space of answers; clients leave it out when they compare.
pub(super) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// Most fields of a form that are looked at: AssumeRole with all the tags that it may have stays
/// below.
pub const MAX_FORM_FIELDS: usize = 256;

/// A request in the query protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsRequest {
    /// What is asked.
    pub operation: Operation,
    /// The other fields, decoded.
    pub fields: BTreeMap<String, String>,
}

impl StsRequest {
    /// Reads a form body.
    ///
    /// # Errors
    /// `UnknownOperationException` for an action or version that is not served,
    /// `ValidationException` without one, `SerializationException` for a form that cannot be read
    /// or has a field twice: readers differ in which of the two counts.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let bad =
            || ApiError::new(ErrorCode::SerializationException, "the body is not a form in UTF-8");
        let text = core::str::from_utf8(body).map_err(|_| bad())?;
        let mut fields = BTreeMap::new();
        for (count, field) in text.trim().split('&').filter(|f| !f.is_empty()).enumerate() {
            if count == MAX_FORM_FIELDS {
                return Err(bad());
            }
            let (name, value) = field.split_once('=').ok_or_else(bad)?;
            let name = decoded(name).ok_or_else(bad)?;
            if fields.insert(name, decoded(value).ok_or_else(bad)?).is_some() {
                let message = "a field stands twice in the form";
                return Err(ApiError::new(ErrorCode::SerializationException, message));
            }
        }
        let action =
            fields.remove("Action").ok_or_else(|| ApiError::validation("Action must be given"))?;
        if fields.remove("Version").is_some_and(|version| version != VERSION) {
            return Err(ApiError::new(
                ErrorCode::UnknownOperationException,
                format!("Version must be {VERSION}"),
            ));
        }
        Operation::parse_sts_action(&action).map(|operation| Self { operation, fields })
    }
}

/// A name or value of a form: `+` is a space, `%` two hex digits.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| {
            char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
        };
        out.push(match byte {
            b'+' => b' ',
            b'%' => (digit(bytes.next())? << 4) | digit(bytes.next())?,
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// Who a signature belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    /// Unique id of the principal.
    pub user_id: String,
    /// Account number, twelve digits.
    pub account: String,
    /// ARN of the principal.
    pub arn: String,
}

impl CallerIdentity {
    /// The answer of GetCallerIdentity.
    #[must_use]
    pub fn to_xml(&self, request_id: &str) -> String {
        format!(
            "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult><Arn>{}</Arn><UserId>{}</UserId>\
             <Account>{}</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>{}</RequestId>\
             </ResponseMetadata></GetCallerIdentityResponse>",
            escape(&self.arn),
            escape(&self.user_id),
            escape(&self.account),
            escape(request_id)
        )
    }

    /// Takes the values out of an answer, at the client.
    #[must_use]
    pub fn from_xml(text: &str) -> Option<Self> {
        Some(Self {
            user_id: element(text, "UserId")?,
            account: element(text, "Account")?,
            arn: element(text, "Arn")?,
        })
    }
}

/// The body of a refusal; its status is [`ErrorCode::query_status`].
#[must_use]
pub fn error_xml(error: &ApiError, request_id: &str) -> String {
    let fault = if error.code == ErrorCode::InternalServerError { "Receiver" } else { "Sender" };
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{}</RequestId></ErrorResponse>",
        error.code.query_str(),
        escape(&error.message),
        escape(request_id)
    )
}

/// Takes code and message out of an error answer, at the client.
#[must_use]
pub fn error_from_xml(text: &str) -> Option<Refused> {
    let message = element(text, "Message").unwrap_or_default();
    Some(Refused { code: element(text, "Code")?, message, remedy: None })
}

pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            // XML 1.0 has no way to say these at all.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

pub(super) fn element(text: &str, name: &str) -> Option<String> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let len = text[start..].find(&format!("</{name}>"))?;
    let inner = &text[start..start + len];
    // The ampersand last, or an escaped escape would be undone twice.
    Some(
        inner
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_clients_send_is_understood() {
        let request = StsRequest::parse(b"Action=GetCallerIdentity&Version=2011-06-15").unwrap();
        assert_eq!(request.operation, Operation::GetCallerIdentity);
        let request = StsRequest::parse(
            b"Action=AssumeRole&RoleArn=a%3Ab%2fc&RoleSessionName=x+y&Version=2011-06-15",
        )
        .unwrap();
        assert_eq!(
            (request.fields["RoleArn"].as_str(), request.fields["RoleSessionName"].as_str()),
            ("a:b/c", "x y")
        );
    }

    #[test]
    fn other_forms_get_the_code_that_fits() {
        let code = |body: &[u8]| StsRequest::parse(body).unwrap_err().code;
        assert_eq!(code(b"Action=StartSession"), ErrorCode::UnknownOperationException);
        assert_eq!(
            code(b"Action=GetCallerIdentity&Version=1"),
            ErrorCode::UnknownOperationException
        );
        assert_eq!(code(b""), ErrorCode::ValidationException);
        assert_eq!(code(b"Action=%zz"), ErrorCode::SerializationException);
        assert_eq!(code(b"Action=%f"), ErrorCode::SerializationException);
        assert_eq!(code(b"\xff"), ErrorCode::SerializationException);
        assert_eq!(code(&b"a=b&".repeat(257)), ErrorCode::SerializationException);
    }

    #[test]
    fn a_field_that_stands_twice_in_any_spelling_is_refused() {
        for twice in ["&RoleArn=a&RoleArn=b", "&RoleArn=a&Role%41rn=a", "&Action=GetCallerIdentity"]
        {
            let body = format!("Action=AssumeRole&Version={VERSION}{twice}");
            let error = StsRequest::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.code, ErrorCode::SerializationException, "{twice}");
            assert!(error.message.contains("twice"), "{twice}: {}", error.message);
        }
    }

    #[test]
    fn markup_in_a_value_does_not_become_markup() {
        let identity = CallerIdentity {
            user_id: "a<b>&amp;\u{1}".into(),
            account: "1".into(),
            arn: "x\"y".into(),
        };
        let read = CallerIdentity::from_xml(&identity.to_xml("r")).unwrap();
        assert_eq!(read, CallerIdentity { user_id: "a<b>&amp;".into(), ..identity });
        let error = ApiError::new(ErrorCode::InvalidSignatureException, "</Message><Code>X</Code>");
        let refused = error_from_xml(&error_xml(&error, "r")).unwrap();
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("SignatureDoesNotMatch", "</Message><Code>X</Code>")
        );
    }
}
