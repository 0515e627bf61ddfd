//! Evidence under pressure: a full disk, output without end, lines without end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use towline_testkit::flood;
use towline_testkit::lab::{Device, GatewaySetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

use crate::evidence::{recordings, verify_folder};

const PATIENCE: Duration = Duration::from_secs(60);

/// A small disk on a folder; taken away with the test.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(at: &Path, size: &str) -> Outcome<Self> {
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", size, "none"]).arg(at).status()?;
        ensure(status.success(), || {
            format!("cannot mount a tmpfs on {}: root is needed", at.display())
        })?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A gateway whose evidence lies on a disk of 8 MiB, its sink elsewhere; and a device.
fn on_a_small_disk(settings: &str) -> Outcome<(Lab, Device, SmallDisk)> {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    lab.gateway.kill()?;
    let disk = SmallDisk::mount(&lab.gateway.directory().join("evidence"), "size=8m")?;
    let file = lab.gateway.directory().join("gateway.toml");
    let text = std::fs::read_to_string(&file)?;
    let sink = sink(&lab).display().to_string();
    let settings = format!(
        "[evidence]\nfree_space_floor_mib = 0\nnode = 'small'\ndirectory = '{sink}'\n{settings}"
    );
    files::write(&file, format!("{text}\n{settings}\n"))?;
    lab.gateway.start_again()?;
    device.wait_online(&lab.admin())?;
    Ok((lab, device, disk))
}

fn sink(lab: &Lab) -> PathBuf {
    lab.directory().join("sink")
}

/// Waits until the sink verifies, then says how many gaps it has.
fn gaps(lab: &Lab) -> Outcome<u64> {
    eventually("a sink that verifies", PATIENCE, || {
        let out = verify_folder(lab, &sink(lab), &["-o", "json"])
            .ok()
            .filter(|out| out.status.success())?;
        let told: serde_json::Value = serde_json::from_slice(&out.stdout).ok()?;
        told["Gaps"].as_u64()
    })
}

#[test]
fn a_disk_that_fills_up_marks_a_hole_and_the_session_goes_on() -> Outcome {
    let (lab, device, _disk) = on_a_small_disk("")?;
    let noise = ["exec", "-n", device.id(), "--", "head", "-c", "30000000", "/dev/urandom"];
    let out = lab.admin().run(&noise)?;
    ensure(out.status.success() && out.stdout.len() == 30_000_000, || {
        format!(
            "{} after {} bytes: {}",
            out.status,
            out.stdout.len(),
            String::from_utf8_lossy(&out.stderr)
        )
    })?;
    eventually("the recording in the sink", PATIENCE, || recordings(&sink(&lab)).pop())?;
    ensure(gaps(&lab)? > 0, || "24 MB are missing, and nothing says so".into())?;
    // The disk is free again: what comes now is recorded, and whole.
    eventually("room", PATIENCE, || {
        lab.gateway.logged().contains("there is enough disk space again").then_some(())
    })?;
    lab.admin().text(&["exec", "-n", device.id(), "--", "echo", "again-42"])?;
    eventually("the second recording", PATIENCE, || {
        (recordings(&sink(&lab)).len() == 2).then_some(())
    })?;
    gaps(&lab).map(drop)
}

#[test]
fn where_recording_is_demanded_a_full_disk_ends_the_session_and_says_why() -> Outcome {
    let (lab, device, _disk) = on_a_small_disk("recording = 'demanded'")?;
    let mut endless =
        lab.admin().towline(&["exec", "-n", device.id(), "--", "cat", "/dev/urandom"]);
    let child =
        endless.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn()?;
    let out = towline_testkit::process::finish_child(child, "endless noise", PATIENCE)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("record"), || format!("{}: {said}", out.status))?;
    eventually("the recording in the sink", PATIENCE, || recordings(&sink(&lab)).pop())?;
    gaps(&lab).map(drop)
}

/// What a gateway may grow by while one session is at full speed, KiB: its queues for one client
/// and one link are some 4 MiB, a tape and a block of the recorder as much again; the rest is what
/// an allocator keeps. What grew with the bytes would be ten times as much.
const GATEWAY_GROWTH: u64 = 24 * 1024;
/// The same of an agent: see `bulk.rs`.
const AGENT_GROWTH: u64 = 4 * 1024;

