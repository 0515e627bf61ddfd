//! Which addresses the gateway dials.
//!
//! # Invariants
//! - Never this machine, its link or a cloud's metadata, unless the setting names the address: who
//!   may write a URL must not reach what only the gateway's host reaches.
//! - An IPv4 address inside of an IPv6 address is judged as what it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use towline_ssm::api::activation::{cidr_contains, parse_cidr};

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
        !is_guarded(inner(address)) || self.names(address)
    }
}

/// The IPv4 address that an IPv6 address leads to, if it does.
fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address.to_canonical() else { return address.to_canonical() };
    let [a, b, c, d, e, f, g, h] = six.segments();
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        // NAT64, compatible
        (0x64, 0xff9b, 0, 0, 0, 0) | (0, 0, 0, 0, 0, 0) if g != 0 => four(g, h),
        (0x2002, high, low, ..) => four(high, low), // 6to4
        _ => IpAddr::V6(six),
    }
}

fn is_guarded(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let [a, b, ..] = four.octets();
            four.is_loopback()
                || four.is_link_local()
                || four.is_multicast()
                || a == 0
                || a >= 240
                || (a, b) == (192, 0) // of protocols; some clouds put metadata there
                || four == Ipv4Addr::new(100, 100, 100, 200) // metadata
                || four == Ipv4Addr::new(168, 63, 129, 16) // metadata
        }
        IpAddr::V6(six) => {
            let link_local = six.segments()[0] & 0xffc0 == 0xfe80;
            // NAT64 of one network (RFC 8215): where the IPv4 address stands in it is its affair.
            let local_nat64 = six.segments()[..3] == [0x64, 0xff9b, 1];
            let metadata = six == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                || six == Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);
            six.is_loopback()
                || six.is_unspecified()
                || six.is_multicast()
                || link_local
                || local_nat64
                || metadata
        }
    }
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
