//! The addresses of the gateways, and which one is dialled next.
//!
//! Data flow: `gateway.address` of the settings, in its order -> [`Gateways::current`] is dialled
//! -> it fails: [`Gateways::failed`] goes to the next one; it accepts the device:
//! [`Gateways::accepted`].
//!
//! # Invariants
//! - After an address has accepted the device it is dialled first; then the others, in their order.
//! - Each address has had its turn before the wait between rounds, which doubles, is made.
//! - What a gateway names when it sends the device away comes first, for [`HOPS`] times in a row;
//!   then the settings count again. It is stored nowhere.
//!
//! # Not here
//! - Trust: it is one for all addresses. Where any name under a public CA would do, only hosts of
//!   the settings are taken.

use crate::limits;
use crate::link::proxy::Proxy;
use crate::state::enrollment::Address;
use std::time::Duration;

/// How often in a row a gateway may lead the device to another one.
const HOPS: u8 = 2;

/// Where a gateway is, and the proxy on the way, where one is set.
#[derive(Debug, Clone)]
pub struct Route {
    /// The gateway.
    pub gateway: Address,
    /// The proxy.
    pub proxy: Option<Proxy>,
}

/// All routes, and the present one.
#[derive(Debug)]
pub struct Gateways {
    first: Route,
    others: Vec<Route>,
    at: usize,
    /// Addresses of this round that have failed.
    failed: usize,
    /// Heard on the present link.
    named: Vec<Route>,
    /// Where the device was led; the first one is dialled.
    led: Vec<Route>,
    /// How often it was, since a gateway has accepted it.
    hops: u8,
    /// Any host may be named: it has to prove a key that is pinned, or a CA of the owner's.
    any_host: bool,
}

impl Gateways {
    /// Begins with route number `begin`, modulo their number.
    #[must_use]
    pub fn new(first: Route, others: Vec<Route>, begin: usize, any_host: bool) -> Self {
        let at = begin % (others.len() + 1);
        let (named, led) = (Vec::new(), Vec::new());
        Self { first, others, at, failed: 0, named, led, hops: 0, any_host }
    }

    /// The gateway of the present link names others.
    pub fn name(&mut self, mut routes: Vec<Route>) {
        if !self.any_host {
            let known = |host: &str| {
                self.others.iter().chain([&self.first]).any(|route| route.gateway.host == host)
            };
            routes.retain(|route| known(&route.gateway.host));
        }
        self.named = routes;
    }

    /// The present one sends the device away. True when the next dial goes where it said.
    pub fn sent_away(&mut self) -> bool {
        let named = std::mem::take(&mut self.named);
        if named.is_empty() || self.hops >= HOPS {
            return false;
        }
        if self.led.is_empty() {
            self.at = (self.at + 1) % (self.others.len() + 1);
        }
        self.hops += 1;
        self.led = named;
        true
    }

    /// The route to dial.
    #[must_use]
    pub fn current(&self) -> &Route {
        if let Some(led) = self.led.first() {
            return led;
        }
        let other = self.at.checked_sub(1).and_then(|at| self.others.get(at));
        other.unwrap_or(&self.first)
    }

    /// How long one dial may take: less where others wait for their turn.
    #[must_use]
    pub fn patience(&self) -> Duration {
        if self.others.is_empty() && self.led.is_empty() {
            limits::DIAL
        } else {
            limits::DIAL_ONE_OF_SOME
        }
    }

    /// The present one failed, or sends the device away: the next one has its turn. True when it
    /// has not failed in this round.
    pub fn failed(&mut self) -> bool {
        self.named.clear();
        if !self.led.is_empty() {
            self.led.remove(0);
            return true;
        }
        let all = self.others.len() + 1;
        self.at = (self.at + 1) % all;
        self.failed = (self.failed + 1) % all;
        self.failed > 0
    }

    /// The present one accepted the device.
    pub fn accepted(&mut self) {
        self.failed = 0;
        self.hops = 0;
        self.named.clear();
    }
}