#[test]
fn endless_text_and_noise_cost_bounded_memory_and_disk_and_leave_readable_recordings() -> Outcome {
    let config = "[evidence]\nmax_session_recording_mib = 2\nfree_space_floor_mib = 1\n".to_owned();
    let mut lab = Lab::with(&GatewaySetup { config, ..GatewaySetup::default() })?;
    let device = lab.device()?;
    for (source, bytes) in [("yes", 250_000_000_u64), ("cat /dev/urandom", 250_000_000)] {
        let flood = flood::run(&mut lab, &device, &format!("{source} | head -c {bytes}"))?;
        let told = || format!("{source}: {flood:?}");
        ensure(flood.bytes == bytes, told)?;
        ensure(flood.agent_grew <= AGENT_GROWTH && flood.gateway_grew <= GATEWAY_GROWTH, told)?;
        // A recording ends with the block that reached its limit, and its last words.
        ensure(flood.recorded <= 3 << 20 && flood.staged <= 8 << 20, told)?;
        let text = lab.admin().text(&["export", &flood.session, "--format", "txt"])?;
        ensure(!text.is_empty(), told)?;
        let events = lab.admin().text(&["export", &flood.session])?;
        ensure(events.contains("reached its limit of 2 MiB"), told)?;
    }
    let records = lab.gateway.directory().join("evidence/records");
    eventually("a sink that verifies", PATIENCE, || {
        verify_folder(&lab, &records, &[]).ok().filter(|out| out.status.success())
    })
    .map(drop)
}

#[test]
fn a_session_is_recorded_beyond_the_size_of_a_part_as_one_recording() -> Outcome {
    let config =
        "[evidence]\nmax_recording_mib = 1\nfree_space_floor_mib = 1\ncheckpoint_seconds = 1\n";
    let setup = GatewaySetup { config: config.to_owned(), ..GatewaySetup::default() };
    let lab = Lab::with(&setup)?;
    let device = lab.device()?;
    let noise = "head -c 6000000 /dev/urandom | base64; echo the-last-line";
    let shown = lab.admin().text(&["exec", "-n", device.id(), "--", "sh", "-c", noise])?;
    let records = lab.gateway.directory().join("evidence/records");
    let recording = eventually("the recording", PATIENCE, || recordings(&records).pop())?;
    ensure(std::fs::metadata(&recording)?.len() > 4 << 20, || "it is not beyond its part".into())?;
    let text = lab.admin().text(&["export", &recording.to_string_lossy(), "--format", "txt"])?;
    ensure(text == shown, || format!("{} bytes of {} are recorded", text.len(), shown.len()))?;
    let cast = lab.admin().text(&["export", &recording.to_string_lossy()])?;
    ensure(cast.contains("part 5 of the recording begins"), || "no mark of a part".into())?;
    eventually("a sink that verifies without a gap", PATIENCE, || {
        let out = verify_folder(&lab, &records, &["-o", "json"]).ok()?;
        let told: serde_json::Value = serde_json::from_slice(&out.stdout).ok()?;
        (out.status.success() && told["Gaps"] == 0).then_some(())
    })
}

#[test]
fn a_folder_of_recordings_that_is_not_there_is_told_before_the_session_begins() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    std::fs::remove_dir_all(lab.gateway.directory().join("evidence/staging"))?;
    let out = lab.admin().run(&["exec", "-n", device.id(), "--", "echo", "runs"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(out.status.success() && out.stdout == b"runs\n", || format!("{out:?}"))?;
    let words = "this session is not recorded: the gateway's folder of recordings is not there";
    ensure(said.contains(words), || said.clone())
}

#[test]
fn a_line_of_64_kib_is_recorded_whole_and_harms_nobody() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("stty -echo; PS1=")?;
    shell.line("head -c 65536 /dev/zero | tr '\\0' x; echo; echo do''ne; stty echo")?;
    shell.expect_within("done", PATIENCE)?;
    shell.line("exit 0")?;
    shell.finish(PATIENCE)?;
    let records = lab.gateway.directory().join("evidence/records");
    let recording = eventually("the recording", PATIENCE, || recordings(&records).pop())?;
    let text = lab.admin().text(&["export", &recording.to_string_lossy(), "--format", "txt"])?;
    let longest = text.lines().map(|line| line.matches('x').count()).max().unwrap_or(0);
    ensure(longest >= 65_536, || format!("the longest line has {longest} characters"))?;
    // Each event of the file is a line that any player takes.
    let cast = lab.admin().text(&["export", &recording.to_string_lossy()])?;
    for line in cast.lines() {
        let _: serde_json::Value =
            serde_json::from_str(line).map_err(|e| Trouble::new(format!("{e}: {line:.80}")))?;
    }
    eventually("a sink that verifies", PATIENCE, || {
        verify_folder(&lab, &records, &[]).ok().filter(|out| out.status.success())
    })
    .map(drop)
}
