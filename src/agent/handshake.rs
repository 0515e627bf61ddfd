//! The handshake on a new link: versions, hello, and the sessions that the agent holds.

use super::agent::{Agent, random_bytes};
use crate::link::driver::{Link, LinkError};
use crate::logger;
use crate::platform;
use crate::separation::monitor::Separation;
use crate::status::LinkStatus;
use std::time::{Duration, Instant};
use towline_wire::VERSIONS;
use towline_wire::extension::{SEPARATION, Separation as Told};
use towline_wire::frame::Frame;
use towline_wire::message::{FromAgent, Hello, Welcome};

impl Agent {
    /// Sends versions and the hello over a connection that was just made.
    pub(super) fn begin_handshake(&mut self, mut link: Box<Link>, now: Instant) {
        let challenge = match random_bytes() {
            Ok(challenge) => challenge,
            Err(error) => return self.link_lost(&error.into()),
        };
        self.connection.count();
        let platform = platform::describe(link.local_address());
        let versions = Frame::Version { min: VERSIONS.min, max: VERSIONS.max };
        if let Err(error) = link.push(&versions) {
            return self.link_lost(&error);
        }
        self.table.link_up();
        let (device, epoch) = (self.enrollment.device.clone(), self.epoch());
        self.table.say(&FromAgent::Hello(Hello { device, epoch, challenge, platform }));
        self.connection.linked(link, challenge, now);
    }

    /// The gateway accepts the device: learns the time, and names the sessions it holds.
    pub(super) fn welcome(&mut self, welcome: &Welcome, now: Instant) -> Result<(), LinkError> {
        let Some(challenge) = self.connection.challenge() else { return Ok(()) };
        let challenge = *challenge;
        self.learn_time(&welcome.time, &challenge, now)?;
        self.connection.welcomed(welcome.longest_ping, now);
        self.log.link_up(self.table.version());
        self.keys.welcomed();
        self.settle_pin();
        self.alarm.forget(); // it was set for the handshake
        self.grace = self.config.grace.min(Duration::from_secs(welcome.grace.into()));
        logger::info!(
            "linked to {}, {} sessions continue",
            self.connection.gateway(),
            self.table.len()
        );
        self.status.gateway(self.connection.gateway());
        self.status.link(&LinkStatus::Up);
        self.say_separation()?;
        self.table.say_held();
        self.table.say_limits();
        self.gave_back = false; // the handshake has used some
        Ok(())
    }

    /// Tells the gateway whether what reads the network has no rights. An older one skips it.
    fn say_separation(&mut self) -> Result<(), LinkError> {
        let why = self.connection.separation().map(Separation::given_up);
        let said = match &why {
            None => Told::Off,
            Some(None) => Told::Separate,
            Some(Some(why)) => Told::Impossible(why),
        };
        let body = said.bytes();
        let Some((link, _)) = self.connection.link() else { return Ok(()) };
        link.push(&Frame::Extension { tag: SEPARATION, body: &body })
    }
}
