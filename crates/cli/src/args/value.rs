//! Values that several commands take: tags and durations.

/// `KEY=VALUE`; the value may be empty and may contain `=`.
pub(super) fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// The name of a user on the device. An empty one is a mistake of a script, for example a variable
/// that is not set, and would be the default user.
pub(super) fn parse_user(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("expected the name of a user; leave --user out for the default".to_owned());
    }
    Ok(text.to_owned())
}

/// A number of seconds from `90s`, `15m`, `12h` or `30d`.
pub(super) fn parse_duration(text: &str) -> Result<u64, String> {
    let bad = || "expected a number and s, m, h or d, for example 12h".to_owned();
    let unit = text.chars().last().ok_or_else(bad)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    number.checked_mul(seconds).filter(|&total| total > 0).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_durations_say_how_they_are_written() {
        assert_eq!(parse_tag("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_tag("a="), Ok(("a".into(), String::new())));
        assert!(parse_tag("=b").is_err() && parse_tag("ab").is_err());
        assert_eq!(parse_duration("12h"), Ok(43_200));
        for bad in ["", "h", "12", "0d", "-1d", "1w", "99999999999999999999d", "1é"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
