//! Much output: it arrives whole, it does not grow the agent, and it does not hold up a keystroke.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use towline_testkit::lab::{Device, Lab};
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::text::Text;
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, facts, files};

/// What a whole transfer moves, bytes.
const SIZE: usize = 200_000_000;
/// How long that may take on a slow machine.
const LIMIT: Duration = Duration::from_secs(180);
/// What an agent may have on top of its idle memory while one session is at full speed, KiB: all replay rings together may
/// have 4 MiB (the agent's `limits.rs`), one ring and its predecessor while it grows 1.5 MiB, buffers 64 KiB each.
const MOST_GROWTH: u64 = 4_096;
/// How much larger the second half of a transfer may find the agent than the first half did, KiB: a replay ring that is
/// doubled late holds its old and its new self for a moment (0.5 + 1 MiB). What grew with the bytes would be 100 MB.
const FLAT: u64 = 1_536;

fn raw_cat(lab: &Lab, device: &Device, file: &std::path::Path) -> Outcome<Terminal> {
    let mut shell = lab.admin().shell(device.id())?;
    shell.line(&format!("stty raw -echo; printf 'RE''ADY'; cat {}; printf 'DO''NE'", file.display()))?;
    shell.expect("READY")?;
    Ok(shell)
}

/// Largest resident memory of a process while `work` runs, KiB; looked at every few milliseconds.
fn peak_during(pid: u32, work: impl FnOnce() -> Outcome) -> Outcome<u64> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = 0;
            while !over.load(Ordering::SeqCst) {
                peak = peak.max(facts::memory(pid).map_or(0, |memory| memory.rss));
                pause(Duration::from_millis(20));
            }
            peak
        });
        let outcome = work();
        over.store(true, Ordering::SeqCst);
        let peak = watch.join().map_err(|_| Trouble::new("the watching thread failed"))?;
        outcome.map(|()| peak)
    })
}

#[test]
fn two_hundred_megabytes_arrive_whole_and_leave_the_agent_small_alone() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let file = lab.directory().join("text");
    files::write(&file, Text::new(5).take_bytes(SIZE))?;
    let pid = device.pid()?;
    let before = facts::memory(pid)?.rss;
    let mut shell = raw_cat(&lab, &device, &file)?;
    let mut expected = Text::new(5);
    let (mut right, mut wrong) = (0, None);
    let mut until = |end: usize| {
        peak_during(pid, || {
            shell.drain(LIMIT, |portion| {
                let portion = &portion[..portion.len().min(SIZE - right)];
                if expected.take_bytes(portion.len()) != portion {
                    wrong = wrong.or(Some(right));
                }
                right += portion.len();
                right >= end
            })
        })
    };
    let (first, second) = (until(SIZE / 2)?, until(SIZE)?);
    ensure(wrong.is_none(), || format!("it differs near byte {wrong:?}"))?;
    ensure(second <= first + FLAT, || format!("the agent had {first} KiB in the first half, then {second} KiB"))?;
    ensure(second <= before + MOST_GROWTH, || format!("the agent grew from {before} KiB to {second} KiB"))
}

#[test]
fn a_reader_who_stops_reading_stops_the_writer_and_not_the_agent() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let pid = device.pid()?;
    let mut slow = lab.admin().shell(device.id())?;
    slow.line("echo begin-$((1 + 1)); yes")?;
    slow.expect("begin-2")?;
    // Nobody reads this terminal from here on.
    let before = facts::memory(pid)?.rss;
    let mut other = lab.admin().shell(device.id())?;
    for number in 0..20 {
        other.line(&format!("echo is-$(({number} + 1))"))?;
        other.expect(&format!("is-{}", number + 1))?;
    }
    let after = facts::memory(pid)?.rss;
    ensure(after <= before + MOST_GROWTH, || format!("the agent grew from {before} KiB to {after} KiB"))
}

#[test]
fn control_c_ends_endless_output_within_a_second_or_two() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo begin-$((1 + 1)); yes; echo end-$((6 * 7))")?;
    shell.expect("begin-2")?;
    shell.expect("y\r\ny\r\ny")?;
    shell.send("\u{3}")?;
    let pressed = Instant::now();
    let mut tail = Vec::new();
    shell.drain(PATIENCE, |portion| {
        tail.extend_from_slice(portion);
        let found = String::from_utf8_lossy(&tail).contains("# ") || String::from_utf8_lossy(&tail).contains("$ ");
        tail.drain(..tail.len().saturating_sub(16));
        found
    })?;
    ensure(pressed.elapsed() < Duration::from_secs(3), || format!("it took {:?}", pressed.elapsed()))
}
