//! Decimal numbers, compared exactly: no floating point, so 0.1 is 0.1 and 19 digits stay 19
//! digits.
//!
//! # Invariants
//! - Kept without leading zeros before and trailing zeros after the point, so equal numbers are
//!   equal values.
//!
//! # Not here
//! - Exponents: policies do not use them.

use std::cmp::Ordering;

/// An integer or decimal number of any length its text had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    whole: Box<str>,
    fraction: Box<str>,
}

impl Decimal {
    /// `10`, `-3`, `+2`, `1.50`, `.5`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let only_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty())
            || !only_digits(whole)
            || !only_digits(fraction)
        {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: negative && !zero, whole: whole.into(), fraction: fraction.into() })
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        let by_length = self.whole.len().cmp(&other.whole.len());
        by_length
            .then_with(|| self.whole.cmp(&other.whole))
            .then_with(|| self.fraction.cmp(&other.fraction))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: &str, order: Ordering, right: &str) {
        let read = |text: &str| Decimal::read(text).expect(text);
        assert_eq!(read(left).cmp(&read(right)), order, "{left} and {right}");
        assert_eq!(read(right).cmp(&read(left)), order.reverse(), "{right} and {left}");
    }

    #[test]
    fn numbers_compare_by_value_not_by_spelling() {
        check("10", Ordering::Equal, "10.0");
        check("010", Ordering::Equal, "10");
        check("-0", Ordering::Equal, "0");
        check(".5", Ordering::Equal, "0.50");
        check("9", Ordering::Less, "10");
        check("-10", Ordering::Less, "-9");
        check("-1", Ordering::Less, "0");
        check("0.1", Ordering::Greater, "0.09");
        check("9007199254740993", Ordering::Greater, "9007199254740992");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", ".", "-", "1e3", "0x10", "1,5", "ten", "--1", "1.2.3", "NaN"] {
            assert_eq!(Decimal::read(text), None, "{text}");
        }
    }
}
