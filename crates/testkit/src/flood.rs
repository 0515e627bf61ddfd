//! Much output of one session: what it costs both sides, and what is left of it on record.
//!
//! Data flow: `towline exec` of a program that writes without end or sense -> every byte is taken
//! and counted here, none kept -> memory and processor time of agent and gateway meanwhile, and the
//! size of the recording.
//!
//! # Not here
//! - Whether the bytes are the right ones: the tests of bulk output.

use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lab::{Device, Lab};
use crate::recall::newest_session;
use crate::{Outcome, Trouble, eventually, facts, trouble::pause};

/// How long a finished recording may take to reach the sink.
const ARRIVES: Duration = Duration::from_secs(120);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flood {
    /// The session.
    pub session: String,
    /// Bytes that arrived.
    pub bytes: u64,
    /// How long that took.
    pub lasted: Duration,
    /// How much the agent grew meanwhile, KiB of resident memory.
    pub agent_grew: u64,
    /// How much the gateway grew meanwhile, KiB of resident memory.
    pub gateway_grew: u64,
    /// Processor time of the agent.
    pub agent_cpu: Duration,
    /// Processor time of the gateway.
    pub gateway_cpu: Duration,
    /// Most bytes that lay in the gateway's evidence folder meanwhile.
    pub staged: u64,
    /// Size of the recording in the sink, bytes.
    pub recorded: u64,
}

/// Resident memory beyond what there was, largest seen; and the largest folder.
struct Peaks {
    agent: u64,
    gateway: u64,
    folder: u64,
}

/// Lets a shell command run on the device and takes all of its output.
///
/// # Errors
/// It fails, or its recording does not reach the sink.
pub fn run(lab: &mut Lab, device: &Device, script: &str) -> Outcome<Flood> {
    let (agent, gateway) = (device.pid()?, lab.gateway.process().pid());
    let home = lab.gateway.directory().join("evidence");
    let before = [facts::memory(agent)?.rss, facts::memory(gateway)?.rss];
    let cpu = [facts::cpu(agent)?, facts::cpu(gateway)?];
    let over = AtomicBool::new(false);
    let start = Instant::now();
    let (bytes, peaks) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peaks = Peaks { agent: before[0], gateway: before[1], folder: 0 };
            while !over.load(Ordering::SeqCst) {
                peaks.agent = peaks.agent.max(facts::memory(agent).map_or(0, |memory| memory.rss));
                peaks.gateway =
                    peaks.gateway.max(facts::memory(gateway).map_or(0, |memory| memory.rss));
                peaks.folder =
                    peaks.folder.max(size(&home.join("staging")) + size(&home.join("outbox")));
                pause(Duration::from_millis(50));
            }
            peaks
        });
        let bytes = take(lab, device, script);
        over.store(true, Ordering::SeqCst);
        let peaks = watch.join().map_err(|_| Trouble::new("the watching thread failed"))?;
        Outcome::Ok((bytes?, peaks))
    })?;
    let lasted = start.elapsed();
    let session = newest_session(&lab.admin(), device)?;
    let object = home.join("records").join(format!("{session}.cast.gz"));
    let recorded = eventually("the recording", ARRIVES, || {
        std::fs::metadata(&object).ok().map(|meta| meta.len())
    })?;
    Ok(Flood {
        session,
        bytes,
        lasted,
        agent_grew: peaks.agent.saturating_sub(before[0]),
        gateway_grew: peaks.gateway.saturating_sub(before[1]),
        agent_cpu: facts::cpu(agent)?.saturating_sub(cpu[0]),
        gateway_cpu: facts::cpu(gateway)?.saturating_sub(cpu[1]),
        staged: peaks.folder,
        recorded,
    })
}

/// Runs the script and counts what comes.
fn take(lab: &Lab, device: &Device, script: &str) -> Outcome<u64> {
    let mut command = lab.admin().towline(&["exec", "-n", device.id(), "--", "sh", "-c", script]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let (mut bytes, mut buffer) = (0, vec![0; 256 * 1024]);
    if let Some(mut output) = child.stdout.take() {
        loop {
            match output.read(&mut buffer)? {
                0 => break,
                n => bytes += n as u64,
            }
        }
    }
    let status = child.wait()?;
    if status.success() {
        Ok(bytes)
    } else {
        Err(Trouble::new(format!("{script}: {status} after {bytes} bytes")))
    }
}

/// Bytes of the files in a folder and below it.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
