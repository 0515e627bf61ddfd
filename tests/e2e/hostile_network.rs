//! A network process that is wholly in an attacker's hands: the real one of the real agent, which
//! makes any call and says anything at any time. It gets no key, no file, no program, no session,
//! and does not last.
//!
//! Data flow: an agent as two processes -> its network process is taken over in a dial or in an
//! open link ([`TakenOver`]) -> deeds -> what the kernel, the agent and the gateway make of them.
//!
//! # Not here
//! - The same deeds one by one on this kernel, without an agent: `src/separation/confine/tests.rs`.
//!   Any messages in any order: `fuzz/bodies/network.rs`.

use std::io::Write as _;

use towline_testkit::lab::{Device, Lab};
use towline_testkit::process::{self, Running};
use towline_testkit::terminal::Terminal;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, facts};
use towline_wire::frame::{Frame, FrameReader};
use towline_wire::grant::SignedGrant;
use towline_wire::message::{FromAgent, Open, RefusalCode, ToAgent, decode, encode};
use towline_wire::separation::{FromNetwork, MAX};

use crate::echo::{BACK, echo, round_trip};
use crate::peers::gateway::FalseGateway;
use crate::peers::taken_over::{FILTERED, KILLED, NOTHING, REFUSED, TakenOver};
use crate::separation::{network_process, separated};

/// Descriptors of a network process.
const CONTROL: u32 = 0;
const LINK: u32 = 1;
/// Numbers of x86_64.
const MMAP: u32 = 9;
const MPROTECT: u32 = 10;
const SOCKET: u32 = 41;
const SHUTDOWN: u32 = 48;
const FCNTL: u32 = 72;
/// Past the last call of Linux 6.18.
const LAST: u32 = 480;
/// They end the process, or take its registers away. 335 and 336 are the kernel's own: it lets them
/// past every filter, and they do nothing outside of the code that it makes for probes.
const NOT_PROBED: [u32; 5] = [15, 60, 231, 335, 336];
/// Their refusal depends on the arguments, and what is let through would change the attacker's own
/// memory.
const OWN_MEMORY: [u32; 2] = [MMAP, MPROTECT];
/// `execve`, `execveat`, `ptrace`, `process_vm_readv`, `process_vm_writev`, and `execve` of x32.
const DEADLY: [u32; 6] = [59, 322, 101, 310, 311, 0x4000_0000 + 520];

/// What an open link's process may still call: it moves bytes, waits, and takes memory.
const IN_A_LINK: &[u32] = &[
    0, 1, 3, 7, 11, 12, 13, 14, 19, 20, 25, 28, 44, 45, 46, 47, 48, 131, 202, 219, 228, 232, 233,
    271, 281, 318,
];
/// While it dials, also: `connect`, names and options of its sockets. (Calls whose arguments count
/// are refused with those of a probe: `mmap`, `mprotect`, `socket`, `setsockopt`, `fcntl`,
/// `prctl`.)
const IN_A_DIAL: &[u32] = &[42, 51, 52, 55];

fn taken_over(device: &Device) -> Outcome<TakenOver> {
    TakenOver::take(network_process(device)?)
}

/// A device whose process waits for a gateway that says nothing.
fn in_a_dial(device: &Device) -> Outcome<TakenOver> {
    let before = network_process(device)?;
    device.relay.hold(true);
    device.relay.cut();
    let dialling = eventually("another process dials", BACK, || {
        network_process(device).ok().filter(|pid| *pid != before && waits(*pid))
    })?;
    TakenOver::take(dialling)
}

