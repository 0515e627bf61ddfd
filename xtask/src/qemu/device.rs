//! A small device in a virtual machine, behind a relay, with the agent of the package; and what an
//! operator does with it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use towline_testkit::lab::device::device_id;
use towline_testkit::lab::{GatewaySetup, Lab, Operator};
use towline_testkit::relay::Relay;
use towline_testkit::terminal::Terminal;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

use super::fetch::{self, Guest};
use super::initramfs::Initramfs;
use super::machine::{self, BOOT, Machine, Model, Parts};
use super::modules;
use crate::dist::class::Class;
use crate::package::{Description, Format};

/// How long a guest may take to be connected after it was booted or disturbed.
pub(crate) const CONNECTS: Duration = Duration::from_secs(120);
/// How long an answer through gateway and guest may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(60);
/// Enough for the state, for tc, and small enough to be filled quickly.
const DISK_MB: u32 = 48;

/// A device and the gateway it belongs to.
pub(crate) struct Device {
    /// The machine.
    pub(crate) machine: Machine,
    /// The gateway, on this host.
    pub(crate) lab: Lab,
    /// Between them.
    pub(crate) relay: Relay,
    /// Its name at the gateway.
    pub(crate) id: String,
    // Holds kernel arguments' files until the machine is gone.
    _scratch: tempfile::TempDir,
}

impl Device {
    /// Boots a device of this class with a clock at 1970, and enrolls it from its console.
    ///
    /// # Errors
    /// With what the console said.
    pub(crate) fn enrolled(model: &Model, class: &Class, agent: &Path) -> Outcome<Self> {
        let lab = Lab::with(&GatewaySetup { host: "10.0.2.2".into(), ..GatewaySetup::default() })?;
        let relay = Relay::to(lab.gateway.address())?;
        let scratch = tempfile::Builder::new().prefix("towline-qemu-").tempdir()?;
        let guest = fetch::guest(model.debian.0, model.debian.1)?;
        let parts = parts(&guest, agent, &lab, scratch.path(), class)?;
        let mut machine = model.start(&parts)?;
        machine.expect("device is up:", BOOT)?;
        machine.expect("console>", BOOT)?;
        let mut device = Self { machine, lab, relay, id: String::new(), _scratch: scratch };
        device.enroll()?;
        Ok(device)
    }

    fn enroll(&mut self) -> Outcome {
        let body = serde_json::json!({ "IamRole": "towline", "RegistrationLimit": 1 });
        let made = self.operator().api("AmazonSSM.CreateActivation", &body)?;
        let (id, code) = (made["ActivationId"].as_str(), made["ActivationCode"].as_str());
        let (id, code) =
            id.zip(code).ok_or_else(|| Trouble::new("CreateActivation gave no activation"))?;
        let port = self.relay.address().port();
        let line = format!(
            "echo {code} | towline-agent --state-dir /data/state enroll --gateway 10.0.2.2:{port} \
             --activation-id {id} \
             --activation-code-file - --ca /data/ca.pem --name virtual"
        );
        let said = self.machine.run(&line)?;
        self.id = device_id(&said)
            .ok_or_else(|| Trouble::new(format!("enroll named no device: {said}")))?;
        self.wait_connected()
    }

    /// An operator on this host; the gateway's name for the guest is not one that the host can
    /// reach.
    pub(crate) fn operator(&self) -> Operator {
        self.lab.admin().at(format!("https://127.0.0.1:{}", self.lab.gateway.address().port()))
    }

    /// Waits until the gateway says that the device is connected.
    ///
    /// # Errors
    /// With the agent's log.
    pub(crate) fn wait_connected(&mut self) -> Outcome {
        let (operator, body) = (self.operator(), serde_json::json!({ "Target": self.id }));
        let connected = || {
            let status = operator.api("AmazonSSM.GetConnectionStatus", &body).ok()?;
            (status["Status"].as_str() == Some("connected")).then_some(())
        };
        let waited = eventually("the device is connected", CONNECTS, connected);
        waited.map_err(|trouble| {
            let log =
                self.machine.run("tail -n 30 /tmp/agent.log").unwrap_or_else(|e| e.to_string());
            Trouble::new(format!("{trouble}; its agent says:\n{log}"))
        })
    }

    /// Opens a shell through the gateway, and waits until it answers.
    ///
    /// # Errors
    /// With what came instead.
    pub(crate) fn shell(&self) -> Outcome<Terminal> {
        let mut shell = self.operator().shell(&self.id)?;
        answers(&mut shell, 1)?;
        Ok(shell)
    }

    /// The agent's process id in the guest.
    ///
    /// # Errors
    /// It does not run.
    pub(crate) fn agent(&mut self) -> Outcome<u64> {
        let text = self.machine.run("pidof towline-agent")?;
        text.split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok())
            .ok_or_else(|| Trouble::new("no agent runs"))
    }

    /// Does something to the device, and waits until its agent has dialled anew and is connected.
    /// Gives the time it took.
    ///
    /// # Errors
    /// It does not come back.
    pub(crate) fn comes_back_after(
        &mut self,
        disturb: impl FnOnce(&mut Machine) -> Outcome,
    ) -> Outcome<Duration> {
        let before = self.relay.count().connections;
        let start = Instant::now();
        disturb(&mut self.machine)?;
        self.relay.wait_for_newcomer(before, BOOT)?;
        // The gateway may still show the link that died without a word, so that is no proof: an
        // answer is.
        let (operator, id) = (self.operator(), self.id.clone());
        eventually("the device answers again", CONNECTS, || {
            operator.run(&["exec", &id, "--", "true"]).ok().filter(|out| out.status.success())
        })?;
        Ok(start.elapsed())
    }
}

