//! DER, and fields of an X.509 certificate (RFC 5280, section 4.1) read from it.
//!
//! # Invariants
//! - Total: bytes of any kind give a field or nothing.
//!
//! # Not here
//! - Signatures and trust: webpki.

use time::{Date, Month, OffsetDateTime, Time};
use towline_host::clock::UnixMillis;

/// SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]`, the version.
const VERSION: u8 = 0xa0;
/// `[3]`, the extensions.
const EXTENSIONS: u8 = 0xa3;
const OCTET_STRING: u8 = 0x04;
/// 2.5.29.17, `subjectAltName` (RFC 5280, section 4.2.1.6), as DER writes it.
pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x11];
/// 2.5.29.30, `nameConstraints` (RFC 5280, section 4.2.1.10), as DER writes it.
pub(super) const NAME_CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x1e];

/// What comes after `issuer` in the certificate: `validity` and the rest.
fn from_validity(der: &[u8]) -> Option<&[u8]> {
    let (tag, certificate, _) = element(der)?;
    let (inner, tbs, _) = element(certificate)?;
    if (tag, inner) != (SEQUENCE, SEQUENCE) {
        return None;
    }
    let mut rest = tbs;
    if element(rest)?.0 == VERSION {
        rest = element(rest)?.2;
    }
    for _ in ["serialNumber", "signature", "issuer"] {
        rest = element(rest)?.2;
    }
    Some(rest)
}

/// `notBefore` and `notAfter`.
pub(super) fn validity(der: &[u8]) -> Option<(UnixMillis, UnixMillis)> {
    let (tag, dates, _) = element(from_validity(der)?)?;
    let (kind, from, rest) = element(dates)?;
    let (other, until, _) = element(rest)?;
    (tag == SEQUENCE).then_some(())?;
    Some((date(kind, from)?, date(other, until)?))
}

/// The DER of the names that the certificate is for, as its extension holds them.
pub(super) fn subject_alt_names(der: &[u8]) -> Option<&[u8]> {
    extension(der, SUBJECT_ALT_NAME)
}

/// What the certificate's extension of this kind holds.
pub(super) fn extension<'a>(der: &'a [u8], kind: &[u8]) -> Option<&'a [u8]> {
    let mut rest = from_validity(der)?;
    let extensions = loop {
        let (tag, content, after) = element(rest)?;
        if tag == EXTENSIONS {
            break content;
        }
        rest = after;
    };
    let (_, mut rest, _) = element(extensions)?;
    loop {
        let (_, one, after) = element(rest)?;
        let (found, value) = kind_and_value(one)?;
        if found == kind {
            return Some(value);
        }
        rest = after;
    }
}

/// Kind and value of one extension, of the content of its SEQUENCE.
pub(super) fn kind_and_value(extension: &[u8]) -> Option<(&[u8], &[u8])> {
    let (kind, rest) = whole(extension)?;
    let (tag, content, after) = element(rest)?;
    // A BOOLEAN before it says whether the extension is critical.
    let (tag, content) =
        if tag == OCTET_STRING { (tag, content) } else { element(after).map(|e| (e.0, e.1))? };
    (tag == OCTET_STRING).then_some((kind, content))
}

/// The first DER element with its tag and length, and what follows.
pub(super) fn whole(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, _, rest) = element(der)?;
    der.split_at_checked(der.len() - rest.len())
}

/// Tag, content and what follows of the first DER element.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 4 {
            return None;
        }
        length = bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
        rest = after;
    }
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

/// `UTCTime` (two digits of the year, 1950 to 2049) or `GeneralizedTime` (four), both in UTC.
fn date(tag: u8, text: &[u8]) -> Option<UnixMillis> {
    let digits = text.strip_suffix(b"Z")?;
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u16>().ok();
    let (year, rest) = match tag {
        0x17 => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        0x18 => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let parts: Vec<u8> =
        rest.chunks(2).map(|two| u8::try_from(number(two)?).ok()).collect::<Option<_>>()?;
    let [month, day, hour, minute, second] = parts.as_slice() else { return None };
    let day = Date::from_calendar_date(year.into(), Month::try_from(*month).ok()?, *day).ok()?;
    let time = Time::from_hms(*hour, *minute, *second).ok()?;
    Some(UnixMillis::from(OffsetDateTime::new_utc(day, time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::certs;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn names_are_those_of_the_extension() {
        let fresh = certs::make(&["gateway.example".into()], &[]).unwrap();
        let leaf = CertificateDer::from_pem_slice(fresh.chain_pem.as_bytes()).unwrap();
        let names = subject_alt_names(&leaf).unwrap();
        assert!(names.windows(15).any(|part| part == b"gateway.example"));
        assert!(names.windows(4).any(|part| part == [127, 0, 0, 1]));
        for end in 0..leaf.len() {
            assert!(subject_alt_names(&leaf[..end]).is_none(), "cut at {end}");
        }
    }

    #[test]
    fn dates_of_both_forms_are_read_and_others_are_none() {
        let shown = |tag, text: &[u8]| date(tag, text).map(UnixMillis::to_rfc3339);
        assert_eq!(shown(0x17, b"491231235959Z").unwrap(), "2049-12-31T23:59:59Z");
        assert_eq!(shown(0x17, b"500101000000Z").unwrap(), "1950-01-01T00:00:00Z");
        assert_eq!(shown(0x18, b"20500101000000Z").unwrap(), "2050-01-01T00:00:00Z");
        for bad in [&b"4912312359Z"[..], b"491331235959Z", b"", b"Z", b"49123123595+Z"] {
            assert_eq!(shown(0x17, bad), None, "{bad:?}");
        }
        assert!(validity(&[0x30, 0x84, 0xff]).is_none());
    }
}
