//! Points in time, in the W3C profile of ISO 8601 or as seconds since 1970.
//!
//! Source: IAM User Guide, "Condition operators", date; W3C note "Date and Time Formats". A text of
//! four digits is a year, a longer one of digits alone is seconds since 1970.
//!
//! # Invariants
//! - What has less precision stands for its first instant: `2026` is 2026-01-01T00:00:00Z.
//! - A time of day needs a zone, as the W3C note has it.
//!
//! # Not here
//! - Leap seconds, and a clock.

/// An instant: nanoseconds since 1970-01-01T00:00:00Z. Fits for any date of the years 0 to 9999 and
/// for any seconds of up to 18 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(i128);

const NANOS: i128 = 1_000_000_000;
/// Digits of seconds that cannot overflow the nanoseconds.
const MAX_EPOCH_DIGITS: usize = 18;

impl Moment {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::epoch(text).or_else(|| Self::iso(text))
    }

    fn epoch(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        if digits.is_empty()
            || digits.len() == 4
            || digits.len() > MAX_EPOCH_DIGITS
            || !all_digits(digits)
        {
            return None;
        }
        let nanos = nanos(fraction)?;
        let seconds = whole.parse::<i128>().ok()? * NANOS;
        Some(Self(if whole.starts_with('-') { seconds - nanos } else { seconds + nanos }))
    }

    fn iso(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut fields = date.split('-');
        let year = number(fields.next()?, 4)?;
        let month = fields.next().map_or(Some(1), |field| number(field, 2))?;
        let day = fields.next().map_or(Some(1), |field| number(field, 2))?;
        if fields.next().is_some()
            || !(1..=12).contains(&month)
            || !(1..=days_in(year, month)).contains(&day)
        {
            return None;
        }
        if time.is_some() && date.len() != "YYYY-MM-DD".len() {
            return None;
        }
        let midnight = i128::from(days_since_1970(year, month, day)) * 86_400 * NANOS;
        Some(Self(midnight + time.map_or(Some(0), time_of_day)?))
    }
}

/// Nanoseconds since midnight in UTC of `hh:mm[:ss[.s]]` and a zone.
fn time_of_day(text: &str) -> Option<i128> {
    let (clock, offset_minutes) = match text.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let (clock, zone) = text.split_at_checked(text.len().checked_sub("+hh:mm".len())?)?;
            (clock, offset(zone)?)
        }
    };
    let mut fields = clock.splitn(3, ':');
    let (hour, minute) = (number(fields.next()?, 2)?, number(fields.next()?, 2)?);
    let (second, fraction) = match fields.next() {
        None => (0, 0),
        Some(field) => {
            let (whole, fraction) = field.split_once('.').unwrap_or((field, "0"));
            (number(whole, 2)?, nanos(fraction)?)
        }
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = (hour * 60 + minute - offset_minutes) * 60 + second;
    Some(i128::from(seconds) * NANOS + fraction)
}

/// Minutes east of UTC of `+hh:mm` or `-hh:mm`.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && all_digits(text)).then(|| text.parse().ok()).flatten()
}

/// The nanoseconds of a decimal fraction; finer digits are dropped.
fn nanos(fraction: &str) -> Option<i128> {
    if fraction.is_empty() || !all_digits(fraction) {
        return None;
    }
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().ok()
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, for years from 0 on.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Days of whole years before this one, counted from year 0, which is a leap year.
    let leap_days =
        |y: i64| if y == 0 { 0 } else { (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400 + 1 };
    let before_year = |y: i64| y * 365 + leap_days(y);
    let before_month: i64 = (1..month).map(|m| days_in(year, m)).sum();
    before_year(year) - before_year(1970) + before_month + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, seconds: i128) {
        assert_eq!(Moment::read(text), Some(Moment(seconds * NANOS)), "{text}");
    }

    #[test]
    fn every_precision_of_the_w3c_profile_is_read() {
        check("1970", 0);
        check("2000-03", 951_868_800);
        check("2000-02-29", 951_782_400);
        check("2026-11-23T15:00Z", 1_795_446_000);
        check("2026-11-23T15:00:30Z", 1_795_446_030);
        check("2026-11-23T16:30:30+01:30", 1_795_446_030);
        check("2026-11-23T10:00:30-05:00", 1_795_446_030);
        check("0000-01-01T00:00:00Z", -62_167_219_200);
        check("9999-12-31T23:59:59Z", 253_402_300_799);
    }

    #[test]
    fn seconds_since_1970_are_read() {
        check("0", 0);
        check("1795446030", 1_795_446_030);
        check("-1", -1);
    }

    #[test]
    fn fractions_count_down_to_the_nanosecond() {
        assert_eq!(Moment::read("1970-01-01T00:00:00.25Z"), Some(Moment(250_000_000)));
        assert_eq!(Moment::read("0.000000001"), Some(Moment(1)));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let wrong = [
            "",
            "T",
            "2026-13",
            "2026-02-29",
            "2026-1-1",
            "2026-11-23T15:00",
            "2026-11T15:00Z",
            "2026-11-23T24:00Z",
            "2026-11-23T15:60Z",
            "2026-11-23T15:00:60Z",
            "2026-11-23 15:00Z",
            "2026-11-23T15:00+1:00",
            "yesterday",
            "2026-11-23T15:00:00.Z",
            "é",
            "2026-11-23Té15:00",
            "1e9",
            "20261123T150000Z",
            "9999999999999999999999",
        ];
        for text in wrong {
            assert_eq!(Moment::read(text), None, "{text}");
        }
    }
}