/// A shell says what it is asked: the arithmetic shows that the device computed it, and not an
/// echo.
///
/// # Errors
/// It does not.
pub(crate) fn answers(shell: &mut Terminal, number: u64) -> Outcome {
    shell.line(&format!("echo sum-$(({number} + 1000000))"))?;
    shell.expect_within(&format!("sum-{}", number + 1_000_000), ANSWER).map(drop)
}

fn parts(guest: &Guest, agent: &Path, lab: &Lab, scratch: &Path, class: &Class) -> Outcome<Parts> {
    let initramfs = scratch.join("initramfs");
    files::write(&initramfs, build_initramfs(guest, agent)?)?;
    let content = scratch.join("content");
    std::fs::create_dir(&content)?;
    std::fs::copy(lab.gateway.ca(), content.join("ca.pem"))?;
    copy_tc(&guest.tc, &content.join("tc"))?;
    let disk = scratch.join("disk");
    machine::disk(&disk, DISK_MB, &content)?;
    let own = class.packages.deb == guest_arch(guest);
    ensure(own || machine::Model::that_runs(&class.name).is_ok(), || {
        format!("{} is not for this guest", class.name)
    })?;
    let clock = "1970-01-01T00:01:00";
    Ok(Parts {
        kernel: fetch::image(guest)?,
        initramfs,
        disk,
        words: String::new(),
        clock,
        memory: None,
    })
}

fn guest_arch(guest: &Guest) -> String {
    let above = guest.root.parent().and_then(Path::file_name);
    above.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// busybox, modules, our first process, and what OpenWrt's package of the agent holds.
fn build_initramfs(guest: &Guest, agent: &Path) -> Outcome<Vec<u8>> {
    let mut archive = Initramfs::default();
    archive.device("/dev/console", 5, 1);
    archive.device("/dev/null", 1, 3);
    for folder in [
        "/bin",
        "/sbin",
        "/usr/sbin",
        "/proc",
        "/sys",
        "/run",
        "/tmp",
        "/data",
        "/root",
        "/var/lib",
    ] {
        archive.folder(folder);
    }
    archive.file("/bin/busybox", 0o755, &std::fs::read(guest.root.join("bin/busybox"))?);
    let init = towline_testkit::lab::programs::workspace().join("tests/qemu/init");
    archive.file("/init", 0o755, &std::fs::read(init)?);
    // The second account is that of the network process: packages make it.
    let accounts = b"root:x:0:0:root:/root:/bin/sh\ntowline-net:x:64321:64321::/:/bin/false\n";
    archive.file("/etc/passwd", 0o644, accounts);
    archive.file("/etc/group", 0o644, b"root:x:0:\ntowline-net:x:64321:\n");
    let order = modules::ordered(&guest.root, machine::MODULES)?;
    let names: String = order.iter().map(|(name, _)| format!("{name}.ko\n")).collect();
    archive.file("/modules/order", 0o644, names.as_bytes());
    for (name, path) in &order {
        archive.file(&format!("/modules/{name}.ko"), 0o644, &std::fs::read(path)?);
    }
    let package = Description::read("agent")?.content(
        Format::Ipk,
        &std::fs::read(agent)?,
        &crate::package::version(),
    )?;
    for entry in package.entries {
        match entry.bytes {
            Some(bytes) => archive.file(&entry.path, entry.mode, &bytes),
            None => archive.folder(&entry.path),
        }
    }
    Ok(archive.finish())
}

/// tc and its libraries, flat: it is started by the dynamic linker itself, with this folder as
/// library path.
fn copy_tc(from: &Path, to: &Path) -> Outcome {
    std::fs::create_dir(to)?;
    for path in crate::dist::digest::all_files(from)? {
        let name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let wanted = path.ends_with("sbin/tc") || name.contains(".so");
        // Plugins of other tools, and the two dozen modules for names and character sets.
        let useless = path
            .components()
            .any(|c| ["gconv", "audit", "xtables"].iter().any(|n| c.as_os_str() == *n));
        if wanted && !useless && path.is_file() {
            std::fs::copy(&path, to.join(&name))?;
        }
    }
    Ok(())
}

/// What was measured on a device; a row of docs/devices.md.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Facts {
    /// The class.
    pub(crate) class: String,
    /// The machine's memory, MB.
    pub(crate) machine_mb: u32,
    /// Resident memory of the idle agent, KiB, and the part without a file behind it.
    pub(crate) idle_kib: u64,
    /// See `idle_kib`.
    pub(crate) anonymous_kib: u64,
    /// Resident memory with one shell, KiB.
    pub(crate) shell_kib: u64,
    /// From power-on to connected, ms, emulated.
    pub(crate) boot_ms: u64,
}

/// Where facts are kept for the table.
pub(crate) fn facts_file(class: &str) -> PathBuf {
    crate::dist::build::folder().join("facts").join(format!("{class}.json"))
}
