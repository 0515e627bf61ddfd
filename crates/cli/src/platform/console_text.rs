//! Text between UTF-8 and the sixteen-bit units of a Windows console.
//!
//! # Invariants
//! - Half a character at the end of a piece waits for the other half.
//! - What is no text becomes U+FFFD, one for each broken part; nothing is dropped silently.

/// Units that begin a character of two.
const FIRST_HALVES: std::ops::Range<u16> = 0xd800..0xdc00;

/// Units that were typed, on their way to bytes.
#[derive(Debug, Default)]
pub(crate) struct Typed {
    half: Option<u16>,
}

impl Typed {
    /// Adds a unit's bytes to `out`.
    pub(crate) fn push(&mut self, unit: u16, out: &mut Vec<u8>) {
        let mut units = [self.half.take(), Some(unit)];
        if FIRST_HALVES.contains(&unit) {
            // What waited has no second half.
            (self.half, units[1]) = (Some(unit), None);
        }
        for decoded in char::decode_utf16(units.into_iter().flatten()) {
            let character = decoded.unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Bytes that are shown, on their way to units.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The begin of a character, at most three bytes.
    half: Vec<u8>,
}

impl Shown {
    /// The units of a piece, behind what waited.
    pub(crate) fn units(&mut self, piece: &[u8]) -> Vec<u16> {
        let mut bytes = std::mem::take(&mut self.half);
        bytes.extend_from_slice(piece);
        let mut units = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    units.extend(text.encode_utf16());
                    return units;
                }
                Err(error) => {
                    let (good, behind) = rest.split_at(error.valid_up_to());
                    units.extend(String::from_utf8_lossy(good).encode_utf16());
                    let Some(bad) = error.error_len() else {
                        self.half = behind.to_vec();
                        return units;
                    };
                    units.push(0xfffd);
                    rest = &behind[bad..];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(units: &[u16]) -> String {
        let (mut typed, mut out) = (Typed::default(), Vec::new());
        for unit in units {
            typed.push(*unit, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn typed_units_become_bytes_also_where_a_character_has_two() {
        let units: Vec<u16> = "a\u{1b}[Aß😀\0".encode_utf16().collect();
        assert_eq!(typed(&units), "a\u{1b}[Aß😀\0");
        assert_eq!(typed(&[0xd83d, u16::from(b'x'), 0xde00]), "\u{fffd}x\u{fffd}");
        assert_eq!(typed(&[0xd83d, 0xd83d, 0xde00]), "\u{fffd}😀");
    }

    #[test]
    fn shown_bytes_may_be_cut_anywhere() {
        let text = "aß😀\u{1b}[0m";
        for cut in 0..=text.len() {
            let (mut shown, mut units) = (Shown::default(), Vec::new());
            units.extend(shown.units(&text.as_bytes()[..cut]));
            units.extend(shown.units(&text.as_bytes()[cut..]));
            assert_eq!(String::from_utf16(&units).unwrap(), text, "cut at {cut}");
        }
        let lossy = Shown::default().units(b"a\xffb\xc3(");
        assert_eq!(String::from_utf16(&lossy).unwrap(), "a\u{fffd}b\u{fffd}(");
    }
}
