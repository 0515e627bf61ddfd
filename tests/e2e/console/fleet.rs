//! The pages of devices, enrollment, Run Command and files in Chromium: two devices, one that is
//! enrolled by the line of the page, and a large file in both directions.
//!
//! `TOWLINE_LARGE_MB` says how large the file is; 64 MB unless it is set.
//!
//! Data flow: a lab -> `story_fleet.js` -> what it asks for is done here: a device is enrolled by
//! the activation of the page, files are compared, the way to the gateway is cut.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

use towline_testkit::lab::{Activation, Device, DeviceSetup, Lab};
use towline_testkit::relay::Relay;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, files};

use super::{browser, perform, serve_console_at};
use towline_testkit::lab::programs::workspace;

/// MB of the large file: more than a page may hold.
const LARGE: usize = 64;

#[test]
fn a_person_administers_devices_runs_commands_and_copies_files_in_a_browser() -> Outcome {
    let mut lab = Lab::start()?;
    let relay = Relay::to(lab.gateway.address())?;
    let origin = format!("https://{}", relay.address());
    serve_console_at(&mut lab, &origin)?;
    let tagged = |name: &str| DeviceSetup {
        name: Some(name.into()),
        tags: vec![("site".into(), "seoul".into())],
        ..DeviceSetup::default()
    };
    let (door, gate) = (lab.device_with(&tagged("door"))?, lab.device_with(&tagged("gate"))?);
    let shared = lab.directory().join("shared");
    std::fs::create_dir_all(shared.join("there"))?;
    let large = std::env::var("TOWLINE_LARGE_MB").ok().and_then(|mb| mb.parse().ok());
    let large = large.unwrap_or(LARGE) * 1_000_000;
    write_content(&shared.join("large.bin"), large)?;
    std::fs::create_dir_all(shared.join("tree/inner"))?;
    files::write(&shared.join("tree/a.txt"), "a\n")?;
    files::write(&shared.join("tree/inner/empty"), "")?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_fleet.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_SHARED", &shared);
    command.env("TOWLINE_DEVICE", door.id()).env("TOWLINE_OTHER", gate.id());
    command.env("TOWLINE_LARGE", large.to_string());
    let mut third: Option<Device> = None;
    perform(command, |what| match what.split(' ').collect::<Vec<_>>()[..] {
        ["enroll", id, code] => {
            let mut device = lab.unenrolled(&DeviceSetup {
                name: Some("third".into()),
                ..DeviceSetup::default()
            })?;
            device.enroll(&Activation { id: id.into(), code: code.into() })?;
            device.start()?;
            third = Some(device);
            Ok(())
        }
        ["online"] => {
            let device = third.as_ref().ok_or_else(|| Trouble::new("no third device"))?;
            device.wait_online(&lab.admin())
        }
        ["same", one, two] => same(&shared, one, two),
        ["cut"] => {
            relay.cut();
            Ok(())
        }
        _ => Err(Trouble::new(format!("the browser asks for {what}"))),
    })?;
    let log = lab.gateway.logged();
    for name in ["RenameDevice", "AddTagsToResource", "CreateActivation", "SendCommand"] {
        let event = format!("\"eventName\":\"{name}\"");
        let by_console = |line: &str| {
            line.contains(&event)
                && line.contains("\"proof\":\"cookie\"")
                && !line.contains("errorCode")
        };
        ensure(log.lines().any(by_console), || format!("no audit line of {name} by a cookie"))?;
    }
    Ok(())
}

/// Writes content that does not repeat within a piece of a copy.
fn write_content(path: &Path, length: usize) -> Outcome {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut file = BufWriter::new(File::create(path)?);
    for _ in 0..length / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes())?;
    }
    file.write_all(&state.to_le_bytes()[..length % 8])?;
    Ok(file.flush()?)
}

/// Whether two files have the same bytes.
fn same(folder: &Path, one: &str, two: &str) -> Outcome {
    let open = |name: &str| -> Outcome<BufReader<File>> {
        let path = folder.join(name);
        let file = File::open(&path);
        let file = file.map_err(|error| Trouble::new(format!("{}: {error}", path.display())))?;
        Ok(BufReader::with_capacity(1 << 20, file))
    };
    let (mut left, mut right) = (open(one)?, open(two)?);
    loop {
        let (a, b) = (left.fill_buf()?, right.fill_buf()?);
        let length = a.len().min(b.len());
        let alike = a.get(..length) == b.get(..length) && a.is_empty() == b.is_empty();
        ensure(alike, || format!("{one} and {two} differ"))?;
        if length == 0 {
            return Ok(());
        }
        left.consume(length);
        right.consume(length);
    }
}
