//! The three ways to a shell: none (the floor), the SSH peer, ours. All shells see the same empty
//! home.

use std::path::{Path, PathBuf};
use std::process::Command;

use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::text::Text;
use towline_testkit::{Outcome, Trouble, files};

use super::peer::Peer;

/// Everything that runs during a comparison.
pub(super) struct Rig {
    home: PathBuf,
    text: PathBuf,
    peer: Peer,
    device: Device,
    lab: Lab,
}

/// Makes a program see our scratch folder in place of its home: a mount namespace of its own.
pub(super) fn at_home(scratch: &Path) -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());
    let script = format!("mount --bind '{}' '{home}' && cd / && exec \"$@\"", scratch.display());
    ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
}

impl Rig {
    /// Starts both, and writes `bytes` of text.
    pub(super) fn start(bytes: usize) -> Outcome<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(Trouble::new(
                "bench needs root: both shells get an empty home in a mount namespace",
            ));
        }
        let lab = Lab::start()?;
        let home = lab.directory().join("home");
        std::fs::create_dir(&home)?;
        files::write(&home.join(".hushlogin"), "")?;
        let text = lab.directory().join("text");
        files::write(&text, Text::new(1).take_bytes(bytes))?;
        let peer = Peer::start(lab.directory(), &home)?;
        let setup = DeviceSetup {
            direct: Some(lab.gateway.address().to_string()),
            behind: at_home(&home),
            ..DeviceSetup::default()
        };
        let device = lab.device_with(&setup)?;
        Ok(Self { home, text, peer, device, lab })
    }

    /// A login shell without any network.
    pub(super) fn floor(&self) -> Command {
        let words = at_home(&self.home);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["bash", "-l"]).env("TERM", "xterm-256color");
        command
    }

    /// `ssh` through the reverse tunnel.
    pub(super) fn peer(&self) -> Command {
        self.peer.client()
    }

    /// `towline shell`.
    pub(super) fn ours(&self) -> Command {
        self.lab.admin().towline(&["shell", self.device.id()])
    }

    /// Process ids of our gateway and our agent.
    pub(super) fn pids(&mut self) -> Outcome<[u32; 2]> {
        Ok([self.lab.gateway.process().pid(), self.device.pid()?])
    }

    /// The peer itself.
    pub(super) fn ssh_peer(&self) -> &Peer {
        &self.peer
    }

    /// Gateway and scratch directory.
    pub(super) fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Our device.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The text for bulk samples.
    pub(super) fn text(&self) -> &Path {
        &self.text
    }
}
