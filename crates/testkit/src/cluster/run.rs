//! Rounds of faults under open shells: each byte is compared, and nothing may be lost.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{BACK, Fault, Faults, Gateways};
use crate::cuts::echo;
use crate::lab::Device;
use crate::relay::Relay;
use crate::terminal::Terminal;
use crate::text::Text;
use crate::trouble::{ensure, pause};
use crate::{Outcome, Trouble, eventually, interrupt};

/// Bytes that each shell sends and gets back in each round.
const BLOCK: usize = 20_000;

/// What a run was.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Faults by kind.
    pub faults: Faults,
    /// Bytes compared.
    pub bytes: usize,
    /// The longest time between a fault and the whole block of a shell.
    pub longest: Duration,
    /// Commands sent, and how many devices executed one of them: once each.
    pub commands: (usize, usize),
    /// Lines of the audit trail, each in the sink once.
    pub lines: usize,
}

/// One shell, the way to it, and where that leads.
struct Shell {
    terminal: Terminal,
    front: Relay,
    at: usize,
    text: Text,
}

/// So many rounds with one of these faults each, with shells on the first `shells` of `devices`
/// devices. An older gateway is drained and upgraded in the last one. `say` hears of each round.
///
/// # Errors
/// An invariant does not hold.
pub fn run(
    gateways: &mut Gateways,
    (devices, shells): (usize, usize),
    (faults, rounds): (&[Fault], usize),
    mut seed: u64,
    mut say: impl FnMut(&str),
) -> Outcome<Told> {
    let number = gateways.nodes.len();
    let devices: Vec<Device> =
        (0..devices).map(|nth| gateways.device(nth % number)).collect::<Outcome<_>>()?;
    let mut open: Vec<Shell> = Vec::new();
    for (nth, device) in devices.iter().take(shells).enumerate() {
        // The client is at another gateway than the device at first.
        let at = (nth + 1) % number;
        let front = Relay::to(gateways.nodes[at].address)?;
        let terminal = echo(&gateways.admin_at(front.address()), device)?;
        open.push(Shell { terminal, front, at, text: Text::new(100 + nth as u64) });
    }
    let (mut told, executed) = (Told::default(), gateways.lab.directory().join("commands"));
    for round in 0..rounds {
        interrupt::check()?;
        let (fault, mut victim) = draw(faults, round, &mut seed, number);
        if gateways.older == Some(victim) && fault.ends_its_process() {
            victim = (victim + 1) % number; // it would come back as another program
        }
        let upgrade = gateways.older.filter(|_| round + 1 == rounds);
        let (fault, victim) = upgrade.map_or((fault, victim), |older| (Fault::Restarted, older));
        say(&format!("round {round}: {fault:?} at gateway {victim}"));
        command(gateways, &devices[round % devices.len()], round, &executed, &mut told)?;
        pause(Duration::from_millis(chance(&mut seed) % 400));
        let at = usize::try_from(chance(&mut seed))? % number;
        let device = &devices[usize::try_from(chance(&mut seed))? % devices.len()];
        let done = suffer(gateways, &mut open, (fault, victim), &mut told)
            .and_then(|()| gateways.heal(devices.len()))
            .and_then(|()| gateways.nobody_lost_anything(open.len()))
            .and_then(|()| all_clients_work(gateways, gateways.nodes[at].address, device, round));
        done.map_err(|error| {
            let more = gateways.explain();
            Trouble::new(format!("round {round}, {fault:?} at gateway {victim}: {error}\n{more}"))
        })?;
        *told.faults.entry(fault).or_default() += 1;
    }
    told.commands.1 = executed_once(&executed, rounds)?;
    told.lines = gateways.audit_is_in_the_sink_once()?;
    gateways.verify()?;
    Ok(told)
}

/// The first rounds have each fault once; then chance draws.
fn draw(faults: &[Fault], round: usize, seed: &mut u64, number: usize) -> (Fault, usize) {
    let kinds = faults.len();
    let drawn = usize::try_from(chance(seed)).unwrap_or(0);
    let kind = if round < kinds { round } else { drawn % kinds };
    (faults[kind], usize::try_from(chance(seed)).unwrap_or(0) % number)
}

