//! The section `[console]` of `gateway.toml`: which pages may use a browser's sign-in, and how long
//! it lasts.
//!
//! # Invariants
//! - Without the section, the page of the gateway's own endpoint is the only one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_ORIGINS;
use crate::origins::canonical;

/// Minutes without a request of the user after which a sign-in ends when nothing is set.
const DEFAULT_IDLE: f64 = 60.0;
/// Minutes that a sign-in lasts at most when nothing is set.
const DEFAULT_MAX: f64 = 720.0;
/// Most minutes of both: a day.
const MAX_MINUTES: f64 = 1440.0;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConsole {
    /// Origins of the console's pages, such as `https://gateway.example:8443`. The origin of
    /// `endpoint` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<String>>,
    /// Minutes after which a sign-in that its user leaves alone ends; fractions allowed. 60 when
    /// not given.
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

/// A key, its value, and what it should be.
type Wrong = (&'static str, String, &'static str);

impl RawConsole {
    /// Checks the section; `endpoint` is the gateway's own URL.
    ///
    /// # Errors
    /// Key and value of the first one that cannot be, and what it should be.
    pub fn settings(self, endpoint: &str) -> Result<Console, Wrong> {
        let want = "at most 16 origins of https pages, such as https://gateway.example:8443";
        let wrong = |value: String| ("console.origins", value, want);
        let origins = match self.origins {
            None => canonical(endpoint).into_iter().collect(),
            Some(named) if named.len() > MAX_ORIGINS => return Err(wrong(named.join(", "))),
            Some(named) => named
                .into_iter()
                .map(|origin| canonical(&origin).ok_or_else(|| wrong(origin)))
                .collect::<Result<_, _>>()?,
        };
        Ok(Console {
            origins,
            idle: minutes("console.idle_minutes", self.idle_minutes.unwrap_or(DEFAULT_IDLE))?,
            max: minutes("console.max_minutes", self.max_minutes.unwrap_or(DEFAULT_MAX))?,
        })
    }
}

fn minutes(key: &'static str, minutes: f64) -> Result<Duration, Wrong> {
    if minutes > 0.0 && minutes <= MAX_MINUTES {
        return Ok(Duration::from_secs_f64(minutes * 60.0));
    }
    Err((key, minutes.to_string(), "minutes, more than 0 and at most 1440"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(raw: Option<&[&str]>) -> Result<Vec<String>, Wrong> {
        let origins = raw.map(|all| all.iter().map(|&one| one.to_owned()).collect());
        let raw = RawConsole { origins, ..RawConsole::default() };
        raw.settings("https://GW.example:443").map(|console| console.origins)
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
            let (key, value, _) = origins(Some(&[wrong])).unwrap_err();
            assert_eq!((key, value.as_str()), ("console.origins", wrong));
        }
    }

    #[test]
    fn a_sign_in_lasts_an_hour_idle_and_half_a_day_at_most() {
        let console = RawConsole::default().settings("https://gw.example").unwrap();
        assert_eq!((console.idle.as_secs(), console.max.as_secs()), (3_600, 43_200));
        for wrong in [0.0, -1.0, f64::NAN, 1441.0] {
            let raw = RawConsole { idle_minutes: Some(wrong), ..RawConsole::default() };
            assert_eq!(raw.settings("https://gw.example").unwrap_err().0, "console.idle_minutes");
        }
    }
}
