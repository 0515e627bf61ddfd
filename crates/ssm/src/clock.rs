//! Time as AWS writes it: `20260105T101112Z` in signatures, epoch seconds in JSON, ISO 8601 text in
//! filters.
//!
//! Data flow: the caller's clock -> [`EpochSeconds`] -> one of the three texts, and back.
//!
//! # Invariants
//! - Nothing here reads a clock. All times are UTC.
//! - Only years 1970 to 9999 are accepted from outside, so no arithmetic can overflow.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// The last second of the year 9999: the end of what the date formats can say.
const LAST: f64 = 253_402_300_799.0;

/// Seconds since 1970-01-01T00:00:00Z, with a fraction. JSON has it as a number, as AWS JSON 1.1
/// wants.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct EpochSeconds(f64);

impl EpochSeconds {
    /// From whole seconds. Times outside 1970 to 9999 are moved to the nearer end.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // clamped to 38 bits, which an f64 holds exactly
    pub fn from_secs(seconds: i64) -> Self {
        Self((seconds.clamp(0, LAST as i64)) as f64)
    }

    /// From milliseconds; the fraction is kept. Times outside 1970 to 9999 are moved to the nearer
    /// end.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn from_millis(millis: i64) -> Self {
        Self((millis as f64 / 1000.0).clamp(0.0, LAST))
    }

    /// Whole seconds, rounded down.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the value is within 0 and LAST
    pub fn secs(self) -> i64 {
        self.0.floor() as i64
    }
}

impl Serialize for EpochSeconds {
    #[allow(clippy::cast_possible_truncation)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A whole second is written without ".0": some strict readers of the AWS format want an
        // integer there.
        if self.0.fract() == 0.0 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for EpochSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if (0.0..=LAST).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(serde::de::Error::custom("a timestamp must lie in the years 1970 to 9999"))
        }
    }
}

/// Reads the form of `X-Amz-Date`, `YYYYMMDDTHHMMSSZ`, into epoch seconds.
#[must_use]
pub fn parse_amz_date(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u16> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let small = |from, to| number(from, to).and_then(|n| u8::try_from(n).ok());
    let date = Date::from_calendar_date(
        i32::from(number(0, 4)?),
        Month::try_from(small(4, 6)?).ok()?,
        small(6, 8)?,
    )
    .ok()?;
    let time = Time::from_hms(small(9, 11)?, small(11, 13)?, small(13, 15)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp())
}

/// Writes epoch seconds in the form of `X-Amz-Date`. Times outside 1970 to 9999 are moved to the
/// nearer end.
#[must_use]
pub fn format_amz_date(seconds: i64) -> String {
    format_iso8601(seconds).replace(['-', ':'], "")
}

/// Reads ISO 8601 text as people write it in session filters: `2026-01-05T10:11:12Z`, with a
/// fraction or an offset, or a bare date, which means its first second.
#[must_use]
pub fn parse_iso8601(text: &str) -> Option<i64> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(at.unix_timestamp());
    }
    let compact = text.replace('-', "");
    if text.len() == 10 && compact.len() == 8 {
        return parse_amz_date(&format!("{compact}T000000Z"));
    }
    None
}

/// Writes epoch seconds as `2026-01-05T10:11:12Z`. Times outside 1970 to 9999 are moved to the
/// nearer end.
#[must_use]
pub fn format_iso8601(seconds: i64) -> String {
    let at = utc(seconds);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

fn utc(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds.clamp(0, LAST as i64))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_time_survives_a_round_trip() {
        for seconds in [0, 1, 951_782_399, 951_782_400, 1_767_607_872, LAST as i64] {
            assert_eq!(parse_amz_date(&format_amz_date(seconds)), Some(seconds));
        }
        assert_eq!(format_amz_date(1_767_607_872), "20260105T101112Z");
    }

    #[test]
    fn a_signature_time_that_is_no_time_is_refused() {
        for text in [
            "",
            "20260105T101112",
            "20261305T101112Z",
            "20260230T101112Z",
            "2026+105T101112Z",
            "20260105 101112Z",
            "2026010éT10112Z",
        ] {
            assert_eq!(parse_amz_date(text), None, "{text}");
        }
    }

    #[test]
    fn filters_take_the_iso_forms_that_people_write() {
        assert_eq!(parse_iso8601("2026-01-05T10:11:12Z"), Some(1_767_607_872));
        assert_eq!(parse_iso8601("2026-01-05T11:11:12.5+01:00"), Some(1_767_607_872));
        assert_eq!(parse_iso8601("2026-01-05"), Some(1_767_571_200));
        assert_eq!(parse_iso8601("yesterday"), None);
    }

    #[test]
    fn a_whole_second_is_an_integer_in_json_and_a_fraction_is_kept() {
        assert_eq!(serde_json::to_string(&EpochSeconds::from_secs(5)).unwrap(), "5");
        assert_eq!(serde_json::to_string(&EpochSeconds::from_millis(5_250)).unwrap(), "5.25");
        assert_eq!(serde_json::from_str::<EpochSeconds>("5.25").unwrap().secs(), 5);
        assert!(serde_json::from_str::<EpochSeconds>("-1").is_err());
        assert!(serde_json::from_str::<EpochSeconds>("1e300").is_err());
    }
}
