//! Several gateways at work on one PostgreSQL database.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use towline_testkit::lab::{Device, DeviceSetup, GatewaySetup, Lab, Operator};
use towline_testkit::ports::free;
use towline_testkit::postgres::Postgres;
use towline_testkit::process::{Running, Signal, finish};
use towline_testkit::relay::Relay;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::echo::{echo, round_trip};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Two gateways: `a` is the lab's own, `b` has the same keys in a directory of its own.
pub(crate) struct Pair {
    pub(crate) lab: Lab,
    pub(crate) b: Running,
    pub(crate) b_home: PathBuf,
    pub(crate) b_address: SocketAddr,
    pub(crate) server: Postgres,
}

/// The lines that make a gateway a node, one that is named to devices or not, with more lines on
/// evidence.
fn member(name: &str, address: SocketAddr, is_named: bool, more: &str) -> String {
    let named = if is_named { format!("device_address = \"{address}\"\n") } else { String::new() };
    let evidence = format!("[evidence]\nnode = \"{name}\"\n{more}");
    format!("{evidence}[cluster]\naddress = \"{address}\"\n{named}")
}

impl Pair {
    pub(crate) fn start() -> Outcome<Self> {
        Self::with("")
    }

    /// With more lines on evidence in both configurations.
    pub(crate) fn with(more: &str) -> Outcome<Self> {
        Self::of(false, more)
    }

    /// Gateways that name each other to devices.
    pub(crate) fn naming_each_other() -> Outcome<Self> {
        Self::of(true, "")
    }

    fn of(is_named: bool, more: &str) -> Outcome<Self> {
        let server = Postgres::start(&["fsync = off"])?;
        server.psql("postgres", "create database towline")?;
        let store = server.address("towline");
        Self::on(server, store, is_named, more)
    }

    /// On a server that is reached by this address.
    pub(crate) fn on(server: Postgres, store: String, is_named: bool, more: &str) -> Outcome<Self> {
        let a_address = free()?;
        let lab = Lab::with(&GatewaySetup {
            listen: a_address.to_string(),
            store: Some(store),
            config: member("a", a_address, is_named, more),
            ..GatewaySetup::default()
        })?;
        let (b_home, b_address) = (lab.directory().join("b"), free()?);
        std::fs::create_dir(&b_home)?;
        for entry in std::fs::read_dir(lab.gateway.directory())? {
            let (path, is_file) = (entry?.path(), true);
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let wanted = name != "node.key" && (name.ends_with(".key") || name.contains('.'));
            if wanted && path.is_file() == is_file {
                std::fs::copy(&path, b_home.join(&name))?;
            }
        }
        let settings = std::fs::read_to_string(b_home.join("gateway.toml"))?;
        let settings = settings.replace(
            &member("a", a_address, is_named, more),
            &member("b", b_address, is_named, more),
        );
        towline_testkit::files::write(&b_home.join("gateway.toml"), settings)?;
        let b = serve(&lab, &b_home, b_address)?;
        Ok(Self { lab, b, b_home, b_address, server })
    }

    pub(crate) fn a_address(&self) -> SocketAddr {
        self.lab.gateway.address()
    }

    /// The administrator at the gateway with this address.
    pub(crate) fn admin_at(&self, address: SocketAddr) -> Operator {
        self.lab.admin().at(format!("https://{address}"))
    }

    /// A device that goes to these addresses in their order.
    pub(crate) fn device_at(&self, addresses: &[SocketAddr]) -> Outcome<Device> {
        self.device_with(addresses, &DeviceSetup::default())
    }

    /// The same, with more to it.
    pub(crate) fn device_with(
        &self,
        addresses: &[SocketAddr],
        setup: &DeviceSetup,
    ) -> Outcome<Device> {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let config = format!("gateway.address = {addresses:?}\ngateway.order = \"listed\"");
        let tags = setup.tags.clone();
        self.lab.device_with(&DeviceSetup { config, tags, ..DeviceSetup::default() })
    }

    /// What `nodes --json` says of a node.
    pub(crate) fn node(&self, name: &str) -> Outcome<serde_json::Value> {
        let mut command = Command::new(self.lab.gateway.program());
        command.args(["nodes", "--json", "--dir"]).arg(&self.b_home);
        let out = finish(command, PATIENCE)?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let nodes = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let node = nodes.into_iter().find(|node: &serde_json::Value| node["Node"] == name);
        Ok(node.unwrap_or_default())
    }

    /// Nobody was quarantined, and so many sessions are open.
    pub(crate) fn nobody_lost_anything(&self, open: usize) -> Outcome {
        let states = "select count(*) from devices where status <> 'active'";
        ensure(self.server.psql("towline", states)? == "0", || "a device is quarantined".into())?;
        let alive = "select count(*) from sessions where ended_at is null";
        let alive = self.server.psql("towline", alive)?;
        ensure(alive == open.to_string(), || format!("{alive} of {open} sessions are open"))
    }

    /// Not alone that its lease is over: from then on it has lost what it held.
    pub(crate) fn waits_until_a_is_declared_dead(&self) -> Outcome {
        eventually("a is declared dead", PATIENCE, || {
            (self.node("a").ok()?["Generation"] == 2).then_some(())
        })
    }
}

/// Starts gateway `b`.
pub(crate) fn serve(lab: &Lab, home: &Path, address: SocketAddr) -> Outcome<Running> {
    serve_as(lab.gateway.program(), home, address)
}

