//! The destinations of forwards: patterns of the device's administrator, matched against the
//! name and against each of its addresses.
//!
//! # Forms
//! `HOST:PORT`, where HOST is a name, `*.SUFFIX`, an address (`[::1]`), a network
//! (`10.0.0.0/8`), `localhost` (this device, by any address) or `*`; and PORT is a number,
//! `LOW-HIGH` or `*`.
//!
//! # Invariants
//! - The agent dials an address that was checked, never a name that could resolve to another
//!   one.
//! - Link-local addresses and the metadata addresses of clouds need an address or network of the
//!   list. The loopback addresses of the device are not reached by a name or a
//!   `*.SUFFIX`, which a name server could point at them: `localhost`, an address, a network or
//!   a plain `*` has to permit them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use towline_wire::guarded::{is_guarded, is_no_host, unwrapped};

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    host: Host,
    low: u16,
    high: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    Loopback,
    Name(String),
    Suffix(String),
    Network(IpAddr, u8),
}

impl Forward {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence that says how one is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "must be patterns HOST:PORT such as \"localhost:*\", \"10.0.0.0/8:5432\", \"*.lan:80-90\", not {text:?}"
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let (low, high) = match (port, port.split_once('-')) {
            ("*", _) => (1, u16::MAX),
            (_, Some((low, high))) => {
                (low.parse().map_err(|_| bad())?, high.parse().map_err(|_| bad())?)
            }
            (one, None) => (one.parse().map_err(|_| bad())?, one.parse().map_err(|_| bad())?),
        };
        if low == 0 || low > high {
            return Err(bad());
        }
        let plain =
            host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
        let host = match plain.split_once('/') {
            _ if plain == "*" => Host::Any,
            _ if plain.eq_ignore_ascii_case("localhost") => Host::Loopback,
            Some((network, bits)) => network_of(network, bits).ok_or_else(bad)?,
            None => match plain.parse::<IpAddr>() {
                Ok(address) => Host::Network(
                    address.to_canonical(),
                    if address.to_canonical().is_ipv4() { 32 } else { 128 },
                ),
                Err(_) => name_of(plain).ok_or_else(bad)?,
            },
        };
        Ok(Self { host, low, high })
    }

    fn has_port(&self, port: u16) -> bool {
        (self.low..=self.high).contains(&port)
    }

    fn names(&self, name: &str) -> bool {
        match &self.host {
            Host::Any => true,
            Host::Name(known) => known.eq_ignore_ascii_case(name),
            Host::Suffix(suffix) => {
                let front = name.len().checked_sub(suffix.len());
                front.is_some_and(|at| {
                    at > 0 && name.is_char_boundary(at) && name[at..].eq_ignore_ascii_case(suffix)
                })
            }
            Host::Loopback | Host::Network(..) => false,
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        match self.host {
            Host::Loopback => address.is_loopback(),
            Host::Network(network, bits) => same_front(network, address, bits),
            Host::Any | Host::Name(_) | Host::Suffix(_) => false,
        }
    }
}

/// Bits in front of an IPv4 address that is mapped into IPv6.
const MAPPED_BITS: u8 = 96;

fn network_of(address: &str, bits: &str) -> Option<Host> {
    let address: IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    if bits > if address.is_ipv4() { 32 } else { 128 } {
        return None;
    }
    // `::ffff:10.0.0.0/104` is 10.0.0.0/8: targets are compared in that form.
    match (address.to_canonical(), bits.checked_sub(MAPPED_BITS)) {
        (four @ IpAddr::V4(_), Some(rest)) if address.is_ipv6() => Some(Host::Network(four, rest)),
        _ => Some(Host::Network(address, bits)),
    }
}

fn name_of(text: &str) -> Option<Host> {
    let (suffix, rest) = match text.strip_prefix('*') {
        Some(rest) if rest.starts_with('.') => (true, rest),
        Some(_) => return None,
        None => (false, text),
    };
    let good =
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    good.then(|| if suffix { Host::Suffix(rest.to_owned()) } else { Host::Name(rest.to_owned()) })
}

