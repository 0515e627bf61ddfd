//! The colours of a terminal as RGB: 16 named colours, the cube and the greys of 256, true colour.

use std::fmt;

/// A colour; displayed as `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rgb(pub(super) u8, pub(super) u8, pub(super) u8);

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// Text without a colour.
pub(super) const FOREGROUND: Rgb = Rgb(0xcc, 0xcc, 0xcc);
/// The screen.
pub(super) const BACKGROUND: Rgb = Rgb(0x1e, 0x1e, 0x1e);

/// The 16 named colours, normal and bright, as widely used on a dark background.
const NAMED: [Rgb; 16] = [
    Rgb(0x00, 0x00, 0x00),
    Rgb(0xcd, 0x31, 0x31),
    Rgb(0x0d, 0xbc, 0x79),
    Rgb(0xe5, 0xe5, 0x10),
    Rgb(0x24, 0x72, 0xc8),
    Rgb(0xbc, 0x3f, 0xbc),
    Rgb(0x11, 0xa8, 0xcd),
    Rgb(0xe5, 0xe5, 0xe5),
    Rgb(0x66, 0x66, 0x66),
    Rgb(0xf1, 0x4c, 0x4c),
    Rgb(0x23, 0xd1, 0x8b),
    Rgb(0xf5, 0xf5, 0x43),
    Rgb(0x3b, 0x8e, 0xea),
    Rgb(0xd6, 0x70, 0xd6),
    Rgb(0x29, 0xb8, 0xdb),
    Rgb(0xff, 0xff, 0xff),
];
/// Intensities of the cube of 256 colours, as xterm has them.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// A colour of the palette of 256.
pub(super) fn indexed(number: u8) -> Rgb {
    if let Some(&named) = NAMED.get(usize::from(number)) {
        return named;
    }
    if number >= 232 {
        let grey = 8 + 10 * (number - 232);
        return Rgb(grey, grey, grey);
    }
    let number = usize::from(number) - NAMED.len();
    Rgb(CUBE[number / 36 % 6], CUBE[number / 6 % 6], CUBE[number % 6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_palette_has_named_colours_a_cube_and_greys() {
        let text = |number| indexed(number).to_string();
        assert_eq!([text(1), text(15)], ["#cd3131", "#ffffff"]);
        assert_eq!([text(16), text(196), text(231)], ["#000000", "#ff0000", "#ffffff"]);
        assert_eq!([text(232), text(255)], ["#080808", "#eeeeee"]);
    }
}
