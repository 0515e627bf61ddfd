//! What reads the network is a process without rights: it opens links, it has none of the agent's
//! rights, and its end costs no byte of a shell.
//!
//! The account of the network process is `games` here: packages make `towline-net`, a test machine
//! does not have it.

use std::path::PathBuf;

use towline_testkit::connect_proxy::ConnectProxy;
use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::process::{self, Signal};
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, facts};

use crate::echo::{BACK, comes_back, echo, round_trip};
use crate::tunnel::{Forward, ask, echo_server};

const ACCOUNT: &str = "games";
const UID: &str = "5";
/// Bytes of each block around a kill.
const BLOCK: usize = 9_000;
/// Network processes that are killed under one shell.
const KILLS: usize = 50;

fn separated(more: &str) -> DeviceSetup {
    let config = format!(
        "security.separation = \"demanded\"\nsecurity.network_user = \"{ACCOUNT}\"\n{more}"
    );
    DeviceSetup { config, ..DeviceSetup::default() }
}

/// The network process of an agent, once there is one whose rights are gone.
fn network_process(device: &Device) -> Outcome<u32> {
    let agent = device.pid()?;
    eventually("there is a network process", BACK, || {
        facts::children(agent).into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"network") && fact(*pid, "Seccomp") == "2"
        })
    })
}

/// A line of `/proc/PID/status`, its words joined by one space; empty when the process is gone.
fn fact(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn status(device: &Device) -> Outcome<String> {
    let status = device.command(&["status", "--json"]).output()?;
    Ok(String::from_utf8_lossy(&status.stdout).into_owned())
}

#[test]
fn the_process_that_reads_the_network_has_no_rights_and_the_agent_no_connection() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let text = lab.admin().text(&["exec", device.id(), "--", "echo", "here"])?;
    ensure(text.contains("here"), || text.clone())?;
    let network = network_process(&device)?;
    for (name, expected) in [
        ("Uid", format!("{UID} {UID} {UID} {UID}").as_str()),
        ("Groups", ""),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Threads", "1"),
    ] {
        let found = fact(network, name);
        ensure(found == expected, || format!("{name} of the network process: {found}"))?;
    }
    let root = std::fs::read_link(format!("/proc/{network}/root"))?;
    ensure(root == device.directory().join("run/empty"), || format!("its root is {root:?}"))?;
    ensure(std::fs::read_dir(&root)?.next().is_none(), || "its root is not empty".into())?;
    let held = connections(device.pid()?)?;
    ensure(held.is_empty(), || format!("the agent itself holds {held:?}"))?;
    ensure(!connections(network)?.is_empty(), || "the network process holds no connection".into())?;
    let shown = status(&device)?;
    ensure(shown.contains("separate process as games"), || shown.clone())?;
    ensure(told(&lab, &device)? == "separate", || "the gateway does not know it".into())?;
    let listed = lab.admin().text(&["devices"])?;
    ensure(listed.contains(", two processes"), || listed.clone())
}

/// What the gateway says of the device's network process, once it has heard of it.
fn told(lab: &Lab, device: &Device) -> Outcome<String> {
    let body =
        serde_json::json!({ "Filters": [{ "Key": "InstanceIds", "Values": [device.id()] }] });
    eventually("the gateway knows how the network is read", BACK, || {
        let answer = lab.admin().api("AmazonSSM.DescribeInstanceInformation", &body).ok()?;
        let said = &answer["InstanceInformationList"][0]["TowlineSeparation"];
        said.as_str().map(str::to_owned)
    })
}

#[test]
fn a_device_whose_settings_want_one_process_says_so() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let said = told(&lab, &device)?;
    ensure(said == "off", || said.clone())
}

/// Sockets of the Internet that a process holds: those that the kernel's table of TCP names.
fn connections(pid: u32) -> Outcome<Vec<PathBuf>> {
    let tables =
        ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")));
    let tables = tables.into_iter().flatten().collect::<String>();
    let held = std::fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
    let links = held.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let is_tcp = |link: &PathBuf| {
        let text = link.to_string_lossy();
        let inode = text.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inode.is_some_and(|inode| {
            tables.lines().any(|line| line.split_whitespace().nth(9) == Some(inode))
        })
    };
    Ok(links.filter(is_tcp).collect())
}

#[test]
fn no_byte_is_lost_or_doubled_when_the_network_process_is_killed_fifty_times() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let mut shell = echo(&lab.admin(), &device)?;
    let (mut text, mut killed) = (Text::new(29), 0);
    for kill in 1..=KILLS {
        let block = text.take_bytes(BLOCK);
        // The kill falls among the bytes of the block, each time at another one.
        let (first, rest) = block.split_at(1 + kill * 179 % BLOCK);
        shell.send(first)?;
        let network = network_process(&device)?;
        killed += u32::from(process::send(network, Signal::KILL).is_ok());
        shell.send(rest)?;
        comes_back(&mut shell, &block, &format!("kill {kill}"))?;
    }
    ensure(killed as usize == KILLS, || format!("only {killed} processes were killed"))?;
    ensure(facts::children(device.pid()?).len() <= 3, || "dead processes are left".into())
}