/// The same by another program.
pub(crate) fn serve_as(program: &Path, home: &Path, address: SocketAddr) -> Outcome<Running> {
    let mut command = Command::new(program);
    command.arg("serve").arg("--dir").arg(home).args(["--listen", &address.to_string()]);
    let log = home.with_extension("log");
    // A process before this one may have written to it.
    let before = std::fs::metadata(&log).map_or(0, |file| file.len());
    let mut running = Running::start("gateway b", command, &log)?;
    running.wait_for("gateway b listens", usize::try_from(before)?, PATIENCE, |said| {
        said.contains("listening on").then_some(())
    })?;
    Ok(running)
}

pub(crate) fn exec(at: &Operator, device: &Device, word: &str) -> Outcome {
    let out = at.run(&["exec", device.id(), "--", "echo", word])?;
    ensure(out.stdout == format!("{word}\n").as_bytes(), || format!("{word}: {out:?}"))
}

#[test]
fn each_gateway_reaches_the_devices_of_both() -> Outcome {
    let pair = Pair::start()?;
    let on_a = pair.device_at(&[pair.a_address()])?;
    let on_b = pair.device_at(&[pair.b_address])?;
    ensure(pair.node("a")?["Devices"] == 1 && pair.node("b")?["Devices"] == 1, || {
        format!("the devices are not one at each: {:?} {:?}", pair.node("a"), pair.node("b"))
    })?;
    let mut text = Text::new(31);
    for (address, name) in [(pair.a_address(), "a"), (pair.b_address, "b")] {
        for device in [&on_a, &on_b] {
            let admin = pair.admin_at(address);
            exec(&admin, device, name)?;
            let mut shell = echo(&admin, device)?;
            round_trip(&mut shell, &text.take_bytes(20_000), name)?;
            device.wait_online(&admin)?;
        }
    }
    Ok(())
}

#[test]
fn a_right_that_is_taken_at_one_gateway_is_gone_at_the_other_when_that_is_answered() -> Outcome {
    let pair = Pair::start()?;
    let device = pair.device_at(&[pair.a_address()])?;
    let all =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let user = pair.lab.user("ann", Some(all))?;
    let at_b = user.at(format!("https://{}", pair.b_address));
    exec(&at_b, &device, "allowed")?;
    let body = json!({ "PrincipalName": "ann", "PolicyName": "test" });
    pair.lab.admin().api("Towline.DeletePrincipalPolicy", &body)?;
    let out = at_b.run(&["exec", device.id(), "--", "echo", "denied"])?;
    ensure(out.stdout.is_empty() && !out.status.success(), || format!("still allowed: {out:?}"))
}

#[test]
fn a_shell_goes_on_at_the_other_gateway_when_its_own_is_killed() -> Outcome {
    let mut pair = Pair::start()?;
    let device = pair.device_at(&[pair.a_address(), pair.b_address])?;
    let front = Relay::to(pair.a_address())?;
    let admin = pair.admin_at(front.address());
    let mut text = Text::new(32);
    let mut shell = echo(&admin, &device)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a")?;
    front.retarget(pair.b_address);
    pair.lab.gateway.kill()?;
    round_trip(&mut shell, &text.take_bytes(50_000), "at b, a was killed")?;
    exec(&admin, &device, "new")?;
    pair.waits_until_a_is_declared_dead()?;
    round_trip(&mut shell, &text.take_bytes(5_000), "after a was declared dead")?;
    pair.lab.gateway.start_again()?;
    exec(&pair.admin_at(pair.a_address()), &device, "through a")?;
    round_trip(&mut shell, &text.take_bytes(5_000), "after a was started again")
}

#[test]
fn a_shell_follows_its_device_to_the_other_gateway() -> Outcome {
    let pair = Pair::start()?;
    let to_a = Relay::to(pair.a_address())?;
    let device = pair.device_at(&[to_a.address(), pair.b_address])?;
    let mut text = Text::new(33);
    let mut shell = echo(&pair.admin_at(pair.a_address()), &device)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "the device at a")?;
    to_a.close(true);
    to_a.cut();
    round_trip(&mut shell, &text.take_bytes(50_000), "the device at b, the operator at a")?;
    ensure(pair.node("b")?["Sessions"] == 1, || format!("not at b: {:?}", pair.node("b")))
}

#[test]
fn a_gateway_that_stood_still_does_not_speak_for_what_it_has_lost() -> Outcome {
    let mut pair = Pair::start()?;
    let device = pair.device_at(&[pair.a_address(), pair.b_address])?;
    let front = Relay::to(pair.a_address())?;
    let admin = pair.admin_at(front.address());
    let mut text = Text::new(34);
    let mut shell = echo(&admin, &device)?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at a")?;
    pair.lab.gateway.process().signal(Signal::STOP)?;
    pair.waits_until_a_is_declared_dead()?;
    front.retarget(pair.b_address);
    front.cut();
    pair.lab.gateway.process().signal(Signal::CONT)?;
    let ended = pair.lab.gateway.process().wait(PATIENCE)?;
    let said = pair.lab.gateway.logged();
    ensure(!ended.success() && said.contains("declared this one dead"), || {
        format!("gateway a ended with {ended}: {said}")
    })?;
    round_trip(&mut shell, &text.take_bytes(20_000), "at b")?;
    let states =
        pair.server.psql("towline", "select count(*) from devices where status <> 'active'")?;
    ensure(states == "0", || "a device was quarantined".into())?;
    let over =
        pair.server.psql("towline", "select count(*) from sessions where ended_at is not null")?;
    ensure(over == "0", || format!("{over} sessions were ended"))?;
    ensure(!pair.b.printed().contains("panicked"), || pair.b.printed())
}