/// The wait before the next address of a round. Devices of a fleet that lost a gateway must not
/// come to the next one in step. `random` is any number, evenly distributed.
#[must_use]
pub fn pause(random: u64) -> Duration {
    let most = u64::try_from(limits::NEXT_GATEWAY.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random % most.saturating_add(1)).max(limits::RECONNECT_SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: &str) -> Route {
        Route { gateway: Address { host: host.into(), port: 8443 }, proxy: None }
    }

    fn three(begin: usize) -> Gateways {
        Gateways::new(route("a"), vec![route("b"), route("c")], begin, true)
    }

    fn host(gateways: &Gateways) -> &str {
        &gateways.current().gateway.host
    }

    #[test]
    fn each_address_has_its_turn_before_a_round_is_over() {
        let mut gateways = three(0);
        let mut rounds = Vec::new();
        for _ in 0..6 {
            let dialled = host(&gateways).to_owned();
            rounds.push((dialled, gateways.failed()));
        }
        let turn = |host: &str, goes_on| (host.to_owned(), goes_on);
        let round = [turn("a", true), turn("b", true), turn("c", false)];
        assert_eq!(rounds, [round.clone(), round].concat());
    }

    #[test]
    fn the_address_that_accepted_last_is_dialled_first() {
        let mut gateways = three(0);
        assert!(gateways.failed());
        gateways.accepted();
        assert_eq!(host(&gateways), "b");
        assert_eq!((gateways.failed(), host(&gateways)), (true, "c"));
        assert_eq!((gateways.failed(), host(&gateways)), (true, "a"));
        assert_eq!((gateways.failed(), host(&gateways)), (false, "b"));
    }

    #[test]
    fn one_address_is_a_round_of_its_own_with_all_of_the_time() {
        let mut gateways = Gateways::new(route("a"), Vec::new(), 5, true);
        assert_eq!((host(&gateways), gateways.patience()), ("a", limits::DIAL));
        assert!(!gateways.failed() && !gateways.failed());
        assert!(three(1).patience() < limits::DIAL);
        assert_eq!(host(&three(4)), "b");
    }

    #[test]
    fn a_device_goes_where_it_is_led_twice_in_a_row_and_then_to_the_next_of_its_settings() {
        let mut gateways = three(0);
        assert!(!gateways.sent_away(), "nothing was named");
        gateways.name(vec![route("x"), route("y")]);
        assert!(gateways.sent_away());
        assert_eq!(host(&gateways), "x");
        assert_eq!((gateways.failed(), host(&gateways)), (true, "y"));
        gateways.name(vec![route("z")]);
        assert_eq!((gateways.sent_away(), host(&gateways)), (true, "z"));
        gateways.name(vec![route("x")]);
        assert!(!gateways.sent_away(), "a third time in a row");
        assert_eq!((gateways.failed(), host(&gateways)), (true, "b"));
        gateways.accepted();
        gateways.name(vec![route("x")]);
        assert_eq!((gateways.sent_away(), host(&gateways)), (true, "x"));
    }

    #[test]
    fn where_public_authorities_are_trusted_only_hosts_of_the_settings_are_taken() {
        let mut gateways = Gateways::new(route("a"), vec![route("b")], 0, false);
        gateways.name(vec![route("x")]);
        assert!(!gateways.sent_away());
        gateways.name(vec![route("x"), route("b")]);
        assert_eq!((gateways.sent_away(), host(&gateways)), (true, "b"));
    }

    #[test]
    fn the_wait_before_the_next_address_is_short_and_spread() {
        let waits: Vec<_> = [0, 600, 999, u64::MAX].map(pause).into();
        assert!(waits.iter().all(|wait| *wait <= limits::NEXT_GATEWAY), "{waits:?}");
        assert!(waits[1] < waits[2] && waits[0] == limits::RECONNECT_SHORTEST);
    }
}
