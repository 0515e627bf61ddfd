//! `cargo xtask qemu debian [SUITE]`: a whole Debian with systemd in a machine, and the life of the
//! deb on it: installed, waiting, enrolled by an order, upgraded and downgraded under an open
//! shell, killed, removed, installed again, purged. And its cgroups.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use towline_testkit::another_version::{self, CURRENT, NEXT};
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{GatewaySetup, Lab, Operator};
use towline_testkit::terminal::Terminal;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

use super::super::device::{ANSWER, CONNECTS, answers};
use super::super::fetch;
use super::super::initramfs::Initramfs;
use super::super::machine::{self, BOOT, Machine, Model, Parts};
use super::super::modules;
use super::cgroups;
use crate::dist::class::Class;
use crate::package;
use crate::{console, run, setup};

/// Which Debian, unless another is named: of those that devices have, the one with the oldest
/// systemd that is still kept up.
pub(crate) const SUITE: &str = "bookworm";
/// What makes the distribution's files.
pub(in crate::qemu) const NEEDS: &[(&str, &str)] = &[("mmdebstrap", "mmdebstrap")];
/// What the distribution has beside its minimum.
const PACKAGES: &str = "systemd,systemd-sysv,udev,dbus,init,sudo,procps";
/// The whole distribution and room to work.
const DISK_MB: u32 = 512;
/// systemd in a minimal Debian, emulated.
const MEMORY_MB: u32 = 384;
pub(super) const UNIT: &str = "towline-agent.service";

/// The machine, the gateway, and what the gateway calls the machine.
pub(super) struct Debian {
    pub(super) machine: Machine,
    lab: Lab,
    id: String,
    _scratch: tempfile::TempDir,
}

