//! A network of one's own: a test's thread, and all that is started from it, in a namespace with
//! nothing but loopback.
//!
//! Data flow: a holder process makes the namespace ([`unshare`(1)], root is needed) ->
//! [`Network::enter`] moves the calling thread into it -> processes and threads that are started
//! from there are in it too. What a test does to this network, nobody else on the machine sees.
//!
//! # Invariants
//! - Only the calling thread moves. A test has a thread of its own, so it need not move back.
//! - Dropped: the holder is killed. The namespace lives on as long as somebody is in it.
//!
//! [`unshare`(1)]: https://man7.org/linux/man-pages/man1/unshare.1.html

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::terminal::PATIENCE;
use crate::trouble::ensure;
use crate::{Outcome, Trouble, eventually, process};

/// A network namespace, held open by a process.
#[derive(Debug)]
pub struct Network {
    holder: Child,
}

impl Network {
    /// Makes a network whose loopback is up, and moves the calling thread into it.
    ///
    /// # Errors
    /// We are not root, or `unshare` (package util-linux) or `ip` (package iproute2) are not there.
    pub fn enter() -> Outcome<Self> {
        let ours = std::fs::read_link("/proc/self/ns/net")?;
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "infinity"]).stdin(Stdio::null());
        let holder = command
            .spawn()
            .map_err(|e| Trouble::new(format!("unshare (package util-linux): {e}")))?;
        let mut network = Self { holder };
        let place = format!("/proc/{}/ns/net", network.holder.id());
        let there = || std::fs::read_link(&place).is_ok_and(|theirs| theirs != ours);
        eventually("a network namespace (root is needed)", PATIENCE, || {
            (there() || !matches!(network.holder.try_wait(), Ok(None))).then_some(())
        })?;
        ensure(there(), || "no network namespace can be made: root is needed".into())?;
        let namespace = File::open(&place)?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        network.ip(&["link", "set", "lo", "up"])?;
        Ok(network)
    }

    /// Runs `ip WORDS…` in it.
    ///
    /// # Errors
    /// What it says.
    pub fn ip(&self, words: &[&str]) -> Outcome {
        let mut command = Command::new(
            process::find("ip").ok_or_else(|| Trouble::new("no ip (package iproute2)"))?,
        );
        command.args(words);
        let out = process::finish(command, PATIENCE)?;
        ensure(out.status.success(), || {
            format!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&out.stderr))
        })
    }

    /// Tells everybody in it that the network has changed: an address comes.
    ///
    /// # Errors
    /// As [`Network::ip`].
    pub fn change(&self, address: &str) -> Outcome {
        self.ip(&["address", "add", address, "dev", "lo"])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_to_a_network_of_ones_own_is_done_to_nobody_else() {
        let before = std::fs::read_link("/proc/self/ns/net").unwrap();
        std::thread::spawn(|| {
            let network = Network::enter().unwrap();
            network.change("192.0.2.1/32").unwrap();
            // Another address of the machine would not be bindable here.
            std::net::TcpListener::bind("192.0.2.1:0").unwrap();
            std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        })
        .join()
        .unwrap();
        assert_eq!(std::fs::read_link("/proc/self/ns/net").unwrap(), before);
        std::net::TcpListener::bind("192.0.2.1:0").unwrap_err();
    }
}
