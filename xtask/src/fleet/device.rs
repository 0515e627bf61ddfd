//! One device of the fleet: a root directory with busybox and dpkg's database, a network namespace,
//! an agent, a shell on it.
//!
//! It has no service manager. `tests/fleet/systemctl` stands for one: what the package's scripts
//! ask of it, it does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use towline_testkit::lab::Lab;
use towline_testkit::lab::device::device_id;
use towline_testkit::lab::programs::workspace;
use towline_testkit::process::Running;
use towline_testkit::terminal::Terminal;
use towline_testkit::text::Text;
use towline_testkit::{Outcome, Trouble, eventually, files};

use super::hub::{ADDRESS, Hub, ip};
use super::{block, same};
use crate::qemu::busybox;
use crate::run;

/// How long a step of one device may take: its neighbours are busy, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// One device with an agent and an open shell. Dropping it ends both.
pub(super) struct Member {
    name: String,
    root: PathBuf,
    id: String,
    shell: Option<Terminal>,
    agent: Running,
    text: Text,
    /// Sent, and not compared yet.
    sent: Vec<u8>,
}

impl Member {
    /// A device with the version that is in `stable`, enrolled and connected.
    pub(super) fn new(number: usize, hub: &Hub, lab: &Lab) -> Outcome<Self> {
        let name = format!("device-{number}");
        let root = hub.directory().join(&name);
        furnish(&root)?;
        network(&name, number)?;
        point(&root, "stable", hub)?;
        apt(&name, &root, &["update"])?;
        apt(&name, &root, &["install", "towline-agent"])?;
        std::fs::copy(lab.gateway.ca(), root.join("ca.pem"))?;
        let activation = lab.activation(1)?;
        let gateway = format!("{ADDRESS}:{}", lab.gateway.address().port());
        let mut enroll = inside(&name, &root);
        enroll.args([
            "/usr/bin/towline-agent",
            "enroll",
            "--gateway",
            &gateway,
            "--activation-id",
            &activation.id,
        ]);
        enroll
            .args(["--ca", "/ca.pem", "--name", &name])
            .env("TOWLINE_ACTIVATION_CODE", &activation.code);
        let out = enroll.output()?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        let id = device_id(&said)
            .ok_or_else(|| Trouble::new(format!("{name}: enroll named no device: {said}")))?;
        let mut run = inside(&name, &root);
        run.args(["/usr/bin/towline-agent", "run"]);
        let agent = Running::start(&name, run, &hub.directory().join(format!("{name}.log")))?;
        files::write(&root.join("run/towline-agent.pid"), agent.pid().to_string())?;
        Ok(Self {
            text: Text::new(number as u64),
            name,
            root,
            id,
            shell: None,
            agent,
            sent: Vec::new(),
        })
    }

    /// Opens a shell that gives back what it gets, and leaves bytes on their way in it.
    pub(super) fn work(&mut self, lab: &Lab) -> Outcome {
        let admin = lab.admin();
        let id = self.id.clone();
        eventually("the device answers", PATIENCE, || {
            admin
                .run(&["exec", &id, "--", "true"])
                .ok()
                .filter(|out| out.status.success())
                .map(drop)
        })?;
        // What the command line says about a lost link goes to stderr, and is no byte of the
        // shell's.
        let mut quiet = admin.equip(Command::new("sh"));
        quiet.args(["-c", "exec \"$0\" \"$@\" 2>/dev/null"]).arg(admin.towline(&[]).get_program());
        quiet.args(["shell", &self.id]);
        let mut shell = Terminal::start(&quiet, 24, 80)?;
        shell.line("stty raw -echo; printf 'RE''ADY'; exec cat")?;
        shell.expect_within("READY", PATIENCE)?;
        self.shell = Some(shell);
        self.send()
    }

    fn send(&mut self) -> Outcome {
        let block = block(&mut self.text);
        self.sent.extend(&block);
        self.shell.as_mut().map_or(Ok(()), |shell| shell.send(&block))
    }

    /// What was sent comes back, byte for byte.
    fn compare(&mut self) -> Outcome {
        let sent = std::mem::take(&mut self.sent);
        let Some(shell) = &mut self.shell else { return Ok(()) };
        let mut got = Vec::with_capacity(sent.len());
        let whole = shell.drain(PATIENCE, |portion| {
            got.extend_from_slice(portion);
            got.len() >= sent.len()
        });
        whole.map_err(|e| Trouble::new(format!("{}: {e}", self.name)))?;
        same(&got, &sent, &self.name)
    }

    /// Points the device at another channel.
    pub(super) fn follow(&mut self, channel: &str, hub: &Hub) -> Outcome {
        point(&self.root, channel, hub)
    }

    /// What the administrator of such a device types, or a timer does.
    pub(super) fn upgrade(&mut self) -> Outcome {
        apt(&self.name, &self.root, &["update"])?;
        self.send()?;
        apt(&self.name, &self.root, &["upgrade"])?;
        self.send()
    }

