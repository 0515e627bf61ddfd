//! The one spelling of a path on a device, and of a host that a device connects to.
//!
//! A policy compares letters, a device uses meanings. Both agree only if each meaning has one
//! spelling. The gateway asks for it before any policy is read; the device checks it again before
//! anything is opened.
//!
//! # Paths
//! - Absolute: `/` and names between single slashes.
//! - Below the home of the session's user: `~`, `~/x`. `x` means `~/x`, and `.` alone the home. The
//!   homes of others have no spelling.
//! - No `.`, no `..`, no `//`, no slash at the end, no NUL.
//!
//! # Hosts
//! - An address as Rust's `IpAddr` prints it. IPv6 in its shortest form, an IPv4 address that is
//!   mapped into IPv6 as IPv4, no zone. One that NAT64 carries (`64:ff9b::a.b.c.d`) is refused.
//! - A name of letters, digits, `-` and `_`: lower case, no dot at the end, and its last label is
//!   no number (`127.1`, `0x7f000001` and `2130706433` are addresses for many resolvers).
//!
//! # Not here
//! - Links: a clean path may lead through one. The device decides when it opens the file.
//! - What a name resolves to: the device judges each address.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use core::net::IpAddr;

use crate::guarded::unwrapped;

/// Longest name of a host, bytes (RFC 1035).
const MAX_NAME: usize = 253;
/// Longest label of a name, bytes.
const MAX_LABEL: usize = 63;

/// Why a text is no path that can be judged by its letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Nothing is named.
    #[error("is empty: write ~ for the home directory")]
    Empty,
    /// No file has such a name.
    #[error("has a NUL byte")]
    Nul,
    /// Another user's home.
    #[error(
        "begins with ~ and a name: write ~/ for the home of the session's user, or an absolute path"
    )]
    OtherHome,
    /// An empty name between or behind slashes.
    #[error("has two slashes in a row, or one at its end: write single slashes between names")]
    EmptyName,
    /// `.` or `..`.
    #[error("has the name . or ..: write the path without it")]
    Dots,
    /// It means a place in the home directory and does not say so.
    #[error("is not in its one spelling: write an absolute path, or ~/ in front")]
    Spelling,
}

/// Why a text is no host that can be judged by its letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    /// Not of the form of a name.
    #[error(
        "is neither an IP address nor a name: a name has labels of letters, digits, - and _ \
         between single dots"
    )]
    Form,
    /// Letters in upper case.
    #[error("has upper-case letters: write the name in lower case")]
    UpperCase,
    /// The root's dot.
    #[error("ends with a dot: write the name without it")]
    TrailingDot,
    /// The last label is a number, so that resolvers may take the whole for an address.
    #[error(
        "is a number or ends with one: write an IPv4 address as four decimal numbers without \
         leading zeros"
    )]
    Number,
    /// An IPv4 address that NAT64 carries.
    #[error("is an IPv4 address in an IPv6 address (64:ff9b::/96): write the IPv4 address")]
    Carried,
    /// An address that can be written shorter.
    #[error("is an address, but not in its one spelling: write it in its shortest form")]
    Spelling,
}

/// The canonical form of a path: absolute, or `~` with what is below it.
///
/// ```
/// use towline_wire::canonical::{PathFault, path};
///
/// assert_eq!(path("/var/log/syslog").as_deref(), Ok("/var/log/syslog"));
/// assert_eq!(path("notes/today").as_deref(), Ok("~/notes/today"));
/// assert_eq!(path("/var/log/../../etc/shadow"), Err(PathFault::Dots));
/// ```
///
/// # Errors
/// [`PathFault`]: the text has no canonical form.
pub fn path(text: &str) -> Result<String, PathFault> {
    if text.is_empty() {
        return Err(PathFault::Empty);
    }
    if text.contains('\0') {
        return Err(PathFault::Nul);
    }
    if matches!(text, "/" | "~") {
        return Ok(text.to_owned());
    }
    if matches!(text, "~/" | ".") {
        return Ok("~".to_owned());
    }
    let below = match (text.strip_prefix('/'), text.strip_prefix("~/")) {
        (Some(below), _) | (None, Some(below)) => below,
        (None, None) if text.starts_with('~') => return Err(PathFault::OtherHome),
        (None, None) => text,
    };
    names(below)?;
    if text.starts_with(['/', '~']) { Ok(text.to_owned()) } else { Ok(format!("~/{text}")) }
}

fn names(below: &str) -> Result<(), PathFault> {
    for name in below.split('/') {
        match name {
            "" => return Err(PathFault::EmptyName),
            "." | ".." => return Err(PathFault::Dots),
            _ => {}
        }
    }
    Ok(())
}

/// A canonical path as [`Launch::Copy`](crate::message::Launch::Copy) has it: relative to the home
/// directory unless it begins with `/`, and `.` for the home itself.
#[must_use]
pub fn relative_to_home(canonical: &str) -> &str {
    match canonical.strip_prefix("~/") {
        Some(below) => below,
        None if canonical == "~" => ".",
        None => canonical,
    }
}

/// Whether a path of a [`Launch::Copy`](crate::message::Launch::Copy) is one that
/// [`relative_to_home`] gives.
///
/// # Errors
/// [`PathFault`]: it is not.
pub fn check_relative(sent: &str) -> Result<(), PathFault> {
    match sent {
        "" => Err(PathFault::Empty),
        "." | "/" => Ok(()),
        _ if sent.contains('\0') => Err(PathFault::Nul),
        _ => names(sent.strip_prefix('/').unwrap_or(sent)),
    }
}

