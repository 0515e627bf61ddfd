//! A database that fails over to a standby that lags: what was confirmed last is not there any
//! more.
//!
//! Data flow: a standby that nobody waits for -> it follows, then gets nothing more -> sessions and
//! commands begin and end -> the server is killed, the standby takes its place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use towline_testkit::lab::{Device, Lab};
use towline_testkit::postgres::Postgres;
use towline_testkit::relay::Relay;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, files};

use crate::cluster::Pair;
use crate::database::lab_at;
use crate::database_failures::{Typist, opens_again};
use crate::run_command::{begun, ended, is, lines, look, mark, send};

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

/// A command that the standby has, and that ended in the time which it lost.
struct Lost {
    command: String,
    /// Where each run of its script writes a line.
    ran: PathBuf,
}

impl Lost {
    /// Its script ends when `go` is there.
    fn send(lab: &Lab, device: &Device, name: &str, go: &Path) -> Outcome<Self> {
        let ran = mark(lab, name);
        let wait = format!("while [ ! -e {} ]; do sleep 0.1; done", go.display());
        let script = format!("echo x >> {}; {wait}", ran.display());
        Ok(Self { command: send(lab, device, &script, 60)?, ran })
    }

    fn ran_once(&self) -> Outcome {
        ensure(lines(&self.ran) == 1, || format!("the script ran {} times", lines(&self.ran)))
    }
}

/// A command is over, without a second run, in words that say so.
fn is_not_known(lab: &Lab, standby: &Postgres, device: &Device, lost: &Lost) -> Outcome {
    let over = ended(lab, device, &lost.command)?;
    lost.ran_once()?;
    is(&over, "TimedOut")?;
    let reason =
        format!("select reason from command_invocations where command_id = '{}'", lost.command);
    let reason = standby.psql("towline", &reason)?;
    ensure(reason.contains("is not known"), || reason)
}

#[test]
fn a_command_that_ended_in_the_lost_time_is_not_run_again_by_a_gateway_that_is_started() -> Outcome
{
    let mut scene = Scene::new()?;
    let (mut late, mut away) = (scene.lab.device()?, scene.lab.device()?);
    late.process()?.stop()?;
    away.process()?.stop()?;
    let go = mark(&scene.lab, "go");
    let begun_before = Lost::send(&scene.lab, &scene.device, "begun-before", &go)?;
    begun(&begun_before.ran)?;
    let waits = Lost::send(&scene.lab, &late, "waits", &go)?;
    let not_given = Lost::send(&scene.lab, &away, "not-given", &go)?;
    scene.begin_to_lag()?;
    late.start()?;
    late.wait_online(&scene.lab.admin())?;
    begun(&waits.ran)?;
    files::write(&go, "")?;
    is(&ended(&scene.lab, &scene.device, &begun_before.command)?, "Success")?;
    is(&ended(&scene.lab, &late, &waits.command)?, "Success")?;
    scene.fail_over()?;
    scene.lab.gateway.kill()?;
    scene.lab.gateway.start_again()?;
    opens_again(&scene.lab, &scene.device)?;
    late.wait_online(&scene.lab.admin())?;
    is_not_known(&scene.lab, &scene.standby, &scene.device, &begun_before)?;
    is_not_known(&scene.lab, &scene.standby, &late, &waits)?;
    // Nobody had this one: the journal of its device says so.
    away.start()?;
    is(&ended(&scene.lab, &away, &not_given.command)?, "Success")?;
    not_given.ran_once()?;
    let fresh = Lost::send(&scene.lab, &late, "fresh", &go)?;
    is(&ended(&scene.lab, &late, &fresh.command)?, "Success")?;
    fresh.ran_once()?;
    scene.standby.kill()
}

#[test]
fn several_gateways_run_no_command_again_that_ended_in_the_lost_time() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    server.psql("postgres", "create database towline")?;
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], server.port())))?;
    let store = server.address_behind(relay.address().port(), "towline");
    let mut pair = Pair::on(server, store, false, "")?;
    let first = pair.device_at(&[pair.a_address()])?;
    let mut late = pair.device_at(&[pair.b_address])?;
    let mut away = pair.device_at(&[pair.b_address])?;
    let mut known = Typist::at(&pair.lab, &first)?;
    late.process()?.stop()?;
    away.process()?.stop()?;
    let go = mark(&pair.lab, "go");
    let begun_before = Lost::send(&pair.lab, &first, "begun-before", &go)?;
    begun(&begun_before.ran)?;
    let waits = Lost::send(&pair.lab, &late, "waits", &go)?;
    let not_given = Lost::send(&pair.lab, &away, "not-given", &go)?;
    let mut standby = pair.server.lagging_standby()?;
    pair.server.is_followed()?;
    standby.stop_following()?;
    late.start()?;
    begun(&waits.ran)?;
    files::write(&go, "")?;
    is(&ended(&pair.lab, &first, &begun_before.command)?, "Success")?;
    is(&ended(&pair.lab, &late, &waits.command)?, "Success")?;

    pair.server.kill()?;
    relay.retarget(SocketAddr::from(([127, 0, 0, 1], standby.port())));
    relay.cut();
    standby.promote()?;
    opens_again(&pair.lab, &first)?;
    known.goes_on("a shell whose row is there")?;
    is_not_known(&pair.lab, &standby, &first, &begun_before)?;
    is_not_known(&pair.lab, &standby, &late, &waits)?;
    away.start()?;
    is(&ended(&pair.lab, &away, &not_given.command)?, "Success")?;
    not_given.ran_once()?;
    // Its link began in the lost time: its gateway tells the others again.
    late.wait_online(&pair.admin_at(pair.a_address()))?;
    let fresh = Lost::send(&pair.lab, &late, "fresh", &go)?;
    is(&ended(&pair.lab, &late, &fresh.command)?, "Success")?;
    fresh.ran_once()?;
    waits.ran_once()?;
    standby.kill()
}
