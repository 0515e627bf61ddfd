//! One virtual machine: how it is started for each class, and its console.
//!
//! # Invariants
//! - Nothing can reach the guest: qemu's user-mode network, no forwarded port.
//! - Dropping the value stops the machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use towline_testkit::terminal::Terminal;
use towline_testkit::{Outcome, Trouble};

/// How long a guest may take to boot: emulated, on a busy machine.
pub(crate) const BOOT: Duration = Duration::from_secs(240);
/// How long a command on the console may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(150);

/// What a class of devices is in qemu.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model {
    /// Our class.
    pub(crate) class: &'static str,
    /// Debian's architecture, and the package that depends on its kernel.
    pub(crate) debian: (&'static str, &'static str),
    program: &'static str,
    machine: &'static [&'static str],
    console: &'static str,
    /// Devices of the guest: `-pci` on a PC, `-device` (a window in memory) on ARM.
    bus: &'static str,
    /// Megabytes of memory.
    memory: u32,
}

/// The classes that are booted.
pub(crate) const MODELS: &[Model] = &[
    Model {
        class: "aarch64",
        debian: ("arm64", "linux-image-arm64"),
        program: "qemu-system-aarch64",
        machine: &["-M", "virt", "-cpu", "cortex-a53"],
        console: "ttyAMA0",
        bus: "device",
        memory: 64,
    },
    Model {
        class: "armv7",
        debian: ("armhf", "linux-image-armmp"),
        program: "qemu-system-arm",
        machine: &["-M", "virt,highmem=off", "-cpu", "cortex-a15"],
        console: "ttyAMA0",
        bus: "device",
        memory: 64,
    },
    Model {
        class: "x86_64",
        debian: ("amd64", "linux-image-amd64"),
        program: "qemu-system-x86_64",
        machine: &["-M", "q35", "-cpu", "qemu64"],
        console: "ttyS0",
        bus: "pci",
        memory: 128,
    },
];

/// Classes whose program runs in the machine of another class, too: a kernel of its own is not to
/// be had.
const RUN_BY: &[(&str, &str)] = &[("armv6", "armv7"), ("armel", "armv7"), ("i686", "x86_64")];

/// Modules that a guest needs: its bus, network, disk, file system, bad network.
pub(crate) const MODULES: &[&str] = &[
    "virtio_mmio",
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "crc32c_generic",
    "ext4",
    "sch_netem",
];

/// What a machine is started with.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// The kernel.
    pub(crate) kernel: PathBuf,
    /// The initramfs.
    pub(crate) initramfs: PathBuf,
    /// Its one disk.
    pub(crate) disk: PathBuf,
    /// More words for the kernel.
    pub(crate) words: String,
    /// What its clock shows at power-on, as qemu's `-rtc base` has it.
    pub(crate) clock: &'static str,
    /// Megabytes of memory, if not the model's.
    pub(crate) memory: Option<u32>,
}

/// A running machine.
#[derive(Debug)]
pub(crate) struct Machine {
    console: Terminal,
    marks: u32,
}

