//! One-time codes by time (RFC 6238): six digits, 30 seconds, HMAC-SHA1, as authenticators have
//! them.
//!
//! # Invariants
//! - A code is right for one time step before and after the present one: clocks differ.
//! - How long a comparison takes tells nothing of the right code.
//!
//! # Not here
//! - That a code is taken once, and how often one may err: the store.

use ring::hmac;
use subtle::ConstantTimeEq as _;

/// Seconds of a time step.
const STEP: i64 = 30;
/// Steps before and after the present one of which a code is taken.
const SKEW: i64 = 1;

/// The code of a time step.
fn code(key: &hmac::Key, step: i64) -> String {
    let tag = hmac::sign(key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let at = usize::from(bytes.last().copied().unwrap_or(0) & 15);
    let four = bytes.iter().skip(at).take(4);
    let number = four.fold(0_u32, |all, byte| (all << 8) | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// The time step of which `given` is the code, if it is one of those around `now` (seconds).
pub(super) fn step_of(secret: &[u8], given: &str, now: i64) -> Option<i64> {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let present = now.div_euclid(STEP);
    let mut found = None;
    for step in present - SKEW..=present + SKEW {
        if bool::from(code(&key, step).as_bytes().ct_eq(given.as_bytes())) {
            found = Some(step);
        }
    }
    found
}

/// Bytes in base32 without padding, as authenticators take them.
pub(super) fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for five in bytes.chunks(5) {
        let bits = five.iter().fold(0_u64, |all, byte| (all << 8) | u64::from(*byte));
        let bits = bits << (8 * (5 - five.len()));
        let digits = (five.len() * 8).div_ceil(5);
        text.extend((0..digits).map(|place| {
            let index = (bits >> (35 - 5 * place)) & 31;
            ALPHABET.get(usize::try_from(index).unwrap_or(0)).map_or('A', |c| char::from(*c))
        }));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        for (now, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step_of(SECRET, code, now), Some(now / 30), "{now}");
        }
    }

    #[test]
    fn a_code_is_right_for_a_step_before_and_after() {
        let of = |now| step_of(SECRET, "287082", now);
        assert_eq!((of(30), of(59), of(89)), (Some(1), Some(1), Some(1)));
        assert_eq!((of(0), of(119)), (Some(1), None).to_owned());
        assert_eq!(step_of(SECRET, "", 59), None);
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (bytes, text) in
            [("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
