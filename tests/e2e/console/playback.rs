//! Recordings in the console: a long one that is found without an index, indexed by the command of
//! the gateway and played from any moment; one whose session goes on.
//!
//! `TOWLINE_RECORDING_MIB` says how long it is; 24 MiB of lines unless it is set.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use towline_evidence::cast::{Facts, Header};
use towline_evidence::recording::{Lane, Recording};
use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, machine, process};

use super::{browser, perform, serve_console_at};

const SESSION: &str = "admin-0123456789abcdefg";
/// Output of one moment, a hundredth of a second.
const LINES: usize = 40;
const PATIENCE: Duration = Duration::from_secs(900);

#[test]
fn a_long_recording_is_played_from_any_moment() -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let mib = std::env::var("TOWLINE_RECORDING_MIB").ok().and_then(|mib| mib.parse().ok());
    let records = lab.gateway.directory().join("evidence/records");
    let mib = mib.unwrap_or(24);
    let moments = record(&records.join(format!("{SESSION}.cast.gz")), mib)?;
    let mut index = Command::new(lab.gateway.program());
    machine::forget(&mut index);
    index.arg("index-recordings").arg("--dir").arg(lab.gateway.directory());
    let said = process::finish(index, PATIENCE)?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    ensure(text.starts_with("1 recordings"), || format!("index-recordings said {text}"))?;
    let (made, began) = (records.join(format!("{SESSION}.cast.index")), Instant::now());
    while !made.exists() {
        ensure(began.elapsed() < PATIENCE, || "no index was made".into())?;
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let length = std::fs::metadata(&made)?.len();
    eprintln!("index of {length} bytes after {} ms", began.elapsed().as_millis());
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_playback.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_SESSION", SESSION);
    command.env("TOWLINE_MOMENTS", moments.to_string()).env("TOWLINE_MIB", mib.to_string());
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))
}

#[test]
fn a_recording_that_goes_on_is_played_from_any_moment_and_grows_in_the_page() -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_growing.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))
}

/// Writes a recording of so many MiB of output; moment `n` is at `n` hundredths of a second.
/// Returns the number of moments.
fn record(path: &Path, mib: u64) -> Outcome<u64> {
    let facts = Facts { session: SESSION.into(), ..Facts::default() };
    let header = Header {
        version: 2,
        width: 80,
        height: 24,
        timestamp: 1_700_000_000,
        title: String::new(),
        env: Default::default(),
        towline: Some(facts),
    };
    // Not the same words everywhere, as output of programs is not.
    let word = |n: u64| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let words: Vec<String> = (0..65_521).map(word).collect();
    let mut words = words.iter().cycle();
    let mut recording = Recording::start(SESSION, &header);
    let mut file = BufWriter::new(File::create(path)?);
    let (mut position, mut moment) = (0, 0);
    while position < mib << 20 {
        let at = moment * 10_000;
        if moment % 5000 == 0 {
            recording.marker(at, &format!("$ program-{moment}"));
        }
        let mut text = String::new();
        let end = format!(" moment-{moment}\x1b[0m\r\n");
        for (colour, word) in ["\x1b[30m", "\x1b[31m", "\x1b[32m", "\x1b[34m"]
            .into_iter()
            .cycle()
            .zip(&mut words)
            .take(LINES)
        {
            text.push_str(colour);
            text.push_str(word);
            text.push_str(&end);
        }
        text.push_str(&format!("\x1b[2K<img src=x onerror=window.pwned=1> now-{moment}-\r"));
        recording.output(at, Lane::Io, position, text.as_bytes(), "");
        position += text.len() as u64;
        moment += 1;
        if recording.waiting() > 128 * 1024 {
            pack(&mut file, &recording.take(at))?;
        }
    }
    recording.end(moment * 10_000, "the program ended");
    pack(&mut file, &recording.take(moment * 10_000))?;
    file.flush()?;
    Ok(moment)
}

/// One block, with the header that the gateway's compressor writes.
fn pack(file: &mut impl std::io::Write, block: &[u8]) -> Outcome {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(block)?;
    let mut member = packer.finish()?;
    let end = member.get_mut(8..10).ok_or_else(|| Trouble::new("no gzip header"))?;
    end.copy_from_slice(&[4, 255]);
    Ok(file.write_all(&member)?)
}
