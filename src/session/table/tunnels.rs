//! Tunnels of the table: opened, polled, reported, ended. See [`crate::tunnel`].

use super::table::Table;
use crate::limits;
use crate::logger::{self, in_session};
use crate::policy::DevicePolicy;
use crate::session::gate::Passed;
use crate::session::gate::Refusal;
use crate::tunnel::{News, Place, Tunnel};
use nix::sys::resource::{Resource, getrlimit};
use std::task::{Context, Poll};
use towline_wire::message::{Destination, EndReason, FromAgent, Open, RefusalCode};
use towline_wire::stream::{Receiver, Sender};

impl Table {
    pub(super) fn open_tunnel(
        &mut self,
        open: &Open,
        to: Destination,
        passed: &Passed,
    ) -> Result<(), Refusal> {
        let room = self.bulk_room();
        if self.mux.add(open.io, Sender::new(self.window as usize), Receiver::new(room)).is_err() {
            return Err(Refusal::Incomplete("another session uses its stream"));
        }
        self.tunnels.push(Tunnel::new(
            open.session.clone(),
            open.io,
            Place::new(
                to,
                passed.forwards.clone(),
                passed.grant.document.clone(),
                self.descriptors_for_tunnels(),
            )
            .separated(self.separation.clone()),
            room,
        ));
        Ok(())
    }

    /// The number of the first descriptor that no tunnel takes: sessions and the link need the
    /// rest, at most half of what there is.
    fn descriptors_for_tunnels(&self) -> u64 {
        #[allow(clippy::useless_conversion)] // 32 bits on some targets
        let all = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft.into());
        let kept = limits::OWN_DESCRIPTORS + self.most as u64 * limits::SESSION_DESCRIPTORS;
        all - kept.min(all / 2)
    }

    /// Room for input of one more tunnel or copy: a window, or half of what is left for all.
    pub(super) fn bulk_room(&self) -> u32 {
        let tunnels: u32 = self.tunnels.iter().map(Tunnel::room).sum();
        let inputs = self
            .sessions
            .iter()
            .filter_map(|session| Some(self.mux.ends(session.io)?.1.capacity()));
        let used = tunnels + inputs.filter(|room| *room > limits::INPUT).sum::<u32>();
        let all = limits::TUNNEL_INPUT_ALL.max(2 * self.window);
        let left = all.saturating_sub(used) / 2;
        left.clamp(limits::TUNNEL_INPUT_LEAST, self.window)
    }

    /// Moves bytes of all tunnels, and tells the gateway what there is to tell.
    pub(super) fn poll_tunnels(&mut self, cx: &mut Context<'_>) {
        for at in (0..self.tunnels.len()).rev() {
            let Poll::Ready(news) = self.tunnels[at].poll(cx, &mut self.mux) else { continue };
            cx.waker().wake_by_ref(); // for what else it has to tell
            let (session, io) = (self.tunnels[at].name.clone(), self.tunnels[at].io);
            let _session = in_session(&session);
            let (message, over) = match news {
                News::Started(Ok(())) => (FromAgent::Opened { session }, false),
                News::Started(Err(text)) => {
                    logger::warning!("{text}");
                    (FromAgent::NotOpened { session, code: RefusalCode::Unreachable, text }, true)
                }
                News::NotConnected(text) => (FromAgent::NotConnected { session, text }, false),
                News::Ended(status) => {
                    logger::info!("the connection of the tunnel is over");
                    (FromAgent::Exited { session, status }, false)
                }
                News::Broken(broken) => {
                    logger::warning!("ended: {broken}");
                    (FromAgent::Gone { session, reason: EndReason::Violation }, true)
                }
            };
            self.say(&message);
            if over {
                self.tunnels.swap_remove(at);
                self.mux.remove(io);
            }
        }
    }

    /// The device's policy has changed: new connections of open tunnels are judged by it.
    pub fn judge_tunnels(&mut self, policy: &DevicePolicy) {
        for tunnel in &mut self.tunnels {
            tunnel.place().judge(policy);
        }
    }

    pub(super) fn remove_tunnel(&mut self, name: &str) -> bool {
        let Some(at) = self.tunnels.iter().position(|tunnel| tunnel.name == name) else {
            return false;
        };
        let tunnel = self.tunnels.swap_remove(at); // its sockets are closed here
        self.mux.remove(tunnel.io);
        true
    }

    /// True when a transfer cuts nothing: connections through tunnels cannot be transferred.
    #[must_use]
    pub fn can_be_handed_over(&self) -> bool {
        self.tunnels.iter().all(Tunnel::is_idle)
    }
}
