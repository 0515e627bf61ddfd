//! The measurements of a budget.

use std::time::Duration;

use towline_testkit::lab::{Device, Lab};
use towline_testkit::terminal::Terminal;
use towline_testkit::trouble::pause;
use towline_testkit::{Outcome, facts};

use super::{Figure, GatewayPromise, Promise};
use crate::{console, real_fleet};

/// Span over which idleness is measured.
pub(super) const IDLE: Duration = Duration::from_secs(120);
/// Time for memory to settle after something was opened.
const SETTLE: Duration = Duration::from_secs(2);
/// Most shells of one device (the agent's default).
const SHELLS: usize = 8;

/// Measures everything.
pub(super) fn all(promise: &Promise) -> Outcome<Vec<Figure>> {
    let lab = Lab::start()?;
    let mut figures = vec![binary(&lab, promise)?];
    let device = lab.device()?;
    console::step(&format!("the agent, idle for {} s", IDLE.as_secs()));
    figures.extend(idle(&device, promise)?);
    console::step(&format!("the agent with 1 and with {SHELLS} shells"));
    figures.push(shells(&lab, &device, promise)?);
    drop(device);
    console::step("the gateway with thousands of devices");
    figures.push(gateway(&promise.gateway)?);
    Ok(figures)
}

fn binary(lab: &Lab, promise: &Promise) -> Outcome<Figure> {
    let found = std::fs::metadata(&lab.programs.agent)?.len();
    Ok(Figure { what: "agent: binary", unit: "bytes", found, most: promise.agent.binary_bytes })
}

fn idle(device: &Device, promise: &Promise) -> Outcome<Vec<Figure>> {
    let pid = device.pid()?;
    pause(SETTLE);
    let (memory, libraries) = (facts::memory(pid)?, facts::library_memory(pid)?);
    console::line(&format!(
        "agent: RSS {} KiB, of these {libraries} KiB of shared libraries",
        memory.rss
    ));
    let (wake_ups, count) = (facts::wake_ups(pid)?, device.relay.count());
    pause(IDLE);
    let wake_ups = facts::wake_ups(pid)? - wake_ups;
    let later = device.relay.count();
    let bytes = (later.up + later.down) - (count.up + count.down);
    let agent = &promise.agent;
    Ok(vec![
        Figure {
            what: "agent: RSS, idle, its own",
            unit: "KiB",
            found: memory.rss - libraries,
            most: agent.idle_rss_kib,
        },
        Figure {
            what: "agent: of these anonymous",
            unit: "KiB",
            found: memory.anonymous,
            most: agent.idle_anonymous_kib,
        },
        Figure {
            what: "agent: threads",
            unit: "",
            found: facts::threads(pid)?,
            most: agent.threads,
        },
        Figure {
            what: "agent: wake-ups in 120 s",
            unit: "",
            found: wake_ups,
            most: agent.idle_wake_ups,
        },
        Figure {
            what: "agent: idle bytes in 120 s",
            unit: "bytes",
            found: bytes,
            most: agent.idle_bytes,
        },
    ])
}

fn shells(lab: &Lab, device: &Device, promise: &Promise) -> Outcome<Figure> {
    let (admin, pid) = (lab.admin(), device.pid()?);
    let open = || -> Outcome<Terminal> {
        let mut shell = admin.shell(device.id())?;
        shell.line("echo sum-$((6 * 7))")?;
        shell.expect("sum-42")?;
        Ok(shell)
    };
    let mut shells = vec![open()?];
    pause(SETTLE);
    let with_one = facts::memory(pid)?;
    while shells.len() < SHELLS {
        shells.push(open()?);
    }
    pause(SETTLE);
    let with_all = facts::memory(pid)?;
    console::line(&format!(
        "agent: RSS with 1 shell {} KiB, with {SHELLS} shells {} KiB",
        with_one.rss, with_all.rss
    ));
    let found = with_all.rss.saturating_sub(with_one.rss).div_ceil(SHELLS as u64 - 1);
    Ok(Figure {
        what: "agent: RSS of a further shell",
        unit: "KiB",
        found,
        most: promise.agent.per_shell_kib,
    })
}

fn gateway(promise: &GatewayPromise) -> Outcome<Figure> {
    let found = real_fleet::further_device()?;
    console::line(&format!("gateway: {found:.2} KiB for a further device"));
    Ok(Figure {
        what: "gateway: memory of a further idle device",
        unit: "KiB",
        found: found.ceil() as u64,
        most: promise.per_device_kib,
    })
}
