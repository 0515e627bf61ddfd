//! Parameters of the built-in session documents: names, defaults, and which values they allow.

use std::collections::BTreeMap;

use towline_wire::canonical;

/// Parameters of a session document: every value is a list.
pub type Parameters = BTreeMap<String, Vec<String>>;

/// One parameter of a document.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its value when it is not given; none means that it must be.
    pub default: Option<&'static str>,
    /// What its values must match, in the notation of AWS's documents.
    pub allowed_pattern: &'static str,
    /// The same as code; a test holds the two together.
    pub allows: fn(&str) -> bool,
    /// Whether it may have several values, in order.
    pub list: bool,
    /// What its values name.
    pub form: Form,
}

/// What the values of a parameter name. Paths and hosts have one spelling, so that policies can
/// compare them: [`towline_wire::canonical`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing that has several spellings.
    Text,
    /// A place on the device.
    Path,
    /// A host that the device connects to.
    Host,
}

impl Parameter {
    /// The one spelling of a value.
    ///
    /// # Errors
    /// A sentence about the value that does not repeat it.
    pub fn canonical(&self, value: &str) -> Result<String, String> {
        match self.form {
            Form::Text => Ok(value.to_owned()),
            Form::Path => canonical::path(value).map_err(|fault| format!("{} {fault}", self.name)),
            Form::Host => canonical::host(value).map_err(|fault| format!("{} {fault}", self.name)),
        }
    }
}

pub(super) const RUN_AS: Parameter = Parameter {
    name: "runAsUser",
    // Left out, it is the device's default user; an empty value is a mistake of a script, and would
    // be that user as well.
    default: Some(""),
    allowed_pattern: "^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,62}[$]?$",
    allows: is_local_user,
    list: false,
    form: Form::Text,
};
pub(super) const COMMAND: Parameter = Parameter {
    name: "command",
    default: None,
    allowed_pattern: "^[^\\x00]+$",
    allows: |value| !value.is_empty() && !value.contains('\0'),
    list: false,
    form: Form::Text,
};
pub(super) const SEPARATE: Parameter = Parameter {
    name: "separateOutputStream",
    default: Some("false"),
    allowed_pattern: "^(true|false)$",
    allows: |value| matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
    list: false,
    form: Form::Text,
};
pub(super) const TERMINAL: Parameter = flag("terminal");
pub(super) const DETACH: Parameter = flag("detach");

const fn flag(name: &'static str) -> Parameter {
    Parameter {
        name,
        default: Some("false"),
        allowed_pattern: "^(true|false)$",
        allows: |value| matches!(value, "true" | "false"),
        list: false,
        form: Form::Text,
    }
}
pub(super) const STDOUT_PREFIX: Parameter = prefix("stdOutSeparatorPrefix");
pub(super) const STDERR_PREFIX: Parameter = prefix("stdErrSeparatorPrefix");

const fn prefix(name: &'static str) -> Parameter {
    Parameter {
        name,
        default: Some(""),
        allowed_pattern: "^[a-zA-Z0-9\\r\\n_:-]{0,30}$",
        allows: |value| {
            value.len() <= 30
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"\r\n_:-".contains(&b))
        },
        list: false,
        form: Form::Text,
    }
}

pub(super) const fn port(name: &'static str, default: &'static str) -> Parameter {
    Parameter {
        name,
        default: Some(default),
        allowed_pattern: "^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$",
        allows: |value| port_number(value).is_some_and(|port| port != 0),
        list: false,
        form: Form::Text,
    }
}

pub(super) const LOCAL_PORT: Parameter = Parameter {
    name: "localPortNumber",
    default: Some("0"),
    allowed_pattern: "^(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])?$",
    allows: |value| value.is_empty() || port_number(value).is_some(),
    list: false,
    form: Form::Text,
};
pub(super) const HOST: Parameter = Parameter {
    name: "host",
    default: None,
    allowed_pattern: "^[0-9A-Za-z._:-]{1,253}$",
    allows: |value| {
        (1..=253).contains(&value.len())
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
    },
    list: false,
    form: Form::Host,
};
pub(super) const PATH: Parameter = Parameter {
    name: "path",
    default: None,
    allowed_pattern: "^[^\\x00]+$",
    allows: |value| !value.is_empty() && !value.contains('\0'),
    list: false,
    form: Form::Path,
};
pub(super) const DIRECTION: Parameter = Parameter {
    name: "direction",
    default: None,
    allowed_pattern: "^(get|put)$",
    allows: |value| matches!(value, "get" | "put"),
    list: false,
    form: Form::Text,
};
pub(super) const FOLLOW: Parameter = Parameter {
    name: "follow",
    default: Some("false"),
    allowed_pattern: "^(true|false)$",
    allows: |value| matches!(value, "true" | "false"),
    list: false,
    form: Form::Text,
};
pub(super) const ARGV: Parameter = Parameter {
    name: "argv",
    default: None,
    allowed_pattern: "^[^\\x00]*$",
    allows: |value| !value.contains('\0'),
    list: true,
    form: Form::Text,
};

/// A port number in decimal digits, without leading zeros.
pub(super) fn port_number(text: &str) -> Option<u16> {
    let plain = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    (plain && canonical).then(|| text.parse().ok())?
}

/// User names as local databases and directories have them: capitals, a leading digit and `@` as
/// well. Whether the device has the user is the device's to say.
pub(super) fn is_local_user(name: &str) -> bool {
    let stem = name.strip_suffix('$').unwrap_or(name).as_bytes();
    let Some((first, rest)) = stem.split_first() else { return false };
    let good = |b: &u8| b.is_ascii_alphanumeric() || b"_.@+-".contains(b);
    rest.len() <= 62 && (first.is_ascii_alphanumeric() || *first == b'_') && rest.iter().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_that_a_device_may_have_are_taken_and_an_empty_one_is_refused() {
        let long = "u".repeat(32);
        for name in ["Operator", "u@example.org", "1user", &long, "_apt", "host$", "a.b-c+d"] {
            assert!((RUN_AS.allows)(name), "{name}");
        }
        for name in ["", "$", "-x", "a b", "a:b", "../x", "a\nb", "é"] {
            assert!(!(RUN_AS.allows)(name), "{name}");
        }
    }
}