/// A fault while all shells echo a block; then each block must have come back.
fn suffer(
    gateways: &mut Gateways,
    open: &mut [Shell],
    (fault, victim): (Fault, usize),
    told: &mut Told,
) -> Outcome {
    let addresses: Vec<_> = gateways.nodes.iter().map(|node| node.address).collect();
    let mut blocks = Vec::new();
    for shell in &mut *open {
        let block = shell.text.take_bytes(BLOCK);
        shell.terminal.send(&block)?;
        blocks.push(block);
    }
    let began = Instant::now();
    gateways.suffer(fault, victim, || {
        for shell in open.iter_mut().filter(|shell| shell.at == victim) {
            shell.at = (shell.at + 1) % addresses.len();
            shell.front.retarget(addresses[shell.at]);
            if fault == Fault::StoodStill {
                shell.front.cut(); // a client waits for long for a gateway that is silent
            }
        }
    })?;
    for node in &mut gateways.nodes {
        node.start_if_ended()?;
    }
    for (nth, (shell, block)) in open.iter_mut().zip(blocks).enumerate() {
        let mut got = Vec::with_capacity(block.len());
        let whole = shell.terminal.drain(BACK, |portion| {
            got.extend_from_slice(portion);
            got.len() >= block.len()
        });
        whole.map_err(|error| {
            Trouble::new(format!("shell {nth}: {} of {} bytes: {error}", got.len(), block.len()))
        })?;
        ensure(got == block, || format!("shell {nth}: the bytes that came back differ"))?;
        told.bytes += block.len();
    }
    told.longest = told.longest.max(began.elapsed());
    Ok(())
}

/// Sends a command that appends its round to a file.
fn command(
    gateways: &Gateways,
    device: &Device,
    round: usize,
    executed: &std::path::Path,
    told: &mut Told,
) -> Outcome {
    let script = format!("echo {round} >> {}; sleep 1", executed.display());
    let body = json!({
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [device.id()],
        "Parameters": { "commands": [script] },
    });
    let admin = gateways.admin_at(gateways.nodes[round % gateways.nodes.len()].address);
    // The gateway that schedules commands may just be changing.
    eventually("a command is taken", BACK, || admin.api("AmazonSSM.SendCommand", &body).ok())?;
    told.commands.0 += 1;
    Ok(())
}

/// How many rounds have executed their command; each at most once.
fn executed_once(executed: &PathBuf, rounds: usize) -> Outcome<usize> {
    let text = std::fs::read_to_string(executed).unwrap_or_default();
    let mut times = vec![0; rounds];
    for line in text.lines() {
        let round: usize = line.parse()?;
        *times.get_mut(round).ok_or_else(|| Trouble::new(format!("no such round: {line}")))? += 1;
    }
    ensure(times.iter().all(|times| *times < 2), || format!("executed more than once: {times:?}"))?;
    Ok(times.iter().sum())
}

/// A new session by the command line, and a list by boto3, at any gateway.
fn all_clients_work(
    gateways: &Gateways,
    at: std::net::SocketAddr,
    device: &Device,
    round: usize,
) -> Outcome {
    let (admin, word, mut said) = (gateways.admin_at(at), format!("round{round}"), String::new());
    let words = ["exec", device.id(), "--", "echo", &word];
    let done = eventually("a new session", BACK, || {
        let out = admin.run(&words).ok()?;
        said = String::from_utf8_lossy(&[&*out.stdout, &*out.stderr].concat()).into_owned();
        (out.stdout == format!("{word}\n").as_bytes()).then_some(())
    });
    done.map_err(|error| Trouble::new(format!("{error}: {said}")))?;
    let lines = "pages = boto3.client('ssm').get_paginator('describe_instance_information')\n\
                 print(json.dumps([one['PingStatus'] for page in pages.paginate() \
                 for one in page['InstanceInformationList']]))";
    // A device may dial anew at that moment.
    let mut seen = Value::Null;
    let done = eventually("all devices are online", BACK, || {
        seen = gateways.boto3(at, lines).ok()?;
        let all = seen.as_array().filter(|all| !all.is_empty())?;
        all.iter().all(|one| one == "Online").then_some(())
    });
    done.map_err(|error| Trouble::new(format!("{error}: boto3 sees {seen}")))
}

fn chance(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}