    /// The shell gave everything back, goes on, and ends when it is told to; the agent is the
    /// process it was.
    pub(super) fn done(&mut self) -> Outcome {
        self.send()?;
        self.compare()?;
        if !self.agent.is_running() {
            return Err(Trouble::new(format!("{}: its agent has ended", self.name)));
        }
        let log = self.agent.printed();
        // The second is what agents before 0.2 say.
        if !["took over 1 sessions", "goes on with 1 sessions"]
            .iter()
            .any(|text| log.contains(text))
        {
            return Err(Trouble::new(format!("{}: no session was transferred:\n{log}", self.name)));
        }
        Ok(())
    }
}

/// What is there before the first package.
fn furnish(root: &Path) -> Outcome {
    for folder in [
        "bin",
        "sbin",
        "usr/bin",
        "usr/sbin",
        "etc/apt",
        "proc",
        "dev/pts",
        "tmp",
        "root",
        "run/systemd/system",
    ] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    for folder in [
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/log/apt",
    ] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    for name in ["status", "available"] {
        files::write(&root.join("var/lib/dpkg").join(name), "")?;
    }
    files::write(&root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    files::write(&root.join("etc/group"), "root:x:0:\n")?;
    let box_ = root.join("bin/busybox");
    std::fs::copy(busybox("amd64")?, &box_)?;
    for name in ["sh", "stty", "cat", "printf", "true", "rm", "kill", "test", "[", "command", "sed"]
    {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
    }
    let systemctl = root.join("usr/bin/systemctl");
    std::fs::copy(workspace().join("tests/fleet/systemctl"), &systemctl)?;
    std::fs::set_permissions(&systemctl, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    // Terminals, and the process table, which ends of sessions are found by.
    for (kind, options, place) in [
        ("proc", "", "proc"),
        ("tmpfs", "mode=0755", "dev"),
        ("devpts", "newinstance,ptmxmode=0666", "dev/pts"),
    ] {
        std::fs::create_dir_all(root.join(place))?;
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, "-o", options, kind]).arg(root.join(place));
        run::quiet(mount)?;
    }
    std::os::unix::fs::symlink("pts/ptmx", root.join("dev/ptmx"))?;
    for device in ["null", "urandom", "tty"] {
        files::write(&root.join("dev").join(device), "")?;
        let mut mount = Command::new("mount");
        mount.arg("--bind").arg(Path::new("/dev").join(device)).arg(root.join("dev").join(device));
        run::quiet(mount)?;
    }
    Ok(())
}

/// A namespace with one cable to the hub.
fn network(name: &str, number: usize) -> Outcome {
    let (outer, inner) = (format!("hub{number}"), format!("dev{number}"));
    ip(&["netns", "add", name])?;
    ip(&["link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", name])?;
    ip(&["link", "set", &outer, "master", "fleet", "up"])?;
    ip(&["-netns", name, "link", "set", "lo", "up"])?;
    ip(&["-netns", name, "address", "add", &format!("10.213.1.{number}/16"), "dev", &inner])?;
    ip(&["-netns", name, "link", "set", &inner, "up"])
}

fn point(root: &Path, channel: &str, hub: &Hub) -> Outcome {
    files::write(&root.join("etc/apt/sources.list"), hub.source(channel))
}

/// A command inside the device, in an environment of its own.
fn inside(name: &str, root: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", name, "chroot"]).arg(root).env_remove("NOTIFY_SOCKET");
    command
}

/// apt as the device's own: its sources, its lists, its dpkg, its network.
fn apt(name: &str, root: &Path, words: &[&str]) -> Outcome {
    let config = root.join("etc/apt/apt.conf");
    let set = |key: &str, place: &str| format!("{key} \"{}\";\n", root.join(place).display());
    let text = [
        "Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\nDir::Etc::sourceparts \"/dev/null\";\n"
            .to_owned(),
        "APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAPT::Architecture \"amd64\";\n".to_owned(),
        "DPkg::Options { \"--force-unsafe-io\"; \"--force-not-root\"; \"--force-confold\"; \
         };\n".to_owned(),
        format!("DPkg::Options:: \"--root={}\";\nDPkg::Options:: \"--log=/dev/null\";\n", root.display()),
        set("Dir::Etc::sourcelist", "etc/apt/sources.list"),
        set("Dir::State", "var/lib/apt"),
        set("Dir::State::status", "var/lib/dpkg/status"),
        set("Dir::Cache", "var/cache/apt"),
        set("Dir::Log", "var/log/apt"),
    ];
    files::write(&config, text.concat())?;
    let mut apt = Command::new("ip");
    apt.args(["netns", "exec", name, "apt-get", "--yes", "--quiet"]).args(words);
    apt.env("APT_CONFIG", &config).env("DEBIAN_FRONTEND", "noninteractive");
    run::quiet(apt).map_err(|e| Trouble::new(format!("{name}: {e}")))
}
