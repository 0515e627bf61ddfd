//! The pin of the gateway's next key: `issued pin` in one line, `-` where there is no pin.
//!
//! # Invariants
//! - The time stays when the pin has become the one in use: an older statement never counts again.

use super::key::{hex, unhex32};
use super::{Dir, StateError};

const FILE: &str = "next-pin";

/// What the authority said last of the server's next key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextPin {
    /// When it was said, ms since 1970; 0 for never.
    pub issued: u64,
    /// The pin that counts beside the one in use.
    pub pin: Option<[u8; 32]>,
}

impl NextPin {
    /// Reads it. A file that is absent or damaged says nothing: the gateway says it again.
    #[must_use]
    pub fn load(dir: &Dir) -> Self {
        let text = dir.read(FILE).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.and_then(|text| parse(&text)).unwrap_or_default()
    }

    /// Stores it.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn store(&self, dir: &Dir) -> Result<(), StateError> {
        let pin = self.pin.map_or_else(|| "-".to_owned(), |pin| hex(&pin));
        dir.write(FILE, format!("{} {pin}\n", self.issued).as_bytes())
    }
}

fn parse(text: &str) -> Option<NextPin> {
    let (issued, pin) = text.trim_end().split_once(' ')?;
    let pin = if pin == "-" { None } else { Some(unhex32(pin)?) };
    Some(NextPin { issued: issued.parse().ok()?, pin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_loaded_and_anything_else_says_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::at(temp.path());
        assert_eq!(NextPin::load(&dir), NextPin::default());
        for pin in [None, Some([9; 32])] {
            let next = NextPin { issued: 300, pin };
            next.store(&dir).unwrap();
            assert_eq!(NextPin::load(&dir), next);
        }
        for wrong in ["", "300", "x -", "300 09"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