/// Whether a path is in its canonical form already.
///
/// # Errors
/// [`PathFault`]: it is not.
pub fn check_path(text: &str) -> Result<(), PathFault> {
    if path(text)? == text { Ok(()) } else { Err(PathFault::Spelling) }
}

/// Whether a host is in its canonical form already.
///
/// # Errors
/// [`HostFault`]: it is not.
pub fn check_host(text: &str) -> Result<(), HostFault> {
    if host(text)? == text { Ok(()) } else { Err(HostFault::Spelling) }
}

/// The canonical form of a host: an address, or a name in lower case.
///
/// ```
/// use towline_wire::canonical::{HostFault, host};
///
/// assert_eq!(host("::ffff:10.0.0.1").as_deref(), Ok("10.0.0.1"));
/// assert_eq!(host("db.example.com").as_deref(), Ok("db.example.com"));
/// assert_eq!(host("0x7f000001"), Err(HostFault::Number));
/// ```
///
/// # Errors
/// [`HostFault`]: the text has no canonical form.
pub fn host(text: &str) -> Result<String, HostFault> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let own = address.to_canonical();
        // Where a network translates, both lead to one host: a policy has to see one of them.
        return if unwrapped(own) == own { Ok(own.to_string()) } else { Err(HostFault::Carried) };
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(in_name)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > MAX_NAME || !name.split('.').all(is_label) {
        return Err(HostFault::Form);
    }
    if name.rsplit('.').next().is_some_and(is_number) {
        return Err(HostFault::Number);
    }
    if name.len() < text.len() {
        return Err(HostFault::TrailingDot);
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(HostFault::UpperCase);
    }
    Ok(text.to_owned())
}

/// Whether resolvers may read a label as a number: decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_absolute_or_below_the_home() {
        for (text, canonical, sent) in [
            ("/", "/", "/"),
            ("/var/log", "/var/log", "/var/log"),
            ("/a b/...", "/a b/...", "/a b/..."),
            ("~", "~", "."),
            ("~/", "~", "."),
            (".", "~", "."),
            ("~/x", "~/x", "x"),
            ("x/y", "~/x/y", "x/y"),
            ("~/~x", "~/~x", "~x"),
            ("-x", "~/-x", "-x"),
        ] {
            assert_eq!(path(text).as_deref(), Ok(canonical), "{text}");
            assert_eq!(path(canonical).as_deref(), Ok(canonical), "{canonical}");
            assert_eq!(relative_to_home(canonical), sent);
            assert_eq!(check_relative(sent), Ok(()), "{sent}");
        }
    }

    #[test]
    fn every_other_path_is_refused() {
        use PathFault::{Dots, Empty, EmptyName, Nul, OtherHome};
        for (text, fault) in [
            ("", Empty),
            ("/var/log/../../etc/shadow", Dots),
            ("../x", Dots),
            ("~/..", Dots),
            ("./x", Dots),
            ("/.", Dots),
            ("/a/./b", Dots),
            ("//etc", EmptyName),
            ("/a//b", EmptyName),
            ("/a/", EmptyName),
            ("x/", EmptyName),
            ("~//x", EmptyName),
            ("~root", OtherHome),
            ("~root/x", OtherHome),
            ("/a\0b", Nul),
        ] {
            assert_eq!(path(text), Err(fault), "{text:?}");
        }
        for sent in ["", "./x", "..", "a/../b", "/a//b", "a/", "//", "a\0"] {
            assert!(check_relative(sent).is_err(), "{sent:?}");
        }
    }

    #[test]
    fn an_address_has_one_spelling() {
        for (text, canonical) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("2001:DB8::0:1", "2001:db8::1"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::FFFF:7f00:1", "127.0.0.1"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(canonical), "{text}");
        }
        for text in [
            "0x7f000001",
            "0x7f.1",
            "127.1",
            "127.0.1",
            "127.0.0.01",
            "0177.0.0.1",
            "2130706433",
            "127.0.0.0x1",
            "0x",
            "127.0.0.1.",
            "1.2.3.4.5",
            "256.1.1.1",
        ] {
            assert_eq!(host(text), Err(HostFault::Number), "{text}");
        }
    }

    #[test]
    fn an_address_that_nat64_carries_is_written_as_ipv4() {
        for text in ["64:ff9b::10.0.0.5", "64:ff9b::a00:5", "0064:FF9B:0::a00:5"] {
            assert_eq!(host(text), Err(HostFault::Carried), "{text}");
        }
        assert_eq!(host("64:ff9c::a00:5").as_deref(), Ok("64:ff9c::a00:5"));
    }

    #[test]
    fn a_name_is_in_lower_case_and_ends_without_a_dot() {
        for text in
            ["localhost", "db.example.com", "10.example.com", "a_b", "xn--bcher-kva.example"]
        {
            assert_eq!(host(text).as_deref(), Ok(text));
        }
        assert_eq!(host("LocalHost"), Err(HostFault::UpperCase));
        assert_eq!(host("localhost."), Err(HostFault::TrailingDot));
        let long = "a".repeat(64);
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "-a",
            "a-",
            "a b",
            "fe80::1%eth0",
            "[::1]",
            "a/b",
            "b\u{fc}r",
            &long,
        ] {
            assert_eq!(host(text), Err(HostFault::Form), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_has_a_canonical_form_keeps_it(text in "[~/.a0-9xX:f-]{0,12}") {
            if let Ok(canonical) = path(&text) {
                prop_assert_eq!(path(&canonical), Ok(canonical.clone()));
                prop_assert!(check_relative(relative_to_home(&canonical)).is_ok());
            }
            if let Ok(canonical) = host(&text) {
                prop_assert_eq!(host(&canonical), Ok(canonical.clone()));
            }
        }
    }
}
