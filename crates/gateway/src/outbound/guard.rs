//! Which addresses the gateway dials.
//!
//! # Invariants
//! - Never this machine, its link or a cloud's metadata, unless the setting names the address: who
//!   may write a URL must not reach what only the gateway's host reaches.
//! - An IPv4 address inside of an IPv6 address is judged as what it is.

use std::net::{IpAddr, Ipv4Addr};

use towline_ssm::api::activation::{cidr_contains, parse_cidr};
use towline_wire::guarded::{is_guarded, unwrapped};

/// Addresses that are dialled although they are guarded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    allowed: Vec<(IpAddr, u8)>,
}

impl Guard {
    /// From addresses and ranges. The error is the text that is neither.
    ///
    /// # Errors
    /// See above.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let range = |text: &String| parse_cidr(text).ok_or_else(|| text.clone());
        let allowed = texts.iter().map(range).collect::<Result<_, _>>()?;
        Ok(Self { allowed })
    }

    /// Whether the setting names the address.
    pub(super) fn names(&self, address: IpAddr) -> bool {
        let inner = inner(address);
        self.allowed.iter().any(|range| cidr_contains(*range, inner))
    }

    /// Whether the address is dialled.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        !is_refused(inner(address)) || self.names(address)
    }
}

/// The IPv4 address that an IPv6 address leads to, if it does.
fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = unwrapped(address) else { return unwrapped(address) };
    let [a, high, low, ..] = six.segments();
    match a {
        0x2002 => IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))), // 6to4
        _ => IpAddr::V6(six),
    }
}

fn is_refused(address: IpAddr) -> bool {
    let odd = match address {
        IpAddr::V4(four) => {
            let [a, b, ..] = four.octets();
            // 192.0.0.0/16: of protocols; some clouds put metadata there
            a == 0 || a >= 240 || (a, b) == (192, 0)
        }
        IpAddr::V6(six) => six.is_unspecified(),
    };
    odd || address.is_loopback() || address.is_multicast() || is_guarded(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(guard: &Guard, address: &str) -> bool {
        guard.admits(address.parse().unwrap())
    }

    #[test]
    fn this_machine_its_link_and_metadata_are_guarded_in_every_spelling() {
        let guard = Guard::default();
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:7f00:1::",
            "::127.0.0.1",
            "fd00:ec2::1",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "::ffff:0:127.0.0.1",
            "2001::80ff:fffe",
            "2a00::5efe:7f00:1",
        ] {
            assert!(!admits(&guard, address), "{address}");
        }
    }

    #[test]
    fn the_network_of_a_company_is_dialled() {
        for address in
            ["10.1.2.3", "192.168.1.1", "172.16.0.1", "93.184.216.34", "fd12::1", "2a00::1"]
        {
            assert!(admits(&Guard::default(), address), "{address}");
        }
    }

    #[test]
    fn the_setting_names_exceptions_and_nothing_beside_them() {
        let guard = Guard::parse(&["127.0.0.1".into(), "fe80::/64".into()]).unwrap();
        assert!(admits(&guard, "127.0.0.1") && admits(&guard, "::ffff:127.0.0.1"));
        assert!(admits(&guard, "fe80::5"));
        assert!(!admits(&guard, "127.0.0.2") && !admits(&guard, "169.254.169.254"));
        assert_eq!(Guard::parse(&["localhost".into()]).unwrap_err(), "localhost");
    }
}
