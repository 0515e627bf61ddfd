//! Addresses and networks of both families, in CIDR form.
//!
//! Source: IAM User Guide, "Condition operators", IP address: an address without prefix is that
//! address alone.
//!
//! # Invariants
//! - An IPv4 address that came in as IPv6 (`::ffff:a.b.c.d`, as a dual-stack socket reports it) is
//!   the IPv4 address.

use std::net::IpAddr;

/// Bits in front of an IPv4 address that is mapped into IPv6.
const MAPPED_BITS: u32 = 96;

/// A network, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// `203.0.113.0/24`, `2001:db8::/32`, `203.0.113.7`. Bits beyond the prefix are ignored.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u32 = match prefix {
            None => longest,
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            Some(_) => return None,
        };
        if prefix > longest {
            return None;
        }
        // `::ffff:10.0.0.0/104` is 10.0.0.0/8, as a mapped address is the IPv4 address.
        Some(match (address.to_canonical(), prefix.checked_sub(MAPPED_BITS)) {
            (four @ IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => {
                Self { address: four, prefix }
            }
            _ => Self { address, prefix },
        })
    }

    /// Whether a single address lies inside.
    pub(crate) fn holds(&self, address: &str) -> bool {
        let Ok(given) = address.parse::<IpAddr>() else { return false };
        match (self.address, given.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(given)) => {
                let differ = net.to_bits() ^ given.to_bits();
                differ.checked_shr(32 - self.prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(given)) => {
                let differ = net.to_bits() ^ given.to_bits();
                differ.checked_shr(128 - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, address: &str, inside: bool) {
        assert_eq!(
            Network::read(network).expect(network).holds(address),
            inside,
            "{address} in {network}"
        );
    }

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        check("203.0.113.0/24", "203.0.113.255", true);
        check("203.0.113.0/24", "203.0.114.0", false);
        check("203.0.113.77/24", "203.0.113.1", true);
        check("203.0.113.7", "203.0.113.7", true);
        check("203.0.113.7", "203.0.113.8", false);
        check("0.0.0.0/0", "255.255.255.255", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "::1", true);
        check("2001:db8::/32", "2001:DB8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("203.0.113.0/24", "::ffff:203.0.113.9", true);
        check("203.0.113.0/24", "203.0.113.0/24", false);
        check("::ffff:203.0.113.7", "203.0.113.7", true);
        check("::ffff:203.0.113.0/120", "203.0.113.9", true);
        check("::ffff:203.0.113.0/120", "203.0.114.9", false);
        check("::ffff:0.0.0.0/96", "::ffff:203.0.113.9", true);
        check("::ffff:0.0.0.0/96", "2001:db8::1", false);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "*",
            "10.0.0.*",
        ] {
            assert_eq!(Network::read(text), None, "{text}");
        }
    }
}
