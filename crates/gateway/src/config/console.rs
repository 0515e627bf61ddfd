//! The section `[console]` of `gateway.toml`: which pages may use a browser's sign-in, and how long
//! it lasts.
//!
//! # Invariants
//! - Without the section, the page of the gateway's own endpoint is the only one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::limits::MAX_ORIGINS;
use crate::origins::canonical;

/// The idle time of a sign-in when nothing is set.
const DEFAULT_IDLE: Duration = Duration::from_secs(3600);
/// The longest life of a sign-in when nothing is set.
const DEFAULT_MAX: Duration = Duration::from_secs(12 * 3600);

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConsole {
    /// Origins of the console's pages, such as `https://gateway.example:8443`. The origin of
    /// `endpoint` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<String>>,
    /// Minutes after which a sign-in that its user leaves alone ends; fractions allowed. 60 when not
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_minutes: Option<f64>,
    /// Minutes after which any sign-in ends; fractions allowed. 720 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_minutes: Option<f64>,
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Origins as browsers write them.
    pub origins: Vec<String>,
    /// A sign-in that its user leaves alone for so long ends.
    pub idle: Duration,
    /// Any sign-in ends after so long.
    pub max: Duration,
}

impl Console {
    /// Checks the section; `endpoint` is the gateway's own URL.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first key that cannot be.
    pub(super) fn new(raw: Option<RawConsole>, endpoint: &str) -> Result<Self, ConfigError> {
        let raw = raw.unwrap_or_default();
        let wrong = |value: String| ConfigError::Value {
            key: "console.origins",
            value,
            want: "at most 16 origins of https pages, such as https://gateway.example:8443",
        };
        let origins = match raw.origins {
            None => canonical(endpoint).into_iter().collect(),
            Some(named) if named.len() > MAX_ORIGINS => return Err(wrong(named.join(", "))),
            Some(named) => named
                .into_iter()
                .map(|origin| canonical(&origin).ok_or_else(|| wrong(origin)))
                .collect::<Result<_, _>>()?,
        };
        let idle = super::minutes("console.idle_minutes", raw.idle_minutes)?;
        let max = super::minutes("console.max_minutes", raw.max_minutes)?;
        Ok(Self { origins, idle: idle.unwrap_or(DEFAULT_IDLE), max: max.unwrap_or(DEFAULT_MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(raw: Option<&[&str]>) -> Result<Vec<String>, String> {
        let origins = raw.map(|all| all.iter().map(|&one| one.to_owned()).collect());
        let raw = RawConsole { origins, ..RawConsole::default() };
        Console::new(Some(raw), "https://GW.example:443")
            .map(|console| console.origins)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_endpoint_is_the_origin_unless_the_file_names_others() {
        assert_eq!(origins(None).unwrap(), ["https://gw.example"]);
        let named = origins(Some(&["https://a.example:8443/", "https://B.example"]));
        assert_eq!(named.unwrap(), ["https://a.example:8443", "https://b.example"]);
    }

    #[test]
    fn an_origin_that_no_page_can_have_is_refused() {
        for wrong in ["http://gw.example", "gw.example", "https://gw.example/console"] {
            let error = origins(Some(&[wrong])).unwrap_err();
            assert!(error.starts_with("console.origins = ") && error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn a_sign_in_lasts_an_hour_idle_and_half_a_day_at_most() {
        let console = Console::new(None, "https://gw.example").unwrap();
        assert_eq!((console.idle.as_secs(), console.max.as_secs()), (3_600, 43_200));
        let raw = RawConsole { idle_minutes: Some(0.0), ..RawConsole::default() };
        assert!(Console::new(Some(raw), "https://gw.example").is_err());
    }
}
