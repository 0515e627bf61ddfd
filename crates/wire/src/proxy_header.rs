//! The header of the PROXY protocol, versions 1 and 2: a balancer writes it before the first byte
//! of a connection, and it says where the connection comes from.
//!
//! Data flow: the first bytes of a connection -> [`read`], again and again with what came ->
//! [`Told`]. The caller reads as many bytes as [`Progress::Wants`] says and no more: what follows
//! the header is TLS.
//!
//! # Invariants
//! - A header has at most [`LONGEST`] bytes, of version 1 [`LONGEST_TEXT`].
//! - Only TCP over IPv4 and IPv6 is taken; type-length values are skipped.
//!
//! # Not here
//! - Whether the peer may say so: the gateway knows its balancers by their addresses.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

/// Longest header, bytes: 16 and 520.
pub const LONGEST: usize = 536;
/// Longest header of version 1, bytes, with its line end: as the specification has it.
pub const LONGEST_TEXT: usize = 107;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const TEXT: &[u8] = b"PROXY ";
/// Bytes of a version 2 header before its addresses.
const FIXED: usize = 16;

/// What the balancer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The connection is the balancer's own: a health check.
    Local,
    /// It comes from here.
    From(SocketAddr),
}

/// How far a header has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// At least so many bytes more belong to it.
    Wants(usize),
    /// It is whole.
    Done(Told),
}

/// These bytes begin no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no header of the PROXY protocol")
    }
}

impl core::error::Error for Malformed {}

/// Reads what has come of a header.
///
/// # Errors
/// [`Malformed`].
pub fn read(bytes: &[u8]) -> Result<Progress, Malformed> {
    let Some(begin) = bytes.get(..SIGNATURE.len()) else {
        let begins = SIGNATURE.starts_with(bytes) || begins_text(bytes);
        return if begins {
            Ok(Progress::Wants(SIGNATURE.len() - bytes.len()))
        } else {
            Err(Malformed)
        };
    };
    if begin == SIGNATURE {
        return read_binary(bytes);
    }
    if begins_text(bytes) { read_text(bytes) } else { Err(Malformed) }
}

fn begins_text(bytes: &[u8]) -> bool {
    TEXT.starts_with(bytes) || bytes.starts_with(TEXT)
}

