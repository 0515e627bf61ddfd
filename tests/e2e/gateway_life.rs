//! The gateway's own life: a disk that fills up, and balancers that ask for its health.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use towline_testkit::lab::Lab;
use towline_testkit::process::{Running, Signal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, files, https};

use crate::evidence_faults::SmallDisk;

const PATIENCE: Duration = Duration::from_secs(60);

/// A stopped gateway whose whole directory lies on a disk of 24 MiB.
fn on_a_small_disk() -> Outcome<(Lab, SmallDisk)> {
    let mut lab = Lab::start()?;
    lab.gateway.process().stop()?;
    let home = lab.gateway.directory().to_owned();
    let saved = home.with_extension("saved");
    let copy = |from: &Path, to: &Path| {
        let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status()?;
        ensure(status.success(), || format!("cannot copy to {}", to.display()))
    };
    std::fs::create_dir(&saved)?;
    copy(&home, &saved)?;
    let disk = SmallDisk::mount(&home, "size=24m,mode=0700")?;
    copy(&saved, &home)?;
    let config = home.join("gateway.toml");
    let text = std::fs::read_to_string(&config)?;
    files::write(&config, format!("{text}\n[evidence]\nfree_space_floor_mib = 0\n"))?;
    Ok((lab, disk))
}

/// Takes all the room there is, until it is dropped.
struct Filler(PathBuf);

impl Filler {
    fn fill(home: &Path) -> Outcome<Self> {
        let path = home.join("filler");
        let mut file = std::fs::File::create(&path)?;
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(Self(path))
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a balancer gets on the main port.
pub(crate) fn status(lab: &Lab, path: &str) -> Option<u16> {
    let host = lab.gateway.address().to_string();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = https::exchange(&host, lab.gateway.ca(), None, request.as_bytes()).ok()?;
    Some(answer.status)
}

#[test]
fn a_disk_that_was_full_once_stops_writes_only_while_it_is_full() -> Outcome {
    let (mut lab, _disk) = on_a_small_disk()?;
    lab.gateway.start_again()?;
    lab.activation(1)?;
    ensure(status(&lab, "/readyz") == Some(200), || "not ready on a disk with room".into())?;

    let filler = Filler::fill(lab.gateway.directory())?;
    eventually("a write that the disk refuses", PATIENCE, || lab.activation(1).err())?;
    eventually("not ready", PATIENCE, || {
        lab.activation(1).is_err().then_some(())?;
        (status(&lab, "/readyz") == Some(503)).then_some(())
    })?;
    ensure(status(&lab, "/healthz") == Some(200), || "alive is not the same as ready".into())?;

    drop(filler);
    eventually("a write after there was room again", PATIENCE, || lab.activation(1).ok())?;
    for _ in 0..12 {
        lab.activation(1)?; // on each connection of the store
    }
    eventually("ready again", PATIENCE, || (status(&lab, "/readyz") == Some(200)).then_some(()))
}

#[test]
fn a_gateway_that_starts_on_a_full_disk_says_so_and_waits_for_room() -> Outcome {
    let (lab, _disk) = on_a_small_disk()?;
    let filler = Filler::fill(lab.gateway.directory())?;
    let mut command = Command::new(&lab.programs.gateway);
    command.args(["serve", "--listen", "127.0.0.1:0", "--dir"]).arg(lab.gateway.directory());
    let log = lab.directory().join("full.log");
    files::log(&log)?;
    let mut running = Running::start("towline-gateway", command, &log)?;
    running.wait_for("it says that the disk is full", 0, PATIENCE, |printed| {
        printed.contains("is full").then_some(())
    })?;
    ensure(!running.printed().contains("listening"), || "it listens on a full disk".into())?;
    // The hook of a renewed certificate tells all gateways, those included that wait.
    running.signal(Signal::HUP)?;
    drop(filler);
    running.wait_for("it listens", 0, PATIENCE, |printed| {
        printed.contains("listening on").then_some(())
    })?;
    running.stop().map(drop)
}

#[test]
fn an_open_shell_keeps_its_link_while_the_disk_is_full_and_its_commands_are_on_record() -> Outcome {
    let (mut lab, _disk) = on_a_small_disk()?;
    lab.gateway.start_again()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo before-$((40+2))")?;
    shell.expect("before-42")?;
    let filler = Filler::fill(lab.gateway.directory())?;
    eventually("a write that the disk refuses", PATIENCE, || lab.activation(1).err())?;
    shell.line("/bin/echo unstored-$((40+2))")?;
    shell.expect("unstored-42")?;
    eventually("its record waits for room", PATIENCE, || {
        lab.gateway.logged().contains("records of the command log wait").then_some(())
    })?;
    shell.line("echo during-$((40+2))")?;
    shell.expect("during-42")?;
    ensure(!lab.gateway.logged().contains("link ended"), || "the link was closed".into())?;
    drop(filler);
    let body = json!({ "State": "Active" });
    let sessions = lab.admin().api("AmazonSSM.DescribeSessions", &body)?;
    let id = sessions["Sessions"][0]["SessionId"].as_str().unwrap_or_default();
    eventually("the command is on record", PATIENCE, || {
        let listed = lab.admin().text(&["commands", id]).ok()?;
        listed.contains("unstored-42").then_some(())
    })
}