/// Whether a process waits for its sockets (`epoll_wait`).
fn waits(pid: u32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    call.starts_with("232 ") || call.starts_with("281 ")
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

fn said(message: &FromNetwork) -> Outcome<Vec<u8>> {
    Ok(encode(message)?)
}

fn a_shell(lab: &Lab, device: &Device) -> Outcome<Terminal> {
    let mut shell = echo(&lab.admin(), device)?;
    round_trip(&mut shell, b"before the attack", "before")?;
    Ok(shell)
}

#[test]
fn it_can_call_what_moves_its_bytes_and_nothing_else() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let mut shell = a_shell(&lab, &device)?;
    let mut network = taken_over(&device)?;
    let passed = network.probe(0, LAST, &[&NOT_PROBED[..], &DEADLY].concat())?;
    ensure(passed == IN_A_LINK, || format!("an open link's process can call {passed:?}"))?;
    // With right arguments: memory to execute, a socket, the owner of signals, a program's abstract
    // name.
    for (number, arguments) in [
        (MMAP, [0, 4096, 7, 0x22, -1, 0]),
        (MPROTECT, [0x1000, 4096, 5, 0, 0, 0]),
        (SOCKET, [2, 1, 0, 0, 0, 0]),
        (FCNTL, [0, 8, 1, 0, 0, 0]),
    ] {
        let result = network.call(number, &arguments)?;
        ensure(result == REFUSED, || format!("call {number} of {arguments:?} gave {result}"))?;
    }
    network.go()?;
    round_trip(&mut shell, b"the process goes on", "after the probe")?;
    let mut dialling = in_a_dial(&device)?;
    let passed = dialling.probe(0, LAST, &[&NOT_PROBED[..], &DEADLY].concat())?;
    let mut expected = [IN_A_LINK, IN_A_DIAL].concat();
    expected.sort_unstable();
    ensure(passed == expected, || format!("a dialling process can call {passed:?}"))?;
    for (number, arguments) in [
        (SOCKET, [1, 1, 0, 0, 0, 0]),   // a path or an abstract name
        (SOCKET, [2, 2, 0, 0, 0, 0]),   // datagrams
        (SOCKET, [2, 1, 132, 0, 0, 0]), // another protocol of the kernel
        (FCNTL, [0, 8, 1, 0, 0, 0]),
        (MMAP, [0, 4096, 7, 0x22, -1, 0]),
    ] {
        let result = dialling.call(number, &arguments)?;
        ensure(result == REFUSED, || format!("call {number} of {arguments:?} gave {result}"))?;
    }
    dialling.go()?;
    device.relay.hold(false);
    round_trip(&mut shell, b"and back", "after the dial")
}

#[test]
fn a_program_or_a_look_into_another_process_is_its_end_and_costs_the_shell_nothing() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let mut shell = a_shell(&lab, &device)?;
    for number in DEADLY {
        let mut network = taken_over(&device)?;
        let end = network.told(&format!("call {number} 0 0 0 0 0 0"))?;
        ensure(end == FILTERED, || format!("after call {number} the process is {end}"))?;
        round_trip(&mut shell, b"the next one works", "after its end")?;
    }
    Ok(())
}

/// Nothing that it says once the link is open is heard: no signature comes, and no descriptor
/// arrives.
#[test]
fn in_an_open_link_it_is_answered_nothing_and_a_flood_fills_its_own_socket_alone() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let agent = device.pid()?;
    let mut shell = a_shell(&lab, &device)?;
    let mark = device.directory().join("mark");
    let order = format!("(sleep 1; echo done >{}) & wait", mark.display());
    let work = lab.admin().towline(&["exec", device.id(), "--", "sh", "-c", &order]).spawn();
    let mut work = work.map_err(|error| Trouble::new(error.to_string()))?;
    let order = mark.display().to_string();
    let runs =
        || facts::with_argument(&order).iter().any(|pid| facts::children(agent).contains(pid));
    eventually("the command has started", BACK, || runs().then_some(()))?;
    let mut network = taken_over(&device)?;
    let (held, memory) = (descriptors(agent), facts::memory(agent)?.anonymous);
    for message in [
        said(&FromNetwork::Sign(vec![7; 32]))?,
        said(&FromNetwork::Linked { local: "10.0.0.1".into(), met_next: true })?,
        said(&FromNetwork::Confined { landlock: 0 })?,
        said(&FromNetwork::NotConfined("once more".into()))?,
        vec![0xff; MAX + 1],
    ] {
        let sent = network.send(CONTROL, &message, &[CONTROL, LINK])?;
        ensure(usize::try_from(sent) == Ok(message.len()), || format!("sending gave {sent}"))?;
        let answer = network.receive(CONTROL)?;
        ensure(answer.is_none(), || format!("the agent answers {answer:?}"))?;
    }
    let count = network.flood(CONTROL, &[0; 64], 100_000)?;
    ensure(count < 10_000, || format!("the agent's socket took {count} messages"))?;
    // The agent waits until its answers are read, or ends the process: both bound what it holds.
    match network.flood(LINK, &[0, 2, 4, 0].repeat(256), 100_000) {
        Ok(pings) => ensure(pings < 10_000, || format!("the link took {pings} times 256 pings"))?,
        Err(trouble) => ensure(trouble.to_string().ends_with(KILLED), || trouble.to_string())?,
    }
    eventually("the command goes on meanwhile", BACK, || mark.exists().then_some(()))?;
    eventually("its end is seen meanwhile", BACK, || (!runs()).then_some(()))?;
    ensure(descriptors(agent) <= held, || "descriptors have arrived in the agent".into())?;
    let grown = facts::memory(agent)?.anonymous.saturating_sub(memory);
    ensure(grown < 1_024, || format!("the agent grew by {grown} KiB"))?;
    drop(network);
    work.wait()?;
    round_trip(&mut shell, b"after the flood", "after the flood")
}

