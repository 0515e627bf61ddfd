//! What reads the network is a process without rights: it opens links, it has none of the agent's
//! rights, and its end costs no byte of a shell.
//!
//! The account of the network process is `games` here: packages make `towline-net`, a test machine
//! does not have it.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

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

pub(crate) fn separated(more: &str) -> DeviceSetup {
    let config = format!(
        "security.separation = \"demanded\"\nsecurity.network_user = \"{ACCOUNT}\"\n{more}"
    );
    DeviceSetup { config, ..DeviceSetup::default() }
}

/// The network process of an agent, once there is one whose rights are gone.
pub(crate) fn network_process(device: &Device) -> Outcome<u32> {
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
    let landlock = shown.contains("separate process as games, Landlock ");
    let none = shown.contains("separate process as games, without Landlock");
    ensure(landlock || none, || shown.clone())?;
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

/// Of what a process has in memory and may read itself.
fn memory(pid: u32) -> Outcome<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let file = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| !line.contains("[v")) {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let Some((from, until)) = range.split_once('-').filter(|_| rights.starts_with('r')) else {
            continue;
        };
        let (from, until) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(until, 16)?);
        let begin = all.len();
        all.resize(begin + usize::try_from(until - from)?, 0);
        // What was unmapped in between cannot be read, and holds nothing.
        let read = file.read_at(&mut all[begin..], from).unwrap_or_default();
        all.truncate(begin + read);
    }
    Ok(all)
}

#[test]
fn the_device_s_key_is_in_the_agent_s_memory_and_not_in_that_of_the_network_process() -> Outcome {
    /// In front of the secret in a key of Ed25519 in PKCS #8.
    const HEAD: usize = 16;
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let key = std::fs::read(device.state().join("device.key"))?;
    let secret = &key[HEAD..HEAD + 32];
    let has = |pid| Ok::<_, Trouble>(memory(pid)?.windows(32).any(|bytes| bytes == secret));
    ensure(has(device.pid()?)?, || "the agent has no key: the search finds nothing".into())?;
    ensure(!has(network_process(&device)?)?, || "the network process has the key".into())
}

#[test]
fn the_network_process_holds_no_terminal_and_no_file_of_the_device() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let mut shell = echo(&lab.admin(), &device)?;
    round_trip(&mut shell, b"a session is open", "before")?;
    let network = network_process(&device)?;
    let held: Vec<String> = std::fs::read_dir(format!("/proc/{network}/fd"))?
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    // The file in memory is the CA that the gateway is judged by.
    let known = ["socket:", "anon_inode:", "/memfd:towline-ca", "/dev/null"];
    let strange = held.iter().find(|held| !known.iter().any(|known| held.starts_with(known)));
    ensure(held.len() > 3 && strange.is_none(), || format!("it holds {held:?}"))
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
fn a_shell_goes_on_from_one_process_to_two_and_back() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = echo(&lab.admin(), &device)?;
    let mut text = Text::new(37);
    round_trip(&mut shell, &text.take_bytes(5_000), "as one process")?;
    device.configure(&separated("").config)?;
    process::hang_up(device.pid()?)?;
    let network = network_process(&device)?;
    round_trip(&mut shell, &text.take_bytes(5_000), "as two")?;
    device.configure("")?;
    process::hang_up(device.pid()?)?;
    eventually("the network process is gone", BACK, || {
        fact(network, "State").is_empty().then_some(())
    })?;
    round_trip(&mut shell, &text.take_bytes(5_000), "as one again")?;
    let said = told(&lab, &device)?;
    ensure(said == "off", || said.clone())
}

/// Root of a name space of users, as in a container without rights: no other account can be had.
#[test]
fn in_a_container_without_rights_the_agent_goes_on_as_one_process_and_says_so() -> Outcome {
    let lab = Lab::start()?;
    let config = separated("").config.replace("demanded", "wanted");
    let behind = ["unshare", "--user", "--map-root-user"].map(str::to_owned).to_vec();
    let device = lab.device_with(&DeviceSetup { config, behind, ..DeviceSetup::default() })?;
    let said = told(&lab, &device)?;
    ensure(said == "impossible: the groups: Operation not permitted", || said.clone())
}

