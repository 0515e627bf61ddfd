//! Gateways whose store is a PostgreSQL database: one at work, and a second one that waits for its
//! turn.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use towline_testkit::lab::{Device, DeviceSetup, GatewaySetup, Lab};
use towline_testkit::postgres::Postgres;
use towline_testkit::process::{Running, Signal};
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, ports};

use crate::echo::{echo, round_trip};

const PATIENCE: Duration = Duration::from_secs(60);

/// A lab whose gateway has its store in the database `towline` of a server.
pub(crate) fn lab_on(server: &Postgres) -> Outcome<Lab> {
    server.psql("postgres", "create database towline")?;
    lab_at(&server.address("towline"))
}

/// The same in a database that is there.
pub(crate) fn lab_at(store: &str) -> Outcome<Lab> {
    let store = Some(store.to_owned());
    Lab::with(&GatewaySetup { store, ..GatewaySetup::default() })
}

pub(crate) fn exec(lab: &Lab, device: &Device, word: &str) -> Option<()> {
    let out = lab.admin().run(&["exec", device.id(), "--", "echo", word]).ok()?;
    (out.stdout == format!("{word}\n").as_bytes()).then_some(())
}

/// A second gateway: the same keys and settings in a directory of its own, on an address of its
/// own.
fn second(lab: &Lab, listen: &str) -> Outcome<Running> {
    let home = lab.directory().join("second");
    std::fs::create_dir(&home)?;
    for entry in std::fs::read_dir(lab.gateway.directory())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && (name.ends_with(".key") || name.contains('.')) {
            std::fs::copy(entry.path(), home.join(&name))?;
        }
    }
    let mut command = Command::new(lab.gateway.program());
    command.arg("serve").arg("--dir").arg(&home).args(["--listen", listen]);
    Running::start("second gateway", command, &lab.directory().join("second.log"))
}

fn says(gateway: &Running, word: &str) -> Outcome {
    eventually(&format!("the second gateway says {word:?}"), PATIENCE, || {
        gateway.printed().contains(word).then_some(())
    })
}

#[test]
fn a_gateway_on_postgresql_does_what_one_on_a_file_does() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    let mut lab = lab_on(&server)?;
    ensure(!lab.gateway.directory().join("towline.db").exists(), || "there is a file".into())?;
    let device = lab.device()?;
    ensure(exec(&lab, &device, "first").is_some(), || "exec failed".into())?;
    let command = lab.admin().run(&["run", "--target", device.id(), "--", "echo ran"])?;
    let said = String::from_utf8_lossy(&command.stdout).into_owned();
    ensure(command.status.success() && said.contains("ran"), || format!("{command:?}"))?;

    let mut text = Text::new(15);
    let mut shell = echo(&lab.admin(), &device)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "before")?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    round_trip(&mut shell, &text.take_bytes(20_000), "after the gateway was killed")?;

    eventually("the audit trail has both", PATIENCE, || {
        let trail = lab.admin().text(&["audit", "-o", "json", "--device", device.id()]).ok()?;
        (trail.contains("StartSession") && trail.contains("SendCommand")).then_some(())
    })?;
    let sessions = server.psql("towline", "select count(*) from sessions")?;
    ensure(sessions == "2", || format!("{sessions} sessions in the database"))
}

#[test]
fn a_shell_goes_on_at_the_gateway_that_waited_when_the_first_is_killed() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    let mut lab = lab_on(&server)?;
    let device = lab.device()?;
    let mut text = Text::new(17);
    let mut shell = echo(&lab.admin(), &device)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at the first gateway")?;
    // The address of the first one leads to the second one as soon as that works.
    let second = second(&lab, &lab.gateway.address().to_string())?;
    says(&second, "this one waits")?;
    lab.gateway.kill()?;
    round_trip(&mut shell, &text.take_bytes(50_000), "at the second gateway")?;
    ensure(exec(&lab, &device, "new").is_some(), || "no session at the second gateway".into())?;
    round_trip(&mut shell, &text.take_bytes(5_000), "at the end")
}

#[test]
fn a_gateway_that_was_away_does_not_speak_for_a_store_that_another_has_taken() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    let mut lab = lab_on(&server)?;
    let free = ports::free()?;
    let addresses = [lab.gateway.address().to_string(), free.to_string()];
    let config = format!("gateway.address = {addresses:?}\ngateway.order = \"listed\"");
    let device = lab.device_with(&DeviceSetup { config, ..DeviceSetup::default() })?;
    let mut shell = echo(&lab.admin(), &device)?;
    round_trip(&mut shell, &Text::new(18).take_bytes(5_000), "at the first gateway")?;
    let second = second(&lab, &free.to_string())?;
    says(&second, "this one waits")?;

    // Its machine stands still, and its connections to the database are over.
    lab.gateway.process().signal(Signal::STOP)?;
    server.psql(
        "postgres",
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = 'towline'",
    )?;
    says(&second, "listening on")?;
    lab.gateway.process().signal(Signal::CONT)?;
    let ended = lab.gateway.process().wait(PATIENCE)?;
    let said = lab.gateway.logged();
    ensure(!ended.success() && said.contains("another gateway works with the store now"), || {
        format!("the first gateway ended with {ended}: {said}")
    })?;

    let at_second = lab.admin().at(format!("https://{free}"));
    device.wait_online(&at_second)?;
    let body = json!({ "State": "Active" });
    let open = at_second.api("AmazonSSM.DescribeSessions", &body)?;
    let listed = open["Sessions"].as_array().map_or(0, Vec::len);
    ensure(listed == 1, || format!("the shell was ended for nothing: {open}"))?;
    let out = at_second.run(&["exec", device.id(), "--", "echo", "there"])?;
    ensure(out.stdout == b"there\n", || format!("{out:?}"))
}