/// What becomes of it after a message; the agent may be faster than the answer of the call.
fn its_end(network: &mut TakenOver, message: &[u8], along: &[u32]) -> Outcome<String> {
    match network.send(CONTROL, message, along) {
        Ok(_) => network.wait(20),
        Err(trouble) if trouble.to_string().ends_with(KILLED) => Ok(KILLED.to_owned()),
        Err(trouble) => Err(trouble),
    }
}

#[test]
fn in_a_dial_it_gets_one_signature_and_a_message_that_is_not_due_is_its_end() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let mut shell = a_shell(&lab, &device)?;
    let sign = said(&FromNetwork::Sign(vec![7; 32]))?;
    let mut network = in_a_dial(&device)?;
    network.send(CONTROL, &sign, &[])?;
    let signature = eventually("one signature comes", BACK, || network.receive(CONTROL).ok()?)?;
    ensure(signature.len() > 64, || format!("no signature: {signature:?}"))?;
    let end = its_end(&mut network, &sign, &[])?;
    ensure(end == KILLED, || format!("after a second request it is {end}"))?;
    for (message, along) in [
        (said(&FromNetwork::Sign(vec![7; 33]))?, &[][..]),
        (said(&FromNetwork::Linked { local: String::new(), met_next: false })?, &[]),
        (sign, &[LINK]), // with a descriptor
    ] {
        device.relay.hold(false);
        round_trip(&mut shell, b"meanwhile", "between two attacks")?;
        let mut network = in_a_dial(&device)?;
        let end = its_end(&mut network, &message, along)?;
        ensure(end == KILLED, || format!("after {message:?} with {along:?} it is {end}"))?;
    }
    let log = device.logged();
    ensure(log.contains("broke the rules"), || log.clone())
}

/// The frames that order a session, and what the agent answers.
fn ordered(
    network: &mut TakenOver,
    session: &str,
    grant: &SignedGrant,
    launch: &[u8],
) -> Outcome<FromAgent> {
    let (session, grant, launch) = (session.to_owned(), grant.clone(), launch.to_vec());
    let open =
        Open { session: session.clone(), grant, launch, terminal: None, io: 70, err: Some(71) };
    let mut bytes = Vec::new();
    Frame::Control(&encode(&ToAgent::Open(open))?).encode(&mut bytes)?;
    network.send(LINK, &bytes, &[])?;
    let mut reader = FrameReader::new();
    eventually("the agent answers an order", BACK, || {
        let heard = network.receive(LINK).ok()??;
        for byte in heard {
            reader.spare()[0] = byte;
            reader.filled(1);
            let Ok(Some(Frame::Control(body))) = reader.next() else { continue };
            match decode(body) {
                Ok(FromAgent::NotOpened { session: it, code, text }) if it == session => {
                    return Some(FromAgent::NotOpened { session: it, code, text });
                }
                Ok(FromAgent::Opened { session: it }) if it == session => {
                    return Some(FromAgent::Opened { session: it });
                }
                _ => {}
            }
        }
        None
    })
}