/// A service manager may have set lower limits than the network process has.
#[test]
fn lower_limits_of_the_service_stay_and_keep_nothing_from_being_separated() -> Outcome {
    let lab = Lab::start()?;
    let config = separated("").config.replace("demanded", "wanted");
    let behind = ["prlimit", "--nofile=40:40", "--data=12582912:12582912"];
    let behind = behind.map(str::to_owned).to_vec();
    let device = lab.device_with(&DeviceSetup { config, behind, ..DeviceSetup::default() })?;
    let said = told(&lab, &device)?;
    ensure(said == "separate", || said.clone())?;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", network_process(&device)?))?;
    let open_files = limits.lines().find(|line| line.starts_with("Max open files"));
    let expected = open_files.is_some_and(|line| line.split_whitespace().nth(3) == Some("40"));
    ensure(expected, || limits.clone())
}

/// A process with another account than the agent's can be ended with CAP_KILL alone. One that could
/// not be ended would keep its way to a session.
#[test]
fn an_agent_that_could_not_end_the_process_has_none() -> Outcome {
    let lab = Lab::start()?;
    let config = separated("").config.replace("demanded", "wanted");
    let behind =
        ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"].map(str::to_owned).to_vec();
    let device = lab.device_with(&DeviceSetup { config, behind, ..DeviceSetup::default() })?;
    let said = told(&lab, &device)?;
    ensure(said == "impossible: the agent could not end it without CAP_KILL", || said.clone())
}

/// Settings that would cost the device its link are refused while it has one.
#[test]
fn a_reload_with_a_demand_that_cannot_be_met_is_refused_in_words() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let mut shell = echo(&lab.admin(), &device)?;
    round_trip(&mut shell, b"before", "before the reload")?;
    device.configure(&separated("").config.replace(ACCOUNT, "nobody-at-all"))?;
    process::hang_up(device.pid()?)?;
    eventually("the log says why", BACK, || {
        let logged = device.logged();
        let why = "\"demanded\": this device has no account \"nobody-at-all\": make it";
        (logged.contains(why) && logged.contains("not restarting")).then_some(())
    })?;
    round_trip(&mut shell, b"after", "after it")
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

/// The descriptors of the agent's process are all in use for a while, as processes or memory of a
/// device may be: that passes, and is no reason to give the network to a process with all rights.
#[test]
fn a_device_that_is_short_of_something_for_a_while_goes_on_with_two_processes() -> Outcome {
    let lab = Lab::start()?;
    let config = separated("").config.replace("demanded", "wanted");
    let device = lab.device_with(&DeviceSetup { config, ..DeviceSetup::default() })?;
    let (agent, network) = (device.pid()?, network_process(&device)?);
    let limit = |number: &str| {
        let mut command = Command::new("prlimit");
        command.args(["--pid", &agent.to_string(), &format!("--nofile={number}:4096")]);
        process::finish(command, BACK)
    };
    limit("8")?;
    process::send(network, Signal::KILL)?;
    eventually("it has no descriptor for another process", BACK, || {
        device.logged().contains("Too many open files").then_some(())
    })?;
    limit("1024")?;
    network_process(&device)?;
    device.wait_online(&lab.admin())?;
    let said = told(&lab, &device)?;
    ensure(said == "separate", || said.clone())?;
    ensure(!device.logged().contains("has all rights"), || device.logged())
}

/// Without the account: `wanted` goes on as one process and says so, `demanded` makes no link.
#[test]
fn where_it_cannot_be_the_agent_says_so_and_a_demand_is_kept() -> Outcome {
    let lab = Lab::start()?;
    let config = "security.separation = \"wanted\"\nsecurity.network_user = \"nobody-at-all\"";
    let setup = DeviceSetup { config: config.to_owned(), ..DeviceSetup::default() };
    let mut device = lab.device_with(&setup)?;
    let why = "this device has no account \\\"nobody-at-all\\\": make it (useradd --system \
               nobody-at-all), or set security.network_user";
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
