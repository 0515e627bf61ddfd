//! The measurements of a budget.

use std::time::Duration;

use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::terminal::Terminal;
use towline_testkit::trouble::pause;
use towline_testkit::{Outcome, facts};

use super::{Figure, Promise};
use crate::console;

/// Span over which idleness is measured.
pub(super) const IDLE: Duration = Duration::from_secs(120);
/// Time for memory to settle after something was opened.
const SETTLE: Duration = Duration::from_secs(2);
/// Devices that connect between two readings of the gateway's memory.
const DEVICES_A_STEP: usize = 250;
/// Readings: after 250, 500, … devices.
const READINGS: usize = 6;
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
    console::step(&format!(
        "the gateway with {DEVICES_A_STEP} to {} devices",
        DEVICES_A_STEP * READINGS
    ));
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

fn gateway(promise: &super::GatewayPromise) -> Outcome<Figure> {
    let mut lab = Lab::start()?;
    let admin = lab.admin();
    // All are enrolled first: what the store keeps of a device is not what its link costs.
    let mut devices = enroll(&lab, DEVICES_A_STEP * READINGS)?;
    let pid = lab.gateway.process().pid();
    let mut readings = Vec::with_capacity(READINGS);
    for step in devices.chunks_mut(DEVICES_A_STEP) {
        step.iter_mut().try_for_each(Device::start)?;
        step.iter().try_for_each(|device| device.wait_online(&admin))?;
        pause(SETTLE);
        readings.push(facts::memory(pid)?.rss);
    }
    let bytes = growth(&readings) * 1024.0 / DEVICES_A_STEP as f64;
    console::line(&format!("gateway: RSS {readings:?} KiB, {bytes:.0} bytes a device"));
    Ok(Figure {
        what: "gateway: RSS of a further idle device",
        unit: "KiB",
        found: (bytes / 1024.0).ceil() as u64,
        most: promise.per_device_kib,
    })
}

/// Growth from one reading to the next, KiB: the mean of the steps without the smallest and the
/// largest. What is allocated once, such as the cache of one more connection to the store, is one
/// step's growth, whenever it comes, and is left out. The difference of two readings varied by a
/// third for that reason.
pub(crate) fn growth(readings: &[u64]) -> f64 {
    let mut steps: Vec<f64> =
        readings.windows(2).map(|pair| pair[1] as f64 - pair[0] as f64).collect();
    steps.sort_by(f64::total_cmp);
    let kept = steps.get(1..steps.len().saturating_sub(1)).unwrap_or_default();
    kept.iter().sum::<f64>() / kept.len().max(1) as f64
}

/// Real agents: what they cost the gateway is what a device costs it.
fn enroll(lab: &Lab, number: usize) -> Outcome<Vec<Device>> {
    let setup =
        DeviceSetup { direct: Some(lab.gateway.address().to_string()), ..DeviceSetup::default() };
    (0..number).map(|_| lab.enrolled(&setup)).collect()
}

#[cfg(test)]
mod tests {
    use super::growth;

    #[test]
    fn an_allocation_that_is_made_once_is_no_growth() {
        let steady = [22_800, 25_640, 28_480, 31_320, 34_160, 37_000];
        assert_eq!(growth(&steady), 2_840.0);
        for at in 1..steady.len() {
            let mut jumped = steady;
            jumped[at..].iter_mut().for_each(|reading| *reading += 2_048);
            assert_eq!(growth(&jumped), 2_840.0, "the jump is before reading {at}");
        }
    }
}