fn is_refused(answer: &FromAgent) -> bool {
    matches!(answer, FromAgent::NotOpened { code: RefusalCode::Grant, .. })
}

/// It sees each grant that passes through it, and can order what it likes in the gateway's name.
#[test]
fn it_opens_no_session_with_a_grant_that_was_used_altered_or_made_up() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.enrolled(&separated(""))?;
    let gateway = FalseGateway::start(&lab, None)?;
    device.relay.retarget(gateway.address()?);
    device.start()?;
    let mut link = gateway.accept()?;
    let (grant, launch) = gateway.grant(&link, "test-1")?;
    let signed = gateway.sign(&grant)?;
    let first = link.order("test-1", signed.clone(), launch.clone(), 10)?;
    ensure(matches!(first, FromAgent::Opened { .. }), || format!("a right grant: {first:?}"))?;
    link.forget("test-1")?;
    let (unused, _) = gateway.grant(&link, "test-2")?;
    let mut network = taken_over(&device)?;
    let mut altered = gateway.sign(&unused)?;
    altered.signature[0] ^= 1;
    let mut longer = gateway.sign(&unused)?;
    longer.grant.push(0);
    let stranger = crate::peers::agent::fresh_key()?;
    let stranger = FalseGateway::start(&lab, Some(&stranger))?;
    let made_up = stranger.sign(&unused)?;
    for (story, session, grant) in [
        ("a used grant for its own session", "test-1", &signed),
        ("a used grant for another session", "test-3", &signed),
        ("an altered signature", "test-2", &altered),
        ("an altered grant", "test-2", &longer),
        ("a grant of its own", "test-2", &made_up),
    ] {
        let answer = ordered(&mut network, session, grant, &launch)?;
        ensure(is_refused(&answer), || format!("{story} was answered with {answer:?}"))?;
    }
    let other = [&launch[..], b"more"].concat();
    let answer = ordered(&mut network, "test-2", &gateway.sign(&unused)?, &other)?;
    ensure(is_refused(&answer), || format!("another command was answered with {answer:?}"))
}

#[test]
fn however_it_leaves_its_link_it_is_dead_and_the_shell_goes_on() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let mut shell = a_shell(&lab, &device)?;
    // Whose output lets the agent notice that nobody reads what it writes.
    let ticks = ["exec", device.id(), "--", "sh", "-c", "while sleep 1; do echo tick; done"];
    let log = device.directory().join("ticks");
    let _ticks = Running::start("ticks", lab.admin().towline(&ticks), &log)?;
    eventually("the other session writes", BACK, || {
        std::fs::read(&log).is_ok_and(|text| text.starts_with(b"tick")).then_some(())
    })?;
    let mut text = Text::new(41);
    for (story, deed) in [
        ("half-closed towards the agent", format!("call {SHUTDOWN} {LINK} 1")),
        ("half-closed from the agent", format!("call {SHUTDOWN} {LINK} 0")),
        ("closed in both directions", format!("call {SHUTDOWN} {LINK} 2")),
        ("garbage", format!("send {LINK} ffffffffffffffff")),
    ] {
        let mut network = taken_over(&device)?;
        let result = network.told(&deed)?;
        ensure(!result.starts_with('-'), || format!("{story}: {result}"))?;
        let block = text.take_bytes(5_000);
        shell.send(&block)?;
        let end = if result == KILLED { result } else { network.wait(90)? };
        ensure(end == KILLED, || format!("{story}: the process is {end}"))?;
        crate::echo::comes_back(&mut shell, &block, story)?;
    }
    Ok(())
}

