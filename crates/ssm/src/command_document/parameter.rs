//! Parameters of a document: their types, and which values they allow.

use regex_lite::Regex;
use serde_json::Value;

use super::refusal::{content, invalid};
use crate::error::{ApiError, ErrorCode};
use crate::parameter_store::refuse;
use crate::pattern::whole;

/// Largest compiled pattern, bytes. A pattern of an address or a version is a tenth of it.
const MAX_PATTERN: usize = 256 * 1024;

/// What values look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One text.
    Text,
    /// Several texts.
    List,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// JSON as text: an object.
    Map,
    /// JSON as text: a list of objects.
    MapList,
}

/// One parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Type of its values.
    pub kind: Kind,
    /// For people.
    pub description: String,
    /// Its values when it is not given; none means that it must be.
    pub default: Option<Vec<String>>,
    /// What its values must match, as written.
    pub allowed_pattern: Option<String>,
    /// The only values it may have.
    pub allowed_values: Vec<String>,
    pattern: Option<Regex>,
    chars: (usize, usize),
    items: (usize, usize),
}

/// Words of the schema that ask for something this gateway does not do.
const NOT_SERVED: &[&str] = &["interpolationType"];

impl Parameter {
    /// Reads a parameter's description.
    ///
    /// # Errors
    /// `InvalidDocumentContent`.
    pub(super) fn parse(name: &str, value: &Value) -> Result<Self, ApiError> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(content("names of parameters consist of letters, digits and underscores"));
        }
        if let Some(word) = NOT_SERVED.iter().find(|word| !value[**word].is_null()) {
            return Err(content(format!("parameter {name}: {word} is not served by this gateway")));
        }
        let kind = match value["type"].as_str() {
            Some("String") => Kind::Text,
            Some("StringList") => Kind::List,
            Some("Boolean") => Kind::Boolean,
            Some("Integer") => Kind::Integer,
            Some("StringMap") => Kind::Map,
            Some("MapList") => Kind::MapList,
            _ => {
                let kinds = "String, StringList, Boolean, Integer, StringMap or MapList";
                return Err(content(format!("parameter {name}: type must be one of {kinds}")));
            }
        };
        let written = value["allowedPattern"]
            .as_str()
            .filter(|pattern| !pattern.is_empty())
            .map(str::to_owned);
        let pattern = written.as_deref().map(|pattern| compile(name, pattern)).transpose()?;
        let allowed_values = match &value["allowedValues"] {
            Value::Null => Vec::new(),
            Value::Array(values) => values.iter().map(text_of).collect(),
            _ => return Err(content(format!("parameter {name}: allowedValues must be a list"))),
        };
        let parameter = Self {
            kind,
            description: value["description"].as_str().unwrap_or_default().to_owned(),
            default: default_of(kind, &value["default"]),
            allowed_pattern: written,
            allowed_values,
            pattern,
            chars: range(name, value, "minChars", "maxChars")?,
            items: range(name, value, "minItems", "maxItems")?,
        };
        if let Some(values) =
            parameter.default.as_ref().filter(|values| values.iter().any(|value| !value.is_empty()))
        {
            let why = |error: ApiError| {
                content(format!("its own default is not allowed: {}", error.message))
            };
            parameter.allow(name, values).map_err(why)?;
            for value in values {
                let what = format!("the default of parameter {name}");
                refuse(&what, ErrorCode::InvalidDocumentContent, value)?;
            }
        }
        Ok(parameter)
    }

    /// Whether it may have these values.
    ///
    /// # Errors
    /// `InvalidParameters` with what would be right. The values are not repeated: they may be
    /// secret.
    pub fn allow(&self, name: &str, values: &[String]) -> Result<(), ApiError> {
        if self.kind != Kind::List && values.len() != 1 {
            return Err(invalid(format!("{name} takes exactly one value")));
        }
        if self.kind == Kind::List && (values.len() < self.items.0 || values.len() > self.items.1) {
            return Err(invalid(format!("{name} must have {}", between(self.items, "values"))));
        }
        values.iter().try_for_each(|value| self.allow_one(name, value))
    }

    fn allow_one(&self, name: &str, value: &str) -> Result<(), ApiError> {
        if value.contains('\0') {
            return Err(invalid(format!("{name} must not hold a zero byte")));
        }
        let typed = match self.kind {
            Kind::Text | Kind::List => None,
            Kind::Boolean => (!matches!(value, "true" | "false")).then_some("true or false"),
            Kind::Integer => value.parse::<i64>().is_err().then_some("a whole number"),
            Kind::Map => (!is_json(value, Value::is_object)).then_some("a JSON object"),
            Kind::MapList => (!is_json(value, Value::is_array)).then_some("a JSON list of objects"),
        };
        if let Some(expected) = typed {
            return Err(invalid(format!("{name} must be {expected}")));
        }
        if !self.allowed_values.is_empty()
            && !self.allowed_values.iter().any(|allowed| allowed == value)
        {
            return Err(invalid(format!(
                "{name} must be one of {}",
                self.allowed_values.join(", ")
            )));
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(value)) {
            let pattern = self.allowed_pattern.as_deref().unwrap_or_default();
            return Err(invalid(format!("{name} must match {pattern}")));
        }
        let chars = value.chars().count();
        if chars < self.chars.0 || chars > self.chars.1 {
            return Err(invalid(format!("{name} must have {}", between(self.chars, "characters"))));
        }
        Ok(())
    }
}

/// The whole value must match: a document whose author forgot the anchors guards as well as one
/// with them.
fn compile(name: &str, pattern: &str) -> Result<Regex, ApiError> {
    whole(pattern, MAX_PATTERN).map_err(|_| {
        content(format!(
            "parameter {name}: allowedPattern is not a pattern that can be used, or too large"
        ))
    })
}

fn is_json(text: &str, is: impl Fn(&Value) -> bool) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| is(&value))
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn default_of(kind: Kind, value: &Value) -> Option<Vec<String>> {
    match (kind, value) {
        (_, Value::Null) => None,
        (Kind::List, Value::Array(values)) => Some(values.iter().map(text_of).collect()),
        (_, value) => Some(vec![text_of(value)]),
    }
}

fn range(name: &str, value: &Value, min: &str, max: &str) -> Result<(usize, usize), ApiError> {
    let number = |key: &str, otherwise: usize| match &value[key] {
        Value::Null => Ok(otherwise),
        // Both are seen in documents: a number, and a number as text.
        given => text_of(given)
            .parse()
            .map_err(|_| content(format!("parameter {name}: {key} must be a number"))),
    };
    Ok((number(min, 0)?, number(max, usize::MAX)?))
}

fn between((min, max): (usize, usize), what: &str) -> String {
    if max == usize::MAX {
        format!("at least {min} {what}")
    } else {
        format!("{min} to {max} {what}")
    }
}
