//! The SSH peer: a device that dialled out with `ssh -R` to an sshd, dropbear behind it, and `ssh`
//! as the client.
//!
//! Data flow: `ssh -tt -p REMOTE` -> sshd (the relay) -> `ssh -R` (on the device) -> dropbear (on
//! the device) -> the shell. Keys are made for the occasion; dropbear finds the authorised one in
//! the scratch home.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use towline_testkit::process::Running;
use towline_testkit::{Outcome, Trouble, eventually, files, ports};

use super::rig::at_home;
use crate::run::{checked, find};

/// How long a daemon may take to listen.
const COMES_UP: Duration = Duration::from_secs(20);

/// The peer's processes. Dropped: they are killed.
pub(super) struct Peer {
    folder: PathBuf,
    /// Where sshd listens for clients: the jump host.
    relay: u16,
    /// Where dropbear listens, on the device.
    device: u16,
    /// Where sshd listens for the device's tunnel: where the client connects.
    entrance: u16,
    user: String,
    _processes: Vec<Running>,
}

impl Peer {
    /// Starts sshd, dropbear and the tunnel, with keys in a folder of their own.
    pub(super) fn start(scratch: &Path, home: &Path) -> Outcome<Self> {
        let folder = scratch.join("peer");
        std::fs::create_dir(&folder)?;
        let user =
            std::env::var("USER").ok().filter(|u| !u.is_empty()).unwrap_or_else(|| "root".into());
        let (relay, device, entrance) = (free_port()?, free_port()?, free_port()?);
        keys(&folder, home)?;
        let sshd = sshd(&folder, relay)?;
        let dropbear = dropbear(&folder, home, device)?;
        let mut tunnel = ssh(&folder, relay);
        tunnel.args(["-N", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=30"]);
        tunnel.args([
            "-R",
            &format!("127.0.0.1:{entrance}:127.0.0.1:{device}"),
            &format!("{user}@127.0.0.1"),
        ]);
        let tunnel = Running::start("ssh -R", tunnel, &folder.join("tunnel.log"))?;
        listens(entrance).map_err(|e| {
            Trouble::new(format!("{e}: {}", files::tail(&folder.join("tunnel.log"), 20)))
        })?;
        Ok(Self { folder, relay, device, entrance, user, _processes: vec![tunnel, dropbear, sshd] })
    }

    /// The client's command line.
    pub(super) fn client(&self) -> Command {
        let mut command = ssh(&self.folder, self.entrance);
        command.args(["-tt", &format!("{}@127.0.0.1", self.user)]).env("TERM", "xterm-256color");
        command
    }
}

impl Peer {
    /// A forward to a port of the device, `ssh -N -L`, reaching the peer at this port (a delay line
    /// before it, or itself).
    pub(super) fn forward(&self, at: u16, local: u16, target: u16) -> Command {
        let mut command = ssh(&self.folder, at);
        command.args([
            "-N",
            "-o",
            "ExitOnForwardFailure=yes",
            "-L",
            &format!("127.0.0.1:{local}:127.0.0.1:{target}"),
        ]);
        command.arg(format!("{}@127.0.0.1", self.user));
        command
    }

    /// Where its clients connect.
    pub(super) fn entrance(&self) -> u16 {
        self.entrance
    }

    /// Where the jump host listens.
    pub(super) fn relay(&self) -> u16 {
        self.relay
    }

    /// Where the device's own server for SSH listens.
    pub(super) fn device(&self) -> u16 {
        self.device
    }

    /// A configuration for scp: the device as `device` through the jump host at this port, and as
    /// `tunnelled` through this command. Its file.
    pub(super) fn config(&self, jump: u16, proxy: &str) -> Outcome<PathBuf> {
        let path = self.folder.join(format!("ssh-{jump}.conf"));
        let common = format!(
            "HostName 127.0.0.1\nUser {}\nIdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile \
             /dev/null\n\
             StrictHostKeyChecking no\nLogLevel ERROR\n",
            self.user,
            self.folder.join("client").display()
        );
        let hosts = [
            format!("Host jump\n{common}Port {jump}\n"),
            format!("Host device\n{common}Port {}\nProxyJump jump\n", self.entrance),
            format!("Host tunnelled\n{common}ProxyCommand {proxy}\n"),
        ];
        files::write(&path, hosts.concat())?;
        Ok(path)
    }
}

fn keys(folder: &Path, home: &Path) -> Outcome {
    for name in ["host", "client"] {
        let mut make = Command::new("ssh-keygen");
        make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.join(name));
        checked(make)?;
    }
    let mut make = Command::new("dropbearkey");
    make.args(["-t", "ed25519", "-f"]).arg(folder.join("dropbear"));
    // It prints the public key, which nobody needs.
    make.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    checked(make)?;
    let public = std::fs::read_to_string(folder.join("client.pub"))?;
    files::write(&folder.join("authorized"), &public)?;
    std::fs::create_dir(home.join(".ssh"))?;
    files::write(&home.join(".ssh/authorized_keys"), public)
}

fn sshd(folder: &Path, port: u16) -> Outcome<Running> {
    let at = |name: &str| folder.join(name).display().to_string();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes \
         no\nUsePAM no\n\
         PasswordAuthentication no\nPermitRootLogin yes\nUseDNS no\nPrintMotd no\nPidFile none\n",
        at("host"),
        at("authorized")
    );
    files::write(&folder.join("sshd.conf"), config)?;
    // Its privilege separation wants this folder, which a service manager would make.
    std::fs::create_dir_all("/run/sshd")?;
    let mut command = Command::new(find("sshd").ok_or_else(|| Trouble::new("no sshd"))?);
    command.args(["-D", "-e", "-f"]).arg(folder.join("sshd.conf"));
    let running = Running::start("sshd", command, &folder.join("sshd.log"))?;
    listens(port).map_err(|e| Trouble::new(format!("{e}: {}", running.printed())))?;
    Ok(running)
}

fn dropbear(folder: &Path, home: &Path, port: u16) -> Outcome<Running> {
    let words = at_home(home);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(find("dropbear").ok_or_else(|| Trouble::new("no dropbear"))?);
    command
        .args(["-F", "-E", "-s", "-p", &format!("127.0.0.1:{port}"), "-r"])
        .arg(folder.join("dropbear"));
    let running = Running::start("dropbear", command, &folder.join("dropbear.log"))?;
    listens(port).map_err(|e| Trouble::new(format!("{e}: {}", running.printed())))?;
    Ok(running)
}

fn ssh(folder: &Path, port: u16) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-p", &port.to_string(), "-i"]).arg(folder.join("client"));
    for option in [
        "IdentitiesOnly=yes",
        "UserKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=no",
        "LogLevel=ERROR",
    ] {
        command.args(["-o", option]);
    }
    command
}

/// A port that is free until one of the daemons takes it: they cannot take port 0 and tell us.
pub(super) fn free_port() -> Outcome<u16> {
    Ok(ports::free()?.port())
}

pub(super) fn listens(port: u16) -> Outcome {
    eventually("it listens", COMES_UP, || TcpStream::connect(("127.0.0.1", port)).ok()).map(drop)
}
