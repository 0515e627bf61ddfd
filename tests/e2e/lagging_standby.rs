//! A database that fails over to a standby that lags: what was confirmed last is not there any
//! more.
//!
//! Data flow: a standby that nobody waits for -> it follows, then gets nothing more -> sessions and
//! commands begin and end -> the server is killed, the standby takes its place.

use std::net::SocketAddr;

use towline_testkit::Outcome;
use towline_testkit::lab::{Device, Lab};
use towline_testkit::postgres::Postgres;
use towline_testkit::relay::Relay;
use towline_testkit::trouble::ensure;

use crate::database::lab_at;
use crate::database_failures::{Typist, opens_again};
use crate::run_command::{ended, is, lines, look, mark, send};

/// A server, a standby of it, and a gateway with one device.
struct Scene {
    server: Postgres,
    standby: Postgres,
    relay: Relay,
    lab: Lab,
    device: Device,
}

impl Scene {
    fn new() -> Outcome<Self> {
        let server = Postgres::start(&["fsync = off"])?;
        server.psql("postgres", "create database towline")?;
        let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], server.port())))?;
        let lab = lab_at(&server.address_behind(relay.address().port(), "towline"))?;
        let device = lab.device()?;
        let standby = server.lagging_standby()?;
        Ok(Self { server, standby, relay, lab, device })
    }

    /// From here on the standby gets nothing: what follows is lost.
    fn begin_to_lag(&self) -> Outcome {
        self.server.is_followed()?;
        self.standby.stop_following()
    }

    fn fail_over(&mut self) -> Outcome {
        self.server.kill()?;
        self.relay.retarget(SocketAddr::from(([127, 0, 0, 1], self.standby.port())));
        self.relay.cut();
        self.standby.promote()?;
        opens_again(&self.lab, &self.device)
    }
}

#[test]
fn shells_go_on_when_a_standby_that_lags_takes_the_place_of_the_database() -> Outcome {
    let mut scene = Scene::new()?;
    let mut known = Typist::at(&scene.lab, &scene.device)?;
    scene.begin_to_lag()?;
    let mut lost = Typist::at(&scene.lab, &scene.device)?;
    let ran = mark(&scene.lab, "ran");
    let command = send(&scene.lab, &scene.device, &format!("echo x >> {}", ran.display()), 60)?;
    is(&ended(&scene.lab, &scene.device, &command)?, "Success")?;
    scene.fail_over()?;
    known.goes_on("a shell whose row is there")?;
    lost.goes_on("a shell whose row is lost")?;
    let gone = look(&scene.lab, &scene.device, &command);
    ensure(gone.is_err(), || format!("a command that the store does not have: {gone:?}"))?;
    ensure(lines(&ran) == 1, || format!("the script ran {} times", lines(&ran)))?;
    let states = "select count(*) from devices where status <> 'active'";
    ensure(scene.standby.psql("towline", states)? == "0", || "a device is quarantined".into())?;
    scene.standby.kill()
}