type Step = (&'static str, fn(&mut Debian) -> Outcome);

const STEPS: &[Step] = &[
    (
        "the package is installed; the service is enabled, runs, and waits without a word of error",
        installed,
    ),
    ("systemd finds nothing wrong with the unit", verified),
    ("an order in /etc/towline enrolls the device, and is gone afterwards", enrolled),
    ("what reads the network is a process without rights where the settings demand it", separated),
    ("sudo works in a session, and a session is no safer from the OOM killer than others", sudo),
    (
        "a session that forks for ever comes to its limit, while another one and the agent work on",
        cgroups::bomb,
    ),
    ("an upgrade cuts no shell, and the new program takes over at once", upgraded),
    ("a downgrade is the same", downgraded),
    ("an upgrade to a program that does not work changes nothing", broken),
    ("a killed agent is back at once", killed),
    ("stopped, nothing is left; started and restarted, it is there again", cgroups::stopped),
    ("a process that outlives the agent does not keep it from coming back", cgroups::outlived),
    ("in a cgroup that is not its own the agent says that there is no limit", cgroups::not_given),
    ("removed and installed again, the device is who it was", removed),
    ("purged, nothing is left", purged),
];

/// Goes through all steps.
///
/// # Errors
/// The step that failed.
pub(crate) fn tell(suite: &str, class: &Class, agent: &Path) -> Outcome {
    setup::programs(NEEDS)?;
    console::step(&format!("debian: systemd of {suite} in a machine with {MEMORY_MB} MB"));
    let mut debian = Debian::booted(suite, class, agent)?;
    for (sentence, step) in STEPS {
        step(&mut debian).map_err(|trouble| {
            // Whatever still runs on the console is interrupted, and shown with what waits for
            // what.
            let look = format!(
                "\u{3}systemctl list-jobs --no-pager; ps axf | tail -n 25; journalctl --no-pager \
                 -n 30 -u {UNIT}"
            );
            let log = debian.machine.run(&look);
            let log = log.unwrap_or_else(|e| e.to_string());
            Trouble::new(format!("debian: {sentence}: {trouble}\nits journal:\n{log}"))
        })?;
        console::line(&format!("  debian: {sentence}"));
    }
    Ok(())
}

impl Debian {
    fn booted(suite: &str, class: &Class, agent: &Path) -> Outcome<Self> {
        let model = Model::of("x86_64")?;
        let lab = Lab::with(&GatewaySetup { host: "10.0.2.2".into(), ..GatewaySetup::default() })?;
        let guest = fetch::guest(model.debian.0, model.debian.1)?;
        let scratch = tempfile::Builder::new().prefix("towline-debian-").tempdir()?;
        let root = scratch.path().join("root");
        unpack(suite, &root)?;
        furnish(&root, class, agent, lab.gateway.ca())?;
        let disk = scratch.path().join("disk");
        machine::disk(&disk, DISK_MB, &root)?;
        std::fs::remove_dir_all(&root)?;
        let initramfs = scratch.path().join("initramfs");
        files::write(&initramfs, initial(&guest.root)?)?;
        let words = "systemd.show_status=0 loglevel=3".to_owned();
        let (kernel, clock) = (fetch::image(&guest)?, "utc");
        let mut machine = model.start(&Parts {
            kernel,
            initramfs,
            disk,
            words,
            clock,
            memory: Some(MEMORY_MB),
        })?;
        machine.expect("console> ", BOOT)?;
        // Boot goes on behind the console; the first dpkg would meet a half-started system.
        machine.outcome("systemctl is-system-running --wait", BOOT)?;
        Ok(Self { machine, lab, id: String::new(), _scratch: scratch })
    }

    pub(super) fn operator(&self) -> Operator {
        self.lab.admin().at(format!("https://127.0.0.1:{}", self.lab.gateway.address().port()))
    }

    /// Waits until a command through the gateway succeeds.
    pub(super) fn answers_calls(&self) -> Outcome {
        let operator = self.operator();
        eventually("the device answers", CONNECTS, || {
            operator
                .run(&["exec", &self.id, "--", "true"])
                .ok()
                .filter(|out| out.status.success())
                .map(drop)
        })
    }

    pub(super) fn shell(&self) -> Outcome<Terminal> {
        let mut shell = self.operator().shell(&self.id)?;
        answers(&mut shell, 1)?;
        Ok(shell)
    }

    /// Waits inside the guest until a condition holds.
    pub(super) fn until(&mut self, condition: &str) -> Outcome {
        let line =
            format!("for i in $(seq 300); do {condition} && break; sleep 0.2; done; {condition}");
        let (text, status) = self.machine.outcome(&line, Duration::from_secs(120))?;
        ensure(status == "0", || format!("never true: {condition}: {text}"))
    }

    pub(super) fn pid(&mut self) -> Outcome<String> {
        self.machine.run(&format!("systemctl show -P MainPID {UNIT}"))
    }

    /// Installs a version under an open shell: the new program is there at once, and the shell as
    /// well.
    fn change_to(&mut self, version: &str) -> Outcome {
        let mut shell = self.shell()?;
        let before = self.pid()?;
        self.machine.run(&format!("dpkg -i /packages/{version}.deb"))?;
        self.until(&format!("readlink /proc/{before}/exe | grep -qx /usr/bin/towline-agent"))?;
        let (operator, id, wanted) = (self.operator(), self.id.clone(), format!("{version}.0"));
        eventually("the gateway shows the new version", CONNECTS, || {
            let filter =
                serde_json::json!({ "Filters": [{ "Key": "InstanceIds", "Values": [id] }] });
            let answer = operator.api("AmazonSSM.DescribeInstanceInformation", &filter).ok()?;
            (answer["InstanceInformationList"][0]["AgentVersion"].as_str() == Some(&wanted))
                .then_some(())
        })?;
        answers(&mut shell, 2)?;
        cgroups::limited(self)?;
        shell.line("exit 5")?;
        let status = shell.finish(ANSWER)?;
        ensure(status.code() == Some(5), || format!("the shell ended with {status}"))?;
        ensure(self.pid()? == before, || "the agent is another process".into())?;
        self.machine.run(&format!("systemctl -q is-active {UNIT}"))?;
        let shown = self.machine.run("dpkg-query -W -f '${Version}' towline-agent")?;
        ensure(shown == version, || format!("dpkg has {shown}"))?;
        let restarts = self.machine.run(&format!("systemctl show -P NRestarts {UNIT}"))?;
        ensure(restarts == "0", || format!("systemd restarted it {restarts} times"))
    }
}

fn installed(debian: &mut Debian) -> Outcome {
    debian.machine.run("dpkg -i /packages/0.1.0.deb")?;
    debian.until(&format!("systemctl -q is-active {UNIT}"))?;
    debian.machine.run(&format!("systemctl is-enabled {UNIT}"))?;
    let errors = debian.machine.run(&format!("journalctl -q --no-pager -p warning -u {UNIT}"))?;
    ensure(errors.is_empty(), || format!("its journal has warnings: {errors}"))
}

fn verified(debian: &mut Debian) -> Outcome {
    let said = debian.machine.run(&format!("systemd-analyze verify --man=no {UNIT} 2>&1"))?;
    ensure(!said.contains("towline"), || said)
}

fn enrolled(debian: &mut Debian) -> Outcome {
    let body = serde_json::json!({ "IamRole": "towline", "RegistrationLimit": 1 });
    let made = debian.operator().api("AmazonSSM.CreateActivation", &body)?;
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    let port = debian.lab.gateway.address().port();
    let lines = [
        format!("gateway = \"10.0.2.2:{port}\""),
        format!("activation_id = \"{}\"", text("ActivationId")),
        format!("activation_code = \"{}\"", text("ActivationCode")),
        "ca = \"/packages/ca.pem\"".to_owned(),
        "name = \"{hostname}\"".to_owned(),
    ];
    for line in lines {
        debian.machine.run(&format!("echo '{line}' >>/etc/towline/enroll.new"))?;
    }
    debian.machine.run("mv /etc/towline/enroll.new /etc/towline/enroll.toml")?;
    debian.until("test -e /var/lib/towline/enrolment.toml -a ! -e /etc/towline/enroll.toml")?;
    let known = debian.machine.run("grep ^device /var/lib/towline/enrolment.toml")?;
    debian.id =
        towline_testkit::lab::device::device_id(&known).ok_or_else(|| Trouble::new(known))?;
    debian.answers_calls()
}

fn separated(debian: &mut Debian) -> Outcome {
    let setting = "[security]\\nseparation = \"demanded\"\\n";
    debian.machine.run(&format!(
        "mkdir -p /etc/towline/agent.d; printf '{setting}' >/etc/towline/agent.d/separation.toml"
    ))?;
    debian.machine.run(&format!("systemctl reload {UNIT}"))?;
    let find = "pgrep -u towline-net -f 'towline-agent network'";
    debian.until(&format!("{find} >/dev/null"))?;
    debian.answers_calls()?;
    let status = debian.machine.run(&format!("cat /proc/$({find})/status | tr '\\t' ' '"))?;
    for line in ["CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2", "Threads: 1"] {
        ensure(status.contains(line), || format!("not {line:?}: {status}"))?;
    }
    let shown = "towline-agent status | grep -o 'separate process as towline-net[^\"]*'";
    let said = debian.machine.run(shown)?;
    console::line(&format!("  debian: {said}"));
    debian.machine.run("rm /etc/towline/agent.d/separation.toml")?;
    debian.machine.run(&format!("systemctl reload {UNIT}"))?;
    debian.until(&format!("! {find} >/dev/null"))?;
    debian.answers_calls()
}

fn sudo(debian: &mut Debian) -> Outcome {
    let mut shell = debian.shell()?;
    shell.line("su ops -c 'sudo -n id -u; echo done'")?;
    shell.expect_within("\n0\r\ndone", ANSWER)?;
    shell.line("grep NoNewPrivs /proc/self/status; echo score $(cat /proc/self/oom_score_adj)")?;
    shell.expect_within("NoNewPrivs:\t0", ANSWER)?;
    shell.expect_within("score 0", ANSWER).map(drop)
}

fn upgraded(debian: &mut Debian) -> Outcome {
    debian.change_to(NEXT)
}

fn downgraded(debian: &mut Debian) -> Outcome {
    debian.change_to(CURRENT)
}

fn broken(debian: &mut Debian) -> Outcome {
    let mut shell = debian.shell()?;
    let before = debian.pid()?;
    debian.machine.run("printf '#!/bin/sh\\nexit 1\\n' >/tmp/agent; chmod 755 /tmp/agent")?;
    debian
        .machine
        .run("cp -p /usr/bin/towline-agent /tmp/whole; mv /tmp/agent /usr/bin/towline-agent")?;
    debian.machine.run(&format!("systemctl reload {UNIT}"))?;
    debian.until(&format!("journalctl -q --no-pager -u {UNIT} | grep -q 'does not work here'"))?;
    answers(&mut shell, 3)?;
    drop(shell);
    debian.machine.run("mv /tmp/whole /usr/bin/towline-agent")?;
    ensure(debian.pid()? == before, || "the agent is another process".into())
}

fn killed(debian: &mut Debian) -> Outcome {
    let before = debian.pid()?;
    debian.machine.run(&format!("kill -9 {before}"))?;
    debian.until(&format!(
        "systemctl -q is-active {UNIT} && test $(systemctl show -P MainPID {UNIT}) != {before}"
    ))?;
    debian.answers_calls()
}

fn removed(debian: &mut Debian) -> Outcome {
    debian.machine.run("dpkg -r towline-agent")?;
    debian.machine.run("! pidof towline-agent && test -e /var/lib/towline/enrolment.toml")?;
    debian.machine.run("dpkg -i /packages/0.1.0.deb")?;
    debian.answers_calls()
}

fn purged(debian: &mut Debian) -> Outcome {
    debian.machine.run("dpkg -P towline-agent")?;
    debian.machine.run(
        "! pidof towline-agent && ! test -e /var/lib/towline && ! test -e /etc/towline/agent.toml",
    )?;
    let left =
        debian.machine.run(&format!("systemctl list-unit-files --no-legend {UNIT} | wc -l"))?;
    ensure(left == "0", || "systemd still knows the unit".into())
}

/// Makes the archive of the distribution's files in the cache directory, unless it is there.
///
/// # Errors
/// A package cannot be downloaded.
pub(in crate::qemu) fn download(suite: &str) -> Outcome<PathBuf> {
    let tar = fetch::cache().join(if suite == SUITE {
        "debian-systemd.tar".into()
    } else {
        format!("debian-systemd-{suite}.tar")
    });
    if !tar.is_file() {
        std::fs::create_dir_all(fetch::cache())?;
        let partial: PathBuf = tar.with_extension("partial.tar");
        let mut debootstrap = Command::new("mmdebstrap");
        debootstrap
            .args(["--quiet", "--variant=minbase", &format!("--include={PACKAGES}"), suite])
            .arg(&partial);
        run::checked(debootstrap)?;
        std::fs::rename(&partial, &tar)?;
    }
    Ok(tar)
}

fn unpack(suite: &str, root: &Path) -> Outcome {
    let tar = download(suite)?;
    std::fs::create_dir(root)?;
    let mut unpack = Command::new("tar");
    // Device nodes come from devtmpfs; a machine without the right to make them can still unpack.
    unpack
        .args(["--extract", "--exclude=./dev/*", "--file"])
        .arg(&tar)
        .arg("--directory")
        .arg(root);
    unpack.stdout(Stdio::null());
    run::checked(unpack)
}

/// Packages to install, a console that is logged in, a network, somebody who may use sudo.
fn furnish(root: &Path, class: &Class, agent: &Path, ca: &Path) -> Outcome {
    let write = |name: &str, text: &str| -> Outcome {
        let path = root.join(name);
        std::fs::create_dir_all(path.with_file_name(""))?;
        // `files::write` closes the file to others; these are read by everybody.
        files::write(&path, text)?;
        Ok(std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?)
    };
    std::fs::create_dir_all(root.join("packages"))?;
    for version in [CURRENT, NEXT] {
        let program = another_version::bytes(&std::fs::read(agent)?, version)?;
        let deb = package::deb_of_agent(class, &program, version)?;
        files::write(&root.join(format!("packages/{version}.deb")), deb)?;
    }
    std::fs::copy(ca, root.join("packages/ca.pem"))?;
    write("etc/hostname", "debian-device\n")?;
    write("etc/fstab", "/dev/vda / ext4 rw 0 1\n")?;
    write(
        "etc/systemd/system/serial-getty@ttyS0.service.d/login.conf",
        "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear ttyS0 vt100\n",
    )?;
    write(
        "root/.bashrc",
        "stty -echo cols 500\nPS1='console> '\nPROMPT_COMMAND=\nbind 'set enable-bracketed-paste \
         off'\n",
    )?;
    write("root/.bash_profile", ". ~/.bashrc\n")?;
    write(
        "etc/systemd/network/eth.network",
        "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n",
    )?;
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    std::fs::create_dir_all(&wants)?;
    std::os::unix::fs::symlink(
        "/lib/systemd/system/systemd-networkd.service",
        wants.join("systemd-networkd.service"),
    )?;
    let passwd = std::fs::read_to_string(root.join("etc/passwd"))?;
    write("etc/passwd", &format!("{passwd}ops:*:1000:1000::/tmp:/bin/sh\n"))?;
    write("etc/sudoers.d/ops", "ops ALL=(ALL) NOPASSWD: ALL\n")
}

fn initial(guest: &Path) -> Outcome<Vec<u8>> {
    let mut archive = Initramfs::default();
    archive.device("/dev/console", 5, 1);
    archive.file("/bin/busybox", 0o755, &std::fs::read(guest.join("bin/busybox"))?);
    archive.file("/init", 0o755, &std::fs::read(workspace().join("tests/qemu/init-debian"))?);
    let order = modules::ordered(guest, machine::MODULES)?;
    let names: String = order.iter().map(|(name, _)| format!("{name}.ko\n")).collect();
    archive.file("/modules/order", 0o644, names.as_bytes());
    for (name, path) in &order {
        archive.file(&format!("/modules/{name}.ko"), 0o644, &std::fs::read(path)?);
    }
    Ok(archive.finish())
}
