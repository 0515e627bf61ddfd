//! An encrypted backup: for who has the key file.
//!
//! Data flow: bytes -> parts of 64 KiB, each encrypted -> the file; and back, part by part.
//!
//! ```text
//! towline-sealed 1
//! <16 random bytes><part><part>…<last part>
//! ```
//!
//! # Invariants
//! - The key of a file is made of the key file and 16 random bytes: no key encrypts two files.
//! - A part opens only in its place, and the last one only as the last: a file that was cut,
//!   altered or put together of others does not open.
//!
//! # Not here
//! - A key that can only encrypt: who can write such a file can read it.

use std::io::{self, Read, Write};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use towline_host::entropy;

/// First line of such a file.
pub const FORM: &[u8] = b"towline-sealed 1\n";
/// Fewest bytes of a key file.
pub const LEAST_KEY: usize = 32;
/// Bytes of a part before it is encrypted.
const PART: usize = 64 * 1024;
/// Bytes that encryption adds to a part.
const TAG: usize = 16;
/// What the key is made for.
const PURPOSE: &[&[u8]] = &[b"towline backup seal 1"];

/// 32 bytes, as the library wants to be told.
struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        32
    }
}

fn failed() -> io::Error {
    io::Error::other("the cryptographic library refused")
}

fn key_of(key_file: &[u8], salt: &[u8; 16]) -> io::Result<LessSafeKey> {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    let made = Salt::new(HKDF_SHA256, salt).extract(key_file);
    let made = made.expand(PURPOSE, KeyLength).map_err(|_| failed())?;
    made.fill(&mut *key).map_err(|_| failed())?;
    let key = UnboundKey::new(&CHACHA20_POLY1305, &*key).map_err(|_| failed())?;
    Ok(LessSafeKey::new(key))
}

/// The nonce of a part: its number, and whether it is the last.
fn nonce(number: u64, last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[3..11].copy_from_slice(&number.to_be_bytes());
    bytes[11] = u8::from(last);
    Nonce::assume_unique_for_key(bytes)
}

/// Encrypts what is written to it.
pub struct Sealing<W> {
    to: W,
    key: LessSafeKey,
    number: u64,
    part: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// The disk's; no random bytes.
    pub fn new(mut to: W, key_file: &[u8]) -> io::Result<Self> {
        let salt = entropy::random::<16>().map_err(io::Error::other)?;
        to.write_all(FORM)?;
        to.write_all(&salt)?;
        Ok(Self {
            to,
            key: key_of(key_file, &salt)?,
            number: 0,
            part: Vec::with_capacity(PART + TAG),
        })
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = nonce(self.number, last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.part)
            .map_err(|_| failed())?;
        self.number += 1;
        self.to.write_all(&self.part)?;
        self.part.clear();
        Ok(())
    }

    /// Ends the file; what it was written to.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() == PART {
            self.seal(false)?;
        }
        let n = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // a part is written when it is full, or at the end
    }
}

/// Decrypts what is read from it.
pub struct Opening<R> {
    from: R,
    key: LessSafeKey,
    number: u64,
    /// Encrypted bytes that were read, with the first ones of the next part.
    ahead: Vec<u8>,
    open: Vec<u8>,
    at: usize,
    over: bool,
}

impl<R: Read> Opening<R> {
    /// Of a file whose first line was read.
    ///
    /// # Errors
    /// The disk's; the file ends here.
    pub fn new(mut from: R, key_file: &[u8]) -> io::Result<Self> {
        let mut salt = [0; 16];
        from.read_exact(&mut salt).map_err(|_| damaged())?;
        let (ahead, open) = (Vec::new(), Vec::new());
        Ok(Self { from, key: key_of(key_file, &salt)?, number: 0, ahead, open, at: 0, over: false })
    }

    fn next_part(&mut self) -> io::Result<()> {
        // One byte of the part behind shows that this one is not the last.
        let most = (PART + TAG + 1 - self.ahead.len()) as u64;
        (&mut self.from).take(most).read_to_end(&mut self.ahead)?;
        let last = self.ahead.len() <= PART + TAG;
        let rest = if last { Vec::new() } else { self.ahead.split_off(PART + TAG) };
        self.open = std::mem::replace(&mut self.ahead, rest);
        let nonce = nonce(self.number, last);
        let length = self
            .key
            .open_in_place(nonce, Aad::empty(), &mut self.open)
            .map_err(|_| damaged())?
            .len();
        self.open.truncate(length);
        (self.number, self.at, self.over) = (self.number + 1, 0, last);
        Ok(())
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not open: altered, or another key")
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.at == self.open.len() && !self.over {
            self.next_part()?;
        }
        let n = to.len().min(self.open.len() - self.at);
        to[..n].copy_from_slice(&self.open[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = &[5; 32];

    fn sealed(bytes: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::new(Vec::new(), KEY).unwrap();
        sealing.write_all(bytes).unwrap();
        sealing.finish().unwrap()
    }

    fn opened(file: &[u8], key: &[u8]) -> io::Result<Vec<u8>> {
        let rest = file.strip_prefix(FORM).ok_or_else(damaged)?;
        let mut bytes = Vec::new();
        Opening::new(rest, key)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn what_was_sealed_opens_at_every_length_around_a_part() {
        for length in [0, 1, PART - 1, PART, PART + 1, 3 * PART] {
            let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            assert_eq!(opened(&sealed(&bytes), KEY).unwrap(), bytes, "{length}");
        }
    }

    #[test]
    fn nothing_opens_that_was_cut_altered_or_put_in_another_order_or_with_another_key() {
        let whole = sealed(&vec![1; 2 * PART + 9]);
        let begin = FORM.len() + 16;
        for cut in [begin, begin + PART + TAG, begin + 2 * (PART + TAG), whole.len() - 1] {
            assert!(opened(&whole[..cut], KEY).is_err(), "cut at {cut}");
        }
        for at in [FORM.len(), begin, begin + PART, whole.len() - 1] {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert!(opened(&altered, KEY).is_err(), "altered at {at}");
        }
        let (first, second) =
            (begin..begin + PART + TAG, begin + PART + TAG..begin + 2 * (PART + TAG));
        let swapped =
            [&whole[..begin], &whole[second.clone()], &whole[first], &whole[second.end..]].concat();
        assert!(opened(&swapped, KEY).is_err());
        assert!(opened(&whole, &[6; 32]).is_err());
        assert!(opened(&[&whole[..], b"x"].concat(), KEY).is_err());
    }
}
