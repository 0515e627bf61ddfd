//! A run in which links are cut at both ends of running shells, and every byte is compared.
//!
//! Data flow: text -> a shell that is an echo -> the same text, while the device's link or the
//! operator's connection is cut among its bytes.
//!
//! # Invariants
//! - Each cut falls at another byte; its place comes from the number of the cut.
//! - Shells run beside each other, each with a device and relays of its own.

use std::process::Command;
use std::time::Duration;

use crate::lab::{Device, Lab, Operator};
use crate::relay::Relay;
use crate::terminal::Terminal;
use crate::text::Text;
use crate::trouble::ensure;
use crate::{Outcome, Trouble, interrupt};

/// Shells that run beside each other.
pub const SHELLS: usize = 12;
/// Bytes that are sent and come back around each cut.
const BLOCK: usize = 4_000;
/// How long bytes may take when a link has to come back in between.
const BACK: Duration = Duration::from_secs(60);

/// What a run was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cuts {
    /// Cuts of devices' links.
    pub of_devices: u64,
    /// Cuts of operators' connections.
    pub of_operators: u64,
    /// Links and connections that were made, without the first of each.
    pub made_again: u64,
    /// Bytes that were sent, came back, and were compared.
    pub bytes: u64,
}

/// Cuts `number` links, at both ends in turn.
///
/// # Errors
/// A byte was lost, doubled or changed; or a link did not come back.
pub fn run(lab: &Lab, number: u64) -> Outcome<Cuts> {
    let shells = u64::try_from(SHELLS)?;
    let mut stories = Vec::new();
    for shell in 0..shells {
        let cuts = number / shells + u64::from(shell < number % shells);
        let relay = Relay::to(lab.gateway.address())?;
        stories.push((Story::open(lab, lab.device()?, relay, shell)?, cuts));
    }
    let told: Vec<Result<Cuts, String>> = std::thread::scope(|scope| {
        let running: Vec<_> = stories
            .into_iter()
            .map(|(story, cuts)| scope.spawn(move || story.tell(cuts).map_err(|e| e.to_string())))
            .collect();
        let join = |story: std::thread::ScopedJoinHandle<'_, Result<Cuts, String>>| {
            story.join().unwrap_or_else(|_| Err("a shell's thread ended".to_owned()))
        };
        running.into_iter().map(join).collect()
    });
    let mut all = Cuts::default();
    for one in told {
        let one = one.map_err(Trouble::new)?;
        all.of_devices += one.of_devices;
        all.of_operators += one.of_operators;
        all.made_again += one.made_again;
        all.bytes += one.bytes;
    }
    Ok(all)
}

/// Opens a shell and makes it an echo. What the command line says about its connection goes to
/// stderr, and that away.
///
/// # Errors
/// The shell does not open.
pub fn echo(operator: &Operator, device: &Device) -> Outcome<Terminal> {
    let towline = operator.towline(&[]);
    let mut quiet = operator.equip(Command::new("sh"));
    quiet
        .args(["-c", "exec \"$0\" \"$@\" 2>/dev/null"])
        .arg(towline.get_program())
        .args(["shell", device.id()]);
    let mut shell = Terminal::start(&quiet, 24, 80)?;
    shell.line("stty raw -echo; printf 'RE''ADY'; exec cat")?;
    shell.expect("READY")?;
    Ok(shell)
}

/// One shell with its device and its relays.
struct Story {
    device: Device,
    relay: Relay,
    shell: Terminal,
    text: Text,
    number: u64,
}

impl Story {
    fn open(lab: &Lab, device: Device, relay: Relay, number: u64) -> Outcome<Self> {
        let operator = lab.admin().at(format!("https://{}", relay.address()));
        let shell = echo(&operator, &device)?;
        Ok(Self { device, relay, shell, text: Text::new(number + 1), number })
    }

    fn tell(mut self, cuts: u64) -> Outcome<Cuts> {
        let made =
            |story: &Self| story.device.relay.count().connections + story.relay.count().connections;
        let (mut told, before) = (Cuts::default(), made(&self));
        for cut in 1..=cuts {
            interrupt::check()?;
            let place = 1 + (cut * 5_417 + self.number * 977) % (2 * BLOCK as u64);
            if cut % 2 == 0 {
                self.device.relay.cut_after(place);
                told.of_devices += 1;
            } else {
                self.relay.cut_after(place);
                told.of_operators += 1;
            }
            let block = self.text.take_bytes(BLOCK);
            self.shell.send(&block)?;
            self.compare(&block, cut)?;
            told.bytes += BLOCK as u64;
        }
        told.made_again = made(&self) - before;
        Ok(told)
    }

    fn compare(&mut self, block: &[u8], cut: u64) -> Outcome {
        let mut got = Vec::with_capacity(block.len());
        let whole = self.shell.drain(BACK, |portion| {
            got.extend_from_slice(portion);
            got.len() >= block.len()
        });
        let story = || format!("shell {}, cut {cut}", self.number);
        whole.map_err(|e| {
            Trouble::new(format!("{}: {} of {} bytes: {e}", story(), got.len(), block.len()))
        })?;
        ensure(got == block, || format!("{}: the bytes that came back differ", story()))
    }
}