impl Model {
    /// The model of a class.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn of(class: &str) -> Outcome<Self> {
        let known = || MODELS.iter().map(|m| m.class).collect::<Vec<_>>().join(", ");
        let found = MODELS.iter().find(|model| model.class == class).copied();
        found.ok_or_else(|| Trouble::new(format!("no machine for {class}; there are {}", known())))
    }

    /// The machine of another class that runs the program of this one.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn that_runs(class: &str) -> Outcome<Self> {
        let other = RUN_BY.iter().find(|(own, _)| *own == class);
        let known = || RUN_BY.iter().map(|(own, _)| *own).collect::<Vec<_>>().join(", ");
        let unknown =
            || Trouble::new(format!("no other machine runs {class}; one runs {}", known()));
        Self::of(other.ok_or_else(unknown)?.1)
    }

    /// Megabytes of memory.
    pub(crate) const fn memory(&self) -> u32 {
        self.memory
    }

    fn command(&self, parts: &Parts) -> Command {
        let mut command = Command::new(self.program);
        // An interrupt that is typed is the guest's, not qemu's.
        command.args(self.machine).args(["-nographic", "-nodefaults", "-monitor", "none"]);
        command.args(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]);
        command.args(["-m", &parts.memory.unwrap_or(self.memory).to_string(), "-smp", "1"]);
        command.args(["-rtc", &format!("base={}", parts.clock)]);
        command.arg("-kernel").arg(&parts.kernel).arg("-initrd").arg(&parts.initramfs);
        command
            .args(["-append", &format!("console={} quiet panic=1 {}", self.console, parts.words)]);
        command.args(["-netdev", "user,id=net"]);
        let rom = if self.bus == "pci" { ",romfile=" } else { "" };
        command.args(["-device", &format!("virtio-net-{},netdev=net{rom}", self.bus)]);
        command.args([
            "-drive",
            &format!("if=none,id=disk,format=raw,cache=unsafe,file={}", parts.disk.display()),
        ]);
        command.args(["-device", &format!("virtio-blk-{},drive=disk", self.bus)]);
        command
    }

    /// Switches a machine on.
    ///
    /// # Errors
    /// qemu is not there.
    pub(crate) fn start(&self, parts: &Parts) -> Outcome<Machine> {
        Ok(Machine { console: Terminal::start(&self.command(parts), 24, 80)?, marks: 0 })
    }
}

impl Machine {
    /// Waits until the console prints this.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn expect(&mut self, text: &str, within: Duration) -> Outcome<String> {
        self.console.expect_within(text, within)
    }

    /// Types on the console without waiting for an answer.
    ///
    /// # Errors
    /// The machine is gone.
    pub(crate) fn send(&mut self, text: &str) -> Outcome {
        self.console.line(text)
    }

    /// Runs a command line on the console; gives what it printed.
    ///
    /// # Errors
    /// It does not end in time, or fails.
    pub(crate) fn run(&mut self, line: &str) -> Outcome<String> {
        let (text, status) = self.outcome(line, ANSWER)?;
        if status == "0" {
            Ok(text)
        } else {
            Err(Trouble::new(format!("`{line}` gave {status}: {text}")))
        }
    }

    /// Like [`Machine::run`], whatever comes of it: what was printed, and the exit status.
    ///
    /// # Errors
    /// It does not end in time.
    pub(crate) fn outcome(&mut self, line: &str, within: Duration) -> Outcome<(String, String)> {
        self.marks += 1;
        // The marks stand in the line in two parts each, so that an echo of the line is no mark.
        let number = self.marks;
        self.console.line(&format!("echo B''EGIN{number}; {line}; echo E''ND{number}=$?."))?;
        self.console.expect_within(&format!("BEGIN{number}"), within)?;
        let text = self.console.expect_within(&format!("END{number}="), within)?;
        let status = self.console.expect_within(".", within)?;
        Ok((text.replace('\r', "").trim().to_owned(), status))
    }

    /// A number that stands after a word in a file of the guest, such as `VmRSS:`.
    ///
    /// # Errors
    /// It does not stand there.
    pub(crate) fn number(&mut self, file: &str, word: &str) -> Outcome<u64> {
        let text = self.run(&format!("cat {file}"))?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix(word));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| Trouble::new(format!("{file} has no {word}: {text}")))
    }
}

/// Makes a disk of so many megabytes with an ext4 file system that holds a directory's files.
///
/// # Errors
/// mke2fs is not there, or the directory does not fit.
pub(crate) fn disk(path: &Path, megabytes: u32, content: &Path) -> Outcome {
    let mut mke2fs = Command::new(crate::run::find("mke2fs").unwrap_or_else(|| "mke2fs".into()));
    mke2fs.args(["-q", "-F", "-t", "ext4", "-O", "^metadata_csum,^64bit", "-m", "0", "-d"]);
    mke2fs.arg(content).arg(path).arg(format!("{megabytes}M"));
    crate::run::checked(mke2fs)
}
