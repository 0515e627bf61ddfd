//! Values of the configuration, read as the type of their key. Each error names what the key
//! accepts.

use super::raw::Value;
use crate::limits;
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

pub(super) fn text(value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("must be a string, in quotes, not {}", kind(&other))),
    }
}

pub(super) fn path(value: Value) -> Result<PathBuf, String> {
    let path = PathBuf::from(text(value)?);
    if path.is_absolute() { Ok(path) } else { Err("must be an absolute path".to_owned()) }
}

pub(super) fn flag(value: Value) -> Result<bool, String> {
    match value {
        Value::Flag(flag) => Ok(flag),
        Value::Text(text) if text == "true" => Ok(true),
        Value::Text(text) if text == "false" => Ok(false),
        other => Err(format!("must be true or false, not {}", kind(&other))),
    }
}

/// A level of the log.
pub(super) fn level(value: Value) -> Result<LevelFilter, String> {
    let levels = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    let text = text(value)?;
    let level = levels.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    level
        .map(|(_, level)| *level)
        .ok_or_else(|| "must be error, warn, info, debug, trace or off".to_owned())
}

pub(super) fn list(value: Value) -> Result<Vec<String>, String> {
    match value {
        Value::List(list) => Ok(list),
        Value::Text(text) => Ok(text
            .split(',')
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect()),
        other => Err(format!("must be a list of strings, not {}", kind(&other))),
    }
}

pub(super) fn number(value: Value, least: usize, most: usize) -> Result<usize, String> {
    let number = match value {
        Value::Number(number) => usize::try_from(number).ok(),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    number
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("must be a number from {least} to {most}"))
}

/// A number of bytes for the spool; 0 for none.
pub(super) fn spool_bytes(value: Value) -> Result<u64, String> {
    let bytes = match value {
        Value::Number(number) => u64::try_from(number).ok(),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    let (least, most) = (limits::SPOOL_FLOOR, limits::SPOOL_CEILING);
    bytes
        .filter(|n| *n == 0 || (least..=most).contains(n))
        .ok_or_else(|| format!("must be 0, or bytes from {least} to {most}"))
}

/// `90`, `"90s"`, `"5m"`, `"2h"`, `"1d"`.
pub(super) fn duration(value: Value) -> Result<Duration, String> {
    let wrong = || "must be a time like \"90s\", \"5m\", \"2h\" or \"1d\"".to_owned();
    let text = match value {
        Value::Number(seconds) => seconds.to_string(),
        Value::Text(text) => text,
        _ => return Err(wrong()),
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let seconds: u64 = digits.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(seconds.saturating_mul(unit)))
}

/// A duration in a range, both ends included.
pub(super) fn between(
    duration: Duration,
    least: Duration,
    most: Duration,
) -> Result<Duration, String> {
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (least.as_secs(), most.as_secs());
    Err(format!("must be from {least} to {most} seconds, not {}", duration.as_secs()))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "a string",
        Value::Number(_) => "a number",
        Value::Flag(_) => "true or false",
        Value::List(_) => "a list",
        Value::Other(name) => name,
    }
}