#[test]
fn it_survives_no_restart_and_no_end_of_the_agent() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.device_with(&separated(""))?;
    let mut shell = a_shell(&lab, &device)?;
    let mut network = taken_over(&device)?;
    process::hang_up(device.pid()?)?;
    let end = network.wait(30)?;
    ensure(end == KILLED, || format!("after a restart it is {end}"))?;
    round_trip(&mut shell, b"after the restart", "after the restart")?;
    let mut network = taken_over(&device)?;
    device.process()?.kill()?;
    let end = network.wait(30)?;
    ensure(end == KILLED, || format!("without the agent it is {end}"))
}

/// A sequence of numbers that a seed fixes (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (it ^ (it >> 31)) % sides
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.roll(most)).map(|_| self.roll(256) as u8).collect()
    }
}

/// Any refused calls with any arguments, and any messages, from seeds: the agent keeps what it has.
#[test]
fn whatever_it_does_at_random_the_agent_and_its_sessions_go_on() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let agent = device.pid()?;
    let mut shell = a_shell(&lab, &device)?;
    let held = descriptors(agent);
    for seed in [3, 17, 1_788] {
        let mut dice = Dice(seed);
        let mut network = taken_over(&device)?;
        for step in 0..300 {
            let number = dice.roll(u64::from(LAST)) as u32;
            if [IN_A_LINK, &NOT_PROBED, &DEADLY, &OWN_MEMORY].concat().contains(&number) {
                let message = match dice.roll(4) {
                    0 => dice.bytes(200),
                    1 => said(&FromNetwork::Sign(dice.bytes(60)))?,
                    2 => said(&FromNetwork::Failed { text: "no".into(), note: "\n".into() })?,
                    _ => said(&FromNetwork::Linked { local: "x".repeat(300), met_next: true })?,
                };
                let sent = network.send(CONTROL, &message, &[LINK])?;
                ensure(sent >= 0 || sent == NOTHING || sent == -109, || format!("sent: {sent}"))?;
                continue;
            }
            let mut arguments = [0; 6];
            for argument in &mut arguments {
                *argument = match dice.roll(3) {
                    0 => dice.roll(40) as i64,
                    1 => -(dice.roll(200) as i64),
                    _ => dice.roll(u64::MAX) as i64,
                };
            }
            let result = network.call(number, &arguments)?;
            ensure(result == REFUSED, || {
                format!("seed {seed}, step {step}: {number} {arguments:?}: {result}")
            })?;
        }
        let answer = network.receive(CONTROL)?;
        ensure(answer.is_none(), || format!("seed {seed}: the agent answers {answer:?}"))?;
        network.go()?;
        round_trip(&mut shell, b"unharmed", "after a seed")?;
    }
    let now = descriptors(agent);
    ensure(now <= held + 1, || format!("the agent held {held} descriptors, now {now}"))?;
    let answer = lab.admin().run(&["exec", device.id(), "--", "echo", "in"])?;
    ensure(answer.stdout == b"in\n", || format!("{answer:?}"))
}

#[test]
fn what_it_may_use_up_has_a_bound() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&separated(""))?;
    let network = taken_over(&device)?;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", network.pid))?;
    for (name, most) in [
        ("Max processes", "0"),
        ("Max file size", "0"),
        ("Max core file size", "0"),
        ("Max open files", "64"),
        ("Max data size", "16777216"),
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().take(2).collect();
        ensure(words == [most, most], || format!("{name}: {words:?}"))?;
    }
    // The agent's own score, -900 as a service, is not this process's. (A test may only raise one.)
    let agent = device.pid()?;
    let score = format!("/proc/{agent}/oom_score_adj");
    std::fs::OpenOptions::new().write(true).open(score)?.write_all(b"500")?;
    process::send(network.pid, process::Signal::KILL)?;
    drop(network);
    let mut network = taken_over(&device)?;
    let score = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", network.pid))?;
    ensure(score.trim() == "0", || format!("its score is {score}"))?;
    // 32 MiB at once.
    let result = network.call(MMAP, &[0, 32 << 20, 3, 0x22, -1, 0])?;
    ensure(result == -12, || format!("32 MiB of memory: {result}"))?;
    network.go()
}
