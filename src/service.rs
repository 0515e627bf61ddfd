//! Reports to the service manager, by sd_notify(3): ready, alive, stopping.
//!
//! Each is one datagram to the socket in `NOTIFY_SOCKET`. Without that variable nothing is sent,
//! and the loop does not wake for it.

use crate::logger;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The manager, if there is one that listens.
#[derive(Debug)]
pub struct Service {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that the loop turns: half of its patience.
    interval: Option<Duration>,
    next: Option<Instant>,
}

impl Service {
    /// As the environment says. `pid` is this process.
    #[must_use]
    pub fn of(variable: impl Fn(&str) -> Option<String>, pid: u32) -> Self {
        let address = variable("NOTIFY_SOCKET").and_then(|name| match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(name).ok(),
        });
        let manager = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        let for_us = variable("WATCHDOG_PID").is_none_or(|wanted| wanted == pid.to_string());
        let patience = variable("WATCHDOG_USEC")
            .and_then(|micros| micros.parse().ok())
            .map(Duration::from_micros);
        let interval =
            patience.filter(|patience| for_us && manager.is_some() && !patience.is_zero());
        Self { manager, interval: interval.map(|patience| patience / 2), next: None }
    }

    fn say(&self, text: &str) {
        if let Some((socket, address)) = &self.manager {
            let _ = socket.set_nonblocking(true);
            if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
                logger::debug!("cannot notify the service manager: {error}");
            }
        }
    }

    /// The loop runs. Being linked is no part of it: a device that is offline is not broken.
    pub fn ready(&mut self, now: Instant) {
        self.say("READY=1");
        self.next = self.interval.map(|interval| now + interval);
    }

    /// Another program takes this one's place in this process; [`Self::ready`] comes from it, or
    /// from the agent when it failed.
    pub fn reloading(&self) {
        let since = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
            .ok()
            .and_then(|now| u64::try_from(Duration::from(now).as_micros()).ok());
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", since.unwrap_or(0)));
    }

    /// The agent ends its sessions and then itself.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Says that the loop turns, when it is time.
    pub fn tick(&mut self, now: Instant) {
        if self.next.is_some_and(|next| now >= next) {
            self.say("WATCHDOG=1");
            self.next = self.interval.map(|interval| now + interval);
        }
    }

    /// When [`Self::tick`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_manager_nothing_is_ever_due() {
        let mut service =
            Service::of(|name| (name == "WATCHDOG_USEC").then(|| "1000000".into()), 1);
        service.ready(Instant::now());
        assert_eq!(service.deadline(), None);
    }

    #[test]
    fn a_manager_hears_that_the_agent_is_ready_and_then_that_it_lives() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let variable = |name: &str| match name {
            "NOTIFY_SOCKET" => Some(path.display().to_string()),
            "WATCHDOG_USEC" => Some("120000000".to_owned()),
            _ => None,
        };
        let mut service = Service::of(variable, 1);
        let start = Instant::now();
        let heard = || {
            let mut text = [0; 64];
            let n = manager.recv(&mut text).unwrap();
            String::from_utf8_lossy(&text[..n]).into_owned()
        };
        service.ready(start);
        assert_eq!(heard(), "READY=1");
        assert_eq!(service.deadline(), Some(start + Duration::from_secs(60)));
        service.tick(start + Duration::from_secs(59));
        service.tick(start + Duration::from_secs(60));
        assert_eq!(heard(), "WATCHDOG=1");
        service.stopping();
        assert_eq!(heard(), "STOPPING=1");
    }

    #[test]
    fn a_watchdog_for_another_process_is_not_ours() {
        let variable = |name: &str| match name {
            "NOTIFY_SOCKET" => Some("@towline-test".to_owned()),
            "WATCHDOG_USEC" => Some("1000000".to_owned()),
            "WATCHDOG_PID" => Some("7".to_owned()),
            _ => None,
        };
        assert_eq!(Service::of(variable, 8).interval, None);
        assert!(Service::of(variable, 7).interval.is_some());
    }
}
