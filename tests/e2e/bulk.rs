//! Much output: it arrives whole, it does not grow the agent, and it does not hold up a keystroke.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use towline_testkit::lab::{Device, Lab};
use towline_testkit::terminal::Terminal;
use towline_testkit::text::Text;
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, eventually, facts, files};

/// What a whole transfer moves, bytes.
const SIZE: usize = 200_000_000;
/// How long that may take on a slow machine.
const LIMIT: Duration = Duration::from_secs(180);
/// What an agent may have on top of its idle memory while one session is at full speed, KiB: all
/// replay rings together may have 4 MiB (the agent's `limits.rs`), one ring and its predecessor
/// while it grows 1.5 MiB, buffers 64 KiB each.
const MOST_GROWTH: u64 = 4_096;
/// How much larger the second half of a transfer may find the agent than the first half did, KiB: a
/// replay ring that is doubled late holds its old and its new self for a moment (0.5 + 1 MiB). What
/// grew with the bytes would be 100 MB.
const FLAT: u64 = 1_536;

/// What may be on its way between a program on the device and the screen, bytes: the largest replay
/// ring (1 MiB), what the gateway has for a client, and what three sockets and two terminals hold.
/// Endless output would be any number.
const MOST_ON_THE_WAY: u64 = 16 << 20;
/// So many looks in a row, milliseconds apart, that find a writer asleep at the same byte: it
/// stands still.
const STILL: u32 = 100;

fn raw_cat(lab: &Lab, device: &Device, file: &std::path::Path) -> Outcome<Terminal> {
    let mut shell = lab.admin().shell(device.id())?;
    shell.line(&format!(
        "stty raw -echo; printf 'RE''ADY'; cat {}; printf 'DO''NE'",
        file.display()
    ))?;
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
    ensure(second <= first + FLAT, || {
        format!("the agent had {first} KiB in the first half, then {second} KiB")
    })?;
    ensure(second <= before + MOST_GROWTH, || {
        format!("the agent grew from {before} KiB to {second} KiB")
    })
}

/// What the marked writer on the device has written so far, bytes; and whether it sleeps, which
/// `yes` does only when nobody takes what it writes.
fn writer(mark: &str) -> Outcome<(u64, bool)> {
    let all = facts::with_environment(mark);
    let pid = all
        .iter()
        .find(|pid| std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"yes\n"));
    let pid = pid.ok_or_else(|| Trouble::new("the writer does not run"))?;
    Ok((facts::written(*pid)?, facts::sleeps(*pid)?))
}

#[test]
fn a_reader_who_stops_reading_stops_the_writer_and_not_the_agent() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let pid = device.pid()?;
    let mark = format!("TOWLINE_TEST_MARK={}", device.id());
    let mut slow = lab.admin().shell(device.id())?;
    slow.line(&format!("echo begin-$((1 + 1)); {mark} yes"))?;
    slow.expect("begin-2\r\ny\r\ny")?;
    // Nobody reads this terminal from here on.
    let before = facts::memory(pid)?.rss;
    let mut looks = (0, 0);
    let stopped = eventually("the writer stands still", LIMIT, || {
        let (written, sleeps) = writer(&mark).ok()?;
        looks = if sleeps && looks.0 == written { (written, looks.1 + 1) } else { (written, 0) };
        (looks.1 >= STILL).then_some(written)
    })?;
    let mut other = lab.admin().shell(device.id())?;
    for number in 0..20 {
        other.line(&format!("echo is-$(({number} + 1))"))?;
        other.expect(&format!("is-{}", number + 1))?;
    }
    let after = facts::memory(pid)?.rss;
    ensure(after <= before + MOST_GROWTH, || {
        format!("the agent grew from {before} KiB to {after} KiB")
    })?;
    let (written, _) = writer(&mark)?;
    ensure(written <= stopped + MOST_ON_THE_WAY, || {
        format!("the writer went on from {stopped} to {written} bytes")
    })
}

#[test]
fn control_c_overtakes_endless_output() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("PS1='pro''mpt> '; echo begin-$((1 + 1)); yes; echo end-$((6 * 7))")?;
    shell.expect("begin-2")?;
    shell.expect("y\r\ny\r\ny")?;
    shell.send("\u{3}")?;
    // Bytes, not seconds: those depend on the machine. `yes` would have filled any number of them.
    let (mut bytes, mut tail) = (0, Vec::new());
    shell.drain(LIMIT, |portion| {
        bytes += portion.len() as u64;
        tail.extend_from_slice(portion);
        let found = String::from_utf8_lossy(&tail).contains("prompt> ");
        tail.drain(..tail.len().saturating_sub(16));
        found
    })?;
    ensure(bytes <= MOST_ON_THE_WAY, || format!("{bytes} bytes came before the key took effect"))
}