#[test]
fn a_name_a_proxy_and_its_password_lead_to_the_gateway() -> Outcome {
    let lab = Lab::start()?;
    let proxy = ConnectProxy::start(Some("YW5uOnMzY3JldC13b3Jk"))?;
    let url = format!("http://ann:s3cret-word@localhost:{}", proxy.address().port());
    let device = lab.device_with(&separated(&format!("gateway.proxy = {url:?}")))?;
    let asked = proxy.asked();
    let all = asked.len() >= 2 && asked.iter().all(|it| it.granted);
    ensure(all, || format!("the link does not lead over the proxy: {asked:?}"))?;
    let text = lab.admin().text(&["exec", device.id(), "--", "echo", "here"])?;
    ensure(text.contains("here"), || text.clone())
}

#[test]
fn an_upgrade_goes_on_with_the_shell_and_leaves_no_process_behind() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let mut shell = echo(&lab.admin(), &device)?;
    let mut text = Text::new(31);
    round_trip(&mut shell, &text.take_bytes(5_000), "before")?;
    let before = network_process(&device)?;
    process::hang_up(device.pid()?)?;
    eventually("the old network process is gone", BACK, || {
        fact(before, "State").is_empty().then_some(())
    })?;
    round_trip(&mut shell, &text.take_bytes(5_000), "after")?;
    ensure(network_process(&device)? != before, || "the old process lives".into())
}

#[test]
fn a_pin_is_judged_in_the_network_process_and_a_wrong_one_is_named_in_the_log() -> Outcome {
    let lab = Lab::start()?;
    let wrong = "00".repeat(32);
    let mut device = lab.device_with(&separated(""))?;
    device.process()?.stop()?;
    device.configure(&separated(&format!("gateway.pin = \"{wrong}\"")).config)?;
    device.start()?;
    let expected = format!("{wrong} is expected");
    eventually("the log names both pins", BACK, || {
        let logged = device.logged();
        let (_, behind) = logged.split_once("the gateway shows a key with pin ")?;
        let (right, _) = behind.split_once(", ").filter(|(_, rest)| rest.starts_with(&expected))?;
        Some(right.to_owned())
    })
    .and_then(|right| {
        device.process()?.stop()?;
        device.configure(&separated(&format!("gateway.pin = \"{right}\"")).config)?;
        device.start()?;
        device.wait_online(&lab.admin())
    })
}

#[test]
fn a_connection_through_a_tunnel_to_a_name_outlives_the_network_process() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated("policy.allowed_forwards = [\"localhost:*\"]"))?;
    let server = echo_server()?;
    let forward = Forward::start(&lab, &device, &format!("0:localhost:{}", server.port()))?;
    let mut stream = forward.connect()?;
    ask(&mut stream, b"before")?;
    for _ in 0..3 {
        process::send(network_process(&device)?, Signal::KILL)?;
        ask(&mut stream, b"after")?;
    }
    // Names of tunnels are looked up by such a process, too: its end is no end of the link.
    ask(&mut forward.connect()?, b"another")
}

#[test]
fn an_agent_that_is_killed_takes_its_network_process_along() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device_with(&separated(""))?;
    let network = network_process(&device)?;
    device.process()?.kill()?;
    eventually("the network process is gone", BACK, || {
        fact(network, "State").is_empty().then_some(())
    })
}

/// Without the account: `wanted` goes on as one process and says so, `demanded` makes no link.
#[test]
fn where_it_cannot_be_the_agent_says_so_and_a_demand_is_kept() -> Outcome {
    let lab = Lab::start()?;
    let config = "security.separation = \"wanted\"\nsecurity.network_user = \"nobody-at-all\"";
    let setup = DeviceSetup { config: config.to_owned(), ..DeviceSetup::default() };
    let mut device = lab.device_with(&setup)?;
    let why = "this device has no account \\\"nobody-at-all\\\"";
    let shown = status(&device)?;
    ensure(shown.contains(&format!("one process: {why}")), || shown.clone())?;
    let said = told(&lab, &device)?;
    let expected = format!("impossible: {}", why.replace('\\', ""));
    ensure(said == expected, || said.clone())?;
    device.process()?.stop()?;
    device.configure(&config.replace("wanted", "demanded"))?;
    device.start()?;
    eventually("the log says why there is no link", BACK, || {
        device.logged().contains("security.separation is \"demanded\"").then_some(())
    })?;
    let body = serde_json::json!({ "Target": device.id() });
    let state = lab.admin().api("AmazonSSM.GetConnectionStatus", &body)?;
    let connected = state["Status"].as_str().ok_or_else(|| Trouble::new("no status"))?;
    ensure(connected != "connected", || "the device is connected against its settings".into())
}