fn read_binary(bytes: &[u8]) -> Result<Progress, Malformed> {
    let Some(&[version, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        return Ok(Progress::Wants(FIXED.saturating_sub(bytes.len())));
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version >> 4 != 2 || FIXED + length > LONGEST {
        return Err(Malformed);
    }
    let body = bytes.get(FIXED..).unwrap_or_default();
    if body.len() < length {
        return Ok(Progress::Wants(length - body.len()));
    }
    let told = match (version & 0x0f, family) {
        // Unspecified: the balancer does not know, and the connection's own address counts.
        (0, _) | (1, 0x00) => Told::Local,
        (1, 0x11) => {
            let [a, b, c, d, _, _, _, _, high, low] = *start(body, length)?;
            Told::From((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
        }
        (1, 0x21) => {
            let address: [u8; 34] = *start(body, length)?;
            let mut octets = [0; 16];
            octets.copy_from_slice(address.get(..16).unwrap_or_default());
            let port = address.get(32..34).unwrap_or_default();
            let port = u16::from_be_bytes(port.try_into().map_err(|_| Malformed)?);
            Told::From((Ipv6Addr::from(octets), port).into())
        }
        _ => return Err(Malformed),
    };
    Ok(Progress::Done(told))
}

/// The first bytes of the addresses, whose last two are the port of the other end.
fn start<const N: usize>(body: &[u8], length: usize) -> Result<&[u8; N], Malformed> {
    if length < N + 2 {
        return Err(Malformed);
    }
    body.first_chunk().ok_or(Malformed)
}

fn read_text(bytes: &[u8]) -> Result<Progress, Malformed> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        // A line end elsewhere than at the end is none of a header.
        let ended = bytes.contains(&b'\n') || bytes.len() >= LONGEST_TEXT;
        return if ended { Err(Malformed) } else { Ok(Progress::Wants(1)) };
    };
    if bytes.len() > LONGEST_TEXT || line.contains(&b'\n') || line.contains(&b'\r') {
        return Err(Malformed);
    }
    let line = core::str::from_utf8(line).map_err(|_| Malformed)?;
    let mut words = line.split(' ').skip(1);
    let told = match words.next() {
        Some("UNKNOWN") => return Ok(Progress::Done(Told::Local)),
        Some("TCP4") => addresses::<Ipv4Addr>(&mut words)?,
        Some("TCP6") => addresses::<Ipv6Addr>(&mut words)?,
        _ => return Err(Malformed),
    };
    if words.next().is_some() { Err(Malformed) } else { Ok(Progress::Done(Told::From(told))) }
}

/// Source, destination and their ports; the source.
fn addresses<'a, A: FromStr + Into<IpAddr>>(
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<SocketAddr, Malformed> {
    let mut address = || words.next().and_then(|word| word.parse::<A>().ok()).ok_or(Malformed);
    let (source, _) = (address()?, address()?);
    let mut port = || {
        let word = words.next().filter(|word| word.bytes().all(|b| b.is_ascii_digit()));
        let word = word.filter(|word| *word == "0" || !word.starts_with('0'));
        word.and_then(|word| word.parse::<u16>().ok()).ok_or(Malformed)
    };
    let (source_port, _) = (port()?, port()?);
    Ok(SocketAddr::new(source.into(), source_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as a caller does: no byte more than wanted. What it is told, and the bytes it took.
    fn take(bytes: &[u8]) -> Result<(Told, usize), Malformed> {
        let mut taken = 0;
        loop {
            match read(&bytes[..taken])? {
                Progress::Done(told) => return Ok((told, taken)),
                Progress::Wants(more) => {
                    assert!(more > 0 && taken + more <= LONGEST);
                    if taken + more > bytes.len() {
                        return Err(Malformed); // it never comes
                    }
                    taken += more;
                }
            }
        }
    }

    fn binary(version: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[version, family], &length, body].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x04, 0xd2, 0x20, 0xfb];

    fn from(text: &str) -> Told {
        Told::From(text.parse().unwrap())
    }

    #[test]
    fn text_headers_tell_the_source_and_leave_the_rest() {
        let v4 = b"PROXY TCP4 192.0.2.7 10.0.0.1 1234 8443\r\n\x16\x03\x01";
        assert_eq!(take(v4), Ok((from("192.0.2.7:1234"), v4.len() - 3)));
        let v6 = b"PROXY TCP6 2001:db8::7 ::1 1234 8443\r\nx";
        assert_eq!(take(v6), Ok((from("[2001:db8::7]:1234"), v6.len() - 1)));
        assert_eq!(take(b"PROXY UNKNOWN\r\nx"), Ok((Told::Local, 15)));
        assert_eq!(
            take(b"PROXY UNKNOWN whatever it says\r\n").map(|(told, _)| told),
            Ok(Told::Local)
        );
    }

    #[test]
    fn binary_headers_tell_the_source_and_their_values_are_skipped() {
        let mut with_values = V4.to_vec();
        with_values.extend([0x04, 0, 3, 1, 2, 3]);
        let bytes = [binary(0x21, 0x11, &with_values), b"\x16".to_vec()].concat();
        assert_eq!(take(&bytes), Ok((from("192.0.2.7:1234"), bytes.len() - 1)));
        let mut v6 = Ipv6Addr::from_str("2001:db8::7").unwrap().octets().to_vec();
        v6.extend([0; 16]);
        v6.extend([0x04, 0xd2, 0x20, 0xfb]);
        assert_eq!(
            take(&binary(0x21, 0x21, &v6)).map(|(told, _)| told),
            Ok(from("[2001:db8::7]:1234"))
        );
        assert_eq!(take(&binary(0x20, 0, &[])), Ok((Told::Local, 16)));
        assert_eq!(take(&binary(0x20, 0x11, &V4)).map(|(told, _)| told), Ok(Told::Local));
        assert_eq!(take(&binary(0x21, 0, &[])), Ok((Told::Local, 16)));
        assert!(take(&binary(0x21, 0x11, &[&V4[..], &[0; 508]].concat())).is_ok());
    }

    #[test]
    fn anything_else_is_no_header() {
        for bytes in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03xxxx"[..],
            b"GET / HTTP/1.1\r\n\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1234\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1234 8443 9\r\n",
            b"PROXY TCP4  192.0.2.7 10.0.0.1 1234 8443\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 01234 8443\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 +1234 8443\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 8443\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 1234 8443\r\n",
            b"PROXY TCP6 192.0.2.7 10.0.0.1 1234 8443\r\n",
            b"PROXY UDP4 192.0.2.7 10.0.0.1 1234 8443\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1234 8443\n",
            b"proxy TCP4 192.0.2.7 10.0.0.1 1234 8443\r\n",
            &binary(0x11, 0x11, &V4),
            &binary(0x22, 0x11, &V4),
            &binary(0x21, 0x12, &V4),
            &binary(0x21, 0x31, &[0; 216]),
            &binary(0x21, 0x11, &V4[..11]),
            &binary(0x21, 0x21, &V4),
            &binary(0x21, 0x11, &[0; 521]),
        ] {
            assert_eq!(take(bytes), Err(Malformed), "{:?}", String::from_utf8_lossy(bytes));
        }
        let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 92], b"\r\n".to_vec()].concat();
        assert_eq!(take(&long), Err(Malformed), "{} bytes", long.len());
    }
}
