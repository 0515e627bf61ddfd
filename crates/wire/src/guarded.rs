//! Addresses that no name and no `*` may lead to: metadata and control services of clouds, and IPv6
//! addresses in which an IPv4 address travels.
//!
//! The device judges the targets of forwards by this list, the gateway the addresses of identity
//! providers and webhooks: a service of a cloud that one of them knows, both know.
//!
//! # Invariants
//! - An IPv4 address has one form before it is judged ([`unwrapped`]), if every translator agrees
//!   on where it stands in the IPv6 address. Other carriers are guarded as they are.
//!
//! # Not here
//! - Loopback, multicast and the like: the device and the gateway differ on them.
//! - A NAT64 prefix of a network's own choice: nothing in the address tells it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 addresses outside of 169.254.0.0/16: Azure's wire server, Alibaba Cloud's metadata, Oracle
/// Cloud's metadata of classic instances.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// The same of IPv6: networks of Amazon and Google, addresses of Oracle and Scaleway.
const METADATA_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128),
    (Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x42), 128),
];

/// IPv6 networks whose addresses carry an IPv4 address: IPv4-compatible (`::a.b.c.d`, RFC 4291),
/// IPv4-translated (`::ffff:0:a.b.c.d`, RFC 7915), NAT64 of one network (RFC 8215), Teredo
/// (RFC 4380), 6to4 (RFC 3056).
const CARRIERS: [(Ipv6Addr, u32); 5] = [
    (Ipv6Addr::UNSPECIFIED, 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96),
    (Ipv6Addr::new(0x0064, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// The address itself where it is written as `::ffff:a.b.c.d` or `64:ff9b::a.b.c.d` (RFC 6052).
#[must_use]
pub fn unwrapped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if six.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            IpAddr::V4(Ipv4Addr::from_bits((six.to_bits() & u128::from(u32::MAX)) as u32))
        }
        other => other,
    }
}

/// Whether it names no single host: nothing is dialled there. The kernel takes the
/// unspecified one for its own machine. For addresses that went through [`unwrapped`].
#[must_use]
pub fn is_no_host(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Whether a service of a cloud answers there, or the address leads to another one that was not
/// judged. Link-local addresses count. For addresses that went through [`unwrapped`].
#[must_use]
pub fn is_guarded(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_link_local() || METADATA_V4.contains(&four),
        IpAddr::V6(six) if six.is_loopback() || six.is_unspecified() => false,
        IpAddr::V6(six) => {
            let [.., marked, isatap, _, _] = six.segments();
            six.is_unicast_link_local()
                || (isatap == 0x5efe && matches!(marked, 0 | 0x200)) // ISATAP (RFC 5214)
                || METADATA_V6.iter().chain(&CARRIERS).any(|&network| holds(network, six))
        }
    }
}

fn holds((network, bits): (Ipv6Addr, u32), address: Ipv6Addr) -> bool {
    (network.to_bits() ^ address.to_bits()) >> (128 - bits) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(text: &str) -> bool {
        is_guarded(unwrapped(text.parse().unwrap()))
    }

    #[test]
    fn the_services_of_clouds_are_guarded_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "fe80::a9fe:a9fe",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::a83f:8110",
            "64:ff9b:1::a9fe:a9fe",
            "2001::5601:5601",
            "2002:a9fe:a9fe::1",
            "2001:db8::5efe:a9fe:a9fe",
            "2001:db8::200:5efe:a9fe:a9fe",
        ] {
            assert!(guarded(address), "{address}");
        }
    }

    #[test]
    fn other_addresses_are_not() {
        for address in [
            "10.0.0.1",
            "168.63.129.17",
            "127.0.0.1",
            "::1",
            "::",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "fd00:ec3::254",
            "fd00:42::43",
            "2001:db8::1",
            "2001:1::1",
            "2a00::5efe",
        ] {
            assert!(!guarded(address), "{address}");
        }
    }
}
