//! Gateways of two versions at work on one database, as in a rolling upgrade.
//!
//! The next version is this program under another version number, and a step of the schema that
//! this version does not know (`crates/store/src/versions.rs` tests which steps it refuses). So
//! what differs between two real versions besides is not seen here: `cargo xtask cluster --older`
//! takes an older program.

use std::path::PathBuf;

use serde_json::json;
use towline_testkit::another_version::{CURRENT, NEXT, install};
use towline_testkit::lab::{Device, Operator};
use towline_testkit::process::{Running, Signal};
use towline_testkit::relay::Relay;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

use crate::cluster::{PATIENCE, Pair, exec, serve_as};
use crate::echo::{echo, round_trip};

/// What the next version adds to the schema: as each step does, columns with a default, which
/// older programs neither read nor write.
const STEP: &str = "alter table sessions add column later text not null default 'x'; \
     alter table nodes add column later bigint not null default 1; \
     alter table presence add column later bigint not null default 1; \
     alter table command_invocations add column later text not null default 'x'; \
     alter table begun_requests add column later text not null default 'x'; \
     create table of_later (id text primary key); \
     insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
     values (9999, 'what is added later', true, 'x', 0)";

/// The gateway's program of the next version.
fn next_program(pair: &Pair) -> Outcome<PathBuf> {
    let folder = pair.lab.directory().join("next");
    std::fs::create_dir(&folder)?;
    let program = folder.join("towline-gateway");
    install(pair.lab.gateway.program(), NEXT, &program)?;
    Ok(program)
}

/// A gateway is stopped; it gives what it has to the other one first.
fn ends(gateway: &mut Running) -> Outcome {
    gateway.signal(Signal::TERM)?;
    let ended = gateway.wait(PATIENCE)?;
    ensure(ended.success(), || format!("it ended with {ended}: {}", gateway.printed()))
}

/// The nodes are of these versions.
fn versions(pair: &Pair, a: &str, b: &str) -> Outcome {
    for (name, version) in [("a", a), ("b", b)] {
        let node = pair.node(name)?;
        ensure(node["Version"] == version && node["Alive"] == true, || {
            format!("not of version {version}: {node}")
        })?;
    }
    Ok(())
}

/// A command through this gateway runs on a device, whatever gateway holds that.
fn run_command(at: &Operator, device: &Device) -> Outcome {
    let body = json!({
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [device.id()],
        "Parameters": { "commands": ["echo done"] },
    });
    let sent = at.api("AmazonSSM.SendCommand", &body)?;
    let id = sent["Command"]["CommandId"].as_str().unwrap_or_default();
    let asked = json!({ "CommandId": id, "InstanceId": device.id() });
    let mut last = sent.clone();
    eventually("the command has succeeded", PATIENCE, || {
        last = at.api("AmazonSSM.GetCommandInvocation", &asked).ok()?;
        let is_done = last["Status"] == "Success" && last["StandardOutputContent"] == "done\n";
        is_done.then_some(())
    })
    .map_err(|error| Trouble::new(format!("{error}: {last}")))
}

/// Both gateways serve the device, whichever holds it.
fn both_serve(pair: &Pair, device: &Device, when: &str) -> Outcome {
    for address in [pair.a_address(), pair.b_address] {
        let admin = pair.admin_at(address);
        device.wait_online(&admin)?;
        exec(&admin, device, when)?;
        run_command(&admin, device)?;
    }
    Ok(())
}

#[test]
fn a_shell_goes_on_while_gateways_of_two_versions_take_turns() -> Outcome {
    let mut pair = Pair::start()?;
    let device = pair.device_at(&[pair.a_address(), pair.b_address])?;
    let front = Relay::to(pair.a_address())?;
    let mut text = Text::new(71);
    let mut shell = echo(&pair.admin_at(front.address()), &device)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a, before")?;

    // b is upgraded, and brings the schema with it, under a that goes on.
    let next = next_program(&pair)?;
    ends(&mut pair.b)?;
    pair.server.psql("towline", STEP)?;
    pair.b = serve_as(&next, &pair.b_home, pair.b_address)?;
    versions(&pair, CURRENT, NEXT)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a, beside a newer schema")?;
    both_serve(&pair, &device, "at the older one")?;

    // The older one is killed: the newer one takes over what it had.
    front.retarget(pair.b_address);
    pair.lab.gateway.kill()?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at b, the newer one")?;
    pair.waits_until_a_is_declared_dead()?;
    round_trip(&mut shell, &text.take_bytes(5_000), "after a was declared dead")?;

    // It is started again beside the newer schema, and takes over what the newer one had.
    pair.lab.gateway.start_again()?;
    versions(&pair, CURRENT, NEXT)?;
    both_serve(&pair, &device, "at the newer one")?;
    front.retarget(pair.a_address());
    pair.b.kill()?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a, the older one")?;
    pair.b = serve_as(&next, &pair.b_home, pair.b_address)?;
    both_serve(&pair, &device, "at the older one again")?;

    // It is upgraded as well.
    front.retarget(pair.b_address);
    ends(pair.lab.gateway.process())?;
    let home = pair.lab.gateway.directory().to_owned();
    let _a = serve_as(&next, &home, pair.a_address())?;
    versions(&pair, NEXT, NEXT)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "both are the newer one")?;
    both_serve(&pair, &device, "both are the newer one")?;
    pair.nobody_lost_anything(1)
}
