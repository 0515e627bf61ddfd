//! Times of the week at which an approval policy applies, in their time zones.
//!
//! # Invariants
//! - Times of a day are those of the clocks in the zone: on the day on which a clock is set,
//!   `08:00` is what the clock shows.
//! - Nothing applies by a window whose zone is not known; a document with one is refused.
//!
//! # Not here
//! - The form of windows: `towline_ssm::documents::approval`.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};
use towline_host::clock::UnixMillis;
use towline_ssm::documents::approval::{DAYS, Window};
use towline_ssm::error::{ApiError, ErrorCode};

/// Later than anything.
pub(super) const NEVER: UnixMillis = UnixMillis(i64::MAX);

/// Refuses windows of zones that are not known here.
pub(super) fn check(windows: &[Window]) -> Result<(), ApiError> {
    let unknown = windows.iter().find(|window| TimeZone::get(&window.time_zone).is_err());
    unknown.map_or(Ok(()), |window| {
        let message = format!(
            "{} is no time zone: write a name such as Europe/Berlin or UTC",
            window.time_zone
        );
        Err(ApiError::new(ErrorCode::InvalidDocumentContent, message))
    })
}

/// When the window that is open closes; [`NEVER`] without windows.
///
/// # Errors
/// `ValidationException` when all are closed, with their times.
pub(super) fn open_until(windows: &[Window], now: UnixMillis) -> Result<UnixMillis, ApiError> {
    if windows.is_empty() {
        return Ok(NEVER);
    }
    let latest = windows.iter().filter_map(|window| closes(window, now)).max();
    latest.ok_or_else(|| {
        let shown: Vec<_> = windows.iter().map(shown).collect();
        ApiError::validation(format!(
            "the approval policy gives no access at this time: it does {}",
            shown.join(", ")
        ))
    })
}

fn shown(window: &Window) -> String {
    let days = if window.days.is_empty() { "each day".to_owned() } else { window.days.join(" ") };
    format!("{days} {}-{} {}", window.from, window.to, window.time_zone)
}

/// The end of this window, if it is open.
pub(super) fn closes(window: &Window, now: UnixMillis) -> Option<UnixMillis> {
    let zone = TimeZone::get(&window.time_zone).ok()?;
    let here = Timestamp::from_millisecond(now.0).ok()?.to_zoned_datetime(zone.clone());
    let day = usize::try_from(here.weekday().to_monday_zero_offset()).ok()?;
    if !window.has_day(day) || day >= DAYS.len() {
        return None;
    }
    let (from, to) = window.minutes()?;
    let minute = u16::try_from(here.hour()).ok()? * 60 + u16::try_from(here.minute()).ok()?;
    if !(from..to).contains(&minute) {
        return None;
    }
    let end = when_shown(&zone, at(here.date(), to)?, here.timestamp())?;
    Some(UnixMillis(end.as_millisecond()))
}

/// When the clocks of a zone show a time next, after `now` on the same day. A time that they show
/// twice comes when it is shown next; one that they skip is over when they skip it.
fn when_shown(zone: &TimeZone, time: DateTime, now: Timestamp) -> Option<Timestamp> {
    let shown = zone.to_ambiguous_timestamp(time);
    match shown.offset() {
        AmbiguousOffset::Unambiguous { .. } => shown.compatible().ok(),
        AmbiguousOffset::Gap { .. } => Some(zone.following(now).next()?.timestamp()),
        AmbiguousOffset::Fold { .. } => {
            let first = shown.earlier().ok()?;
            if now < first { Some(first) } else { shown.later().ok() }
        }
    }
}

/// A minute of a day; 24:00 is the beginning of the next one.
fn at(date: Date, minute: u16) -> Option<DateTime> {
    let (date, minute) =
        if minute == 24 * 60 { (date.tomorrow().ok()?, 0) } else { (date, minute) };
    date.to_datetime(jiff::civil::Time::midnight()).checked_add(i64::from(minute).minutes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[&str], from: &str, to: &str, zone: &str) -> Window {
        Window {
            days: days.iter().map(|day| (*day).to_owned()).collect(),
            from: from.into(),
            to: to.into(),
            time_zone: zone.into(),
        }
    }

    fn millis(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_window_is_open_by_the_clocks_of_its_zone() {
        let office = window(&["Mon", "Fri"], "08:00", "17:30", "Europe/Berlin");
        // 2026-11-27 is a Friday; Berlin is an hour ahead in winter, two in summer.
        for (now, until) in [
            ("2026-11-27T06:59:59Z", None),
            ("2026-11-27T07:00:00Z", Some("2026-11-27T16:30:00Z")),
            ("2026-11-27T16:30:00Z", None),
            ("2026-11-26T10:00:00Z", None),
            ("2026-07-03T06:00:00Z", Some("2026-07-03T15:30:00Z")),
        ] {
            assert_eq!(closes(&office, millis(now)), until.map(millis), "{now}");
        }
    }

    #[test]
    fn a_window_of_the_day_on_which_clocks_change_ends_when_they_show_it() {
        let night = window(&[], "00:00", "24:00", "Europe/Berlin");
        // 2026-10-25 has 25 hours in Berlin.
        let until = closes(&night, millis("2026-10-24T22:00:00Z")).unwrap();
        assert_eq!(until, millis("2026-10-25T23:00:00Z"));
    }

    #[test]
    fn a_window_that_ends_while_clocks_change_ends_when_they_show_its_end_or_skip_it() {
        let night = window(&[], "00:00", "02:30", "Europe/Berlin");
        for (now, until) in [
            // 2026-10-25: 02:00 to 03:00 comes twice.
            ("2026-10-25T00:10:00Z", Some("2026-10-25T00:30:00Z")),
            ("2026-10-25T00:40:00Z", None),
            ("2026-10-25T01:10:00Z", Some("2026-10-25T01:30:00Z")),
            ("2026-10-25T01:30:00Z", None),
            // 2026-03-29: 02:00 to 03:00 does not come.
            ("2026-03-29T00:59:59Z", Some("2026-03-29T01:00:00Z")),
            ("2026-03-29T01:00:00Z", None),
        ] {
            assert_eq!(closes(&night, millis(now)), until.map(millis), "{now}");
        }
    }

    #[test]
    fn closed_windows_are_told_and_unknown_zones_are_refused() {
        let office = window(&["Mon"], "08:00", "09:00", "UTC");
        let told = open_until(&[office], millis("2026-11-27T10:00:00Z")).unwrap_err().message;
        assert!(told.contains("Mon 08:00-09:00 UTC"), "{told}");
        assert_eq!(open_until(&[], UnixMillis(0)).unwrap(), NEVER);
        assert!(check(&[window(&[], "00:00", "24:00", "Mars/Olympus")]).is_err());
        assert!(check(&[window(&[], "00:00", "24:00", "America/New_York")]).is_ok());
    }
}
