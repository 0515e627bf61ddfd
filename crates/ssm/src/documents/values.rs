//! The parameters of one request, read through their document.

use super::catalogue::Document;
use super::names::{MAX_ARGUMENTS, MAX_COMMAND_BYTES, MAX_PATH_BYTES};
use super::parameter::{Parameters, port_number};
use crate::error::{ApiError, ErrorCode};
use crate::parameter_store;

/// The parameters of a request, seen through their document.
pub(super) struct Values<'a> {
    pub(super) document: &'static Document,
    pub(super) given: &'a Parameters,
}

impl Values<'_> {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        let name = self.document.name;
        for (key, values) in self.given {
            let Some(parameter) = self.document.parameters.iter().find(|p| p.name == key) else {
                return Err(invalid(format!(
                    "{name} has no parameter of one of the given names; it takes {}",
                    self.names()
                )));
            };
            if !parameter.list && values.len() != 1 {
                return Err(invalid(format!("{} takes exactly one value", parameter.name)));
            }
            if !values.iter().all(|value| (parameter.allows)(value)) {
                return Err(invalid(format!(
                    "{} must match {}",
                    parameter.name, parameter.allowed_pattern
                )));
            }
            for value in values {
                parameter.canonical(value).map_err(invalid)?;
            }
        }
        let missing = self
            .document
            .parameters
            .iter()
            .find(|p| p.default.is_none() && !self.given.contains_key(p.name));
        missing.map_or(Ok(()), |p| Err(invalid(format!("{name} needs the parameter {}", p.name))))
    }

    fn names(&self) -> String {
        self.document.parameters.iter().map(|p| p.name).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn one(&self, name: &str) -> &str {
        let default =
            self.document.parameters.iter().find(|p| p.name == name).and_then(|p| p.default);
        self.given
            .get(name)
            .and_then(|values| values.first())
            .map_or(default.unwrap_or_default(), String::as_str)
    }

    pub(super) fn optional(&self, name: &str) -> Option<String> {
        Some(self.one(name)).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    pub(super) fn port(&self, name: &str) -> u16 {
        port_number(self.one(name)).unwrap_or(0)
    }

    pub(super) fn command(&self) -> Result<String, ApiError> {
        let command = self.one("command");
        parameter_store::refuse("command", ErrorCode::InvalidParameters, command)?;
        if command.len() > MAX_COMMAND_BYTES {
            return Err(invalid(format!("command must be at most {MAX_COMMAND_BYTES} bytes long")));
        }
        Ok(command.to_owned())
    }

    pub(super) fn path(&self) -> Result<String, ApiError> {
        let path = self.one("path");
        if path.len() > MAX_PATH_BYTES {
            return Err(invalid(format!("path must be at most {MAX_PATH_BYTES} bytes long")));
        }
        Ok(path.to_owned())
    }

    pub(super) fn argv(&self) -> Result<Vec<String>, ApiError> {
        let argv = self.given.get("argv").cloned().unwrap_or_default();
        if argv.first().is_none_or(String::is_empty) {
            return Err(invalid("argv must begin with the name of a program".to_owned()));
        }
        let bytes: usize = argv.iter().map(|argument| argument.len() + 1).sum();
        if argv.len() > MAX_ARGUMENTS || bytes > MAX_COMMAND_BYTES {
            let limits = format!(
                "argv must have at most {MAX_ARGUMENTS} arguments and {MAX_COMMAND_BYTES} bytes"
            );
            return Err(invalid(limits));
        }
        Ok(argv)
    }
}

pub(super) fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidParameters, message)
}