fn same_front(network: IpAddr, address: IpAddr, bits: u8) -> bool {
    let shift = |width: u32| width - u32::from(bits);
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            bits == 0 || a.to_bits() >> shift(32) == b.to_bits() >> shift(32)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            bits == 0 || a.to_bits() >> shift(128) == b.to_bits() >> shift(128)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Whether a tunnel to this place may be opened at all. What a name means is judged later, by
/// [`permits`].
#[must_use]
pub fn may_permit(forwards: &[Forward], host: Option<&str>, port: u16) -> bool {
    let mut of_port = forwards.iter().filter(|forward| forward.has_port(port));
    match host {
        None => forwards.iter().any(|f| {
            f.has_port(port) && (f.host == Host::Any || LOOPBACK.iter().any(|&a| f.holds(a)))
        }),
        Some(host) => match host.parse::<IpAddr>() {
            Ok(address) => permits(forwards, host, SocketAddr::new(address, port)),
            Err(_) => of_port.any(|forward| {
                forward.names(host) || matches!(forward.host, Host::Loopback | Host::Network(..))
            }),
        },
    }
}

/// The device itself.
pub const LOOPBACK: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Whether this address may be dialled for that name.
#[must_use]
pub fn permits(forwards: &[Forward], host: &str, target: SocketAddr) -> bool {
    let address = unwrapped(target.ip());
    if is_no_host(address) {
        return false;
    }
    forwards.iter().filter(|forward| forward.has_port(target.port())).any(|forward| {
        match forward.host {
            _ if forward.holds(address) => true,
            Host::Any => !is_guarded(address),
            Host::Name(_) | Host::Suffix(_) => {
                forward.names(host) && !is_guarded(address) && !address.is_loopback()
            }
            Host::Loopback | Host::Network(..) => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(patterns: &[&str]) -> Vec<Forward> {
        patterns.iter().map(|text| Forward::parse(text).unwrap()).collect()
    }

    #[track_caller]
    fn check(patterns: &[&str], host: &str, address: &str, permitted: bool) {
        let target = address.parse().unwrap();
        assert_eq!(
            permits(&all(patterns), host, target),
            permitted,
            "{patterns:?} {host} {address}"
        );
    }

    #[test]
    fn a_place_is_named_by_name_suffix_address_or_network() {
        check(&["db.lan:5432"], "DB.lan", "10.0.0.5:5432", true);
        check(&["db.lan:5432"], "db.lan", "10.0.0.5:5433", false);
        check(&["db.lan:5432"], "other.lan", "10.0.0.5:5432", false);
        check(&["*.lan:80-90"], "a.b.lan", "10.0.0.5:85", true);
        check(&["*.lan:80-90"], ".lan", "10.0.0.5:85", false);
        check(&["10.0.0.0/8:*"], "whatever", "10.9.9.9:1", true);
        check(&["10.0.0.0/8:*"], "whatever", "11.0.0.1:1", false);
        check(&["[fd12::]:22"], "fd12::", "[fd12::]:22", true);
        check(&["0.0.0.0/0:22"], "x", "8.8.8.8:22", true);
        check(&["fd12::/16:22"], "x", "[fd12:1::2]:22", true);
        check(&["::ffff:10.0.0.0/104:22"], "x", "10.9.9.9:22", true);
        check(&["::ffff:10.0.0.0/104:22"], "x", "11.0.0.1:22", false);
    }

    #[test]
    fn metadata_addresses_are_reached_by_no_name_and_no_star() {
        for address in [
            "169.254.169.254:80",
            "[fe80::1]:80",
            "[fd00:ec2::254]:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[64:ff9b:1::a9fe:a9fe]:80",
            "[64:ff9b:1:a9fe:a9:fe00::]:80",
            "[2002:a9fe:a9fe::1]:80",
            "[fd20:ce::254]:80",
            "168.63.129.16:80",
            "[::ffff:168.63.129.16]:80",
            "[64:ff9b::a83f:8110]:80",
            "100.100.100.200:80",
            "192.0.0.192:80",
            "[fd00:c1::a9fe:a9fe]:80",
            "[fd00:42::42]:80",
            "[::169.254.169.254]:80",
            "[::ffff:0:169.254.169.254]:80",
        ] {
            check(
                &["*:*", "rebound.lan:80", "*.lan:80", "localhost:*"],
                "rebound.lan",
                address,
                false,
            );
        }
        check(&["169.254.169.254:80"], "169.254.169.254", "169.254.169.254:80", true);
        check(&["169.254.0.0/16:*"], "x", "[::ffff:169.254.169.254]:80", true);
        check(&["168.63.129.16:80"], "168.63.129.16", "168.63.129.16:80", true);
        check(&["fd20:ce::/32:80"], "x", "[fd20:ce::254]:80", true);
        check(&["*:80"], "x", "168.63.129.17:80", true);
    }

    #[test]
    fn a_name_that_points_at_the_device_itself_needs_more_than_the_name() {
        check(&["db.lan:5432"], "db.lan", "127.0.0.1:5432", false);
        check(&["db.lan:5432", "localhost:5432"], "db.lan", "127.0.0.1:5432", true);
        check(&["*:*"], "db.lan", "[::1]:5432", true);
        check(&["localhost:*"], "x", "127.9.9.9:1", true);
        check(&["*:*", "0.0.0.0/0:*"], "x", "0.0.0.0:22", false);
    }

    #[test]
    fn what_can_never_be_permitted_is_known_before_a_name_is_asked() {
        let own = all(&["localhost:*"]);
        assert!(may_permit(&own, None, 22) && may_permit(&own, Some("127.0.0.1"), 22));
        assert!(!may_permit(&own, Some("10.0.0.1"), 22));
        assert!(may_permit(&own, Some("who-knows.lan"), 22), "it may mean this device");
        let one = all(&["db.lan:5432"]);
        assert!(
            !may_permit(&one, None, 5432)
                && !may_permit(&one, Some("db.lan"), 22)
                && !may_permit(&one, Some("x"), 5432)
        );
        assert!(!may_permit(&[], None, 22));
    }

    #[test]
    fn a_pattern_that_is_none_is_refused_with_the_right_form() {
        for text in [
            "",
            "host",
            "host:",
            "host:0",
            "host:70000",
            "h ost:1",
            "10.0.0.0/33:1",
            "host:9-1",
            "a*b:1",
            "*lan:1",
        ] {
            assert!(Forward::parse(text).unwrap_err().contains("HOST:PORT"), "{text}");
        }
    }
}
