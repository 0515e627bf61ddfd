//! The network that the fleet shares: a bridge, and a server with the signed repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use towline_testkit::process::Running;
use towline_testkit::{Outcome, another_version, eventually, files};

use crate::dist::class::Class;
use crate::repo::{self, Signer};
use crate::{package, run};

/// The hub's address; the devices' end with their number.
pub(super) const ADDRESS: &str = "10.213.0.1";
/// Of the repository. The namespace is our own, so any will do.
const PORT: &str = "8080";
const KEY: &str = "fleet@example.invalid";

/// The bridge with the repository's server. Dropping it ends the server.
pub(super) struct Hub {
    _server: Running,
    /// The directory of the process that made the namespace: what is mounted in it is gone when the
    /// directory is removed.
    scratch: PathBuf,
}

impl Hub {
    /// Needs a network namespace of its own, and an empty directory.
    pub(super) fn new(scratch: &Path) -> Outcome<Self> {
        ip(&["link", "set", "lo", "up"])?;
        ip(&["link", "add", "fleet", "type", "bridge"])?;
        ip(&["address", "add", &format!("{ADDRESS}/16"), "dev", "fleet"])?;
        ip(&["link", "set", "fleet", "up"])?;
        // Names of namespaces are mounts here; those of the host are neither seen nor touched.
        std::fs::create_dir_all("/run/netns")?;
        let mut own = Command::new("mount");
        own.args(["-t", "tmpfs", "fleet-names", "/run/netns"]);
        run::checked(own)?;
        let home = scratch.join("gnupg");
        let repository = scratch.join("repository");
        for folder in [&home, &repository] {
            std::fs::create_dir(folder)?;
            std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        }
        let mut server = Command::new("python3");
        server
            .args(["-m", "http.server", "--bind", ADDRESS, "--directory"])
            .arg(&repository)
            .arg(PORT);
        let server =
            Running::start("the repository's server", server, &scratch.join("server.log"))?;
        let hub = Self { _server: server, scratch: scratch.to_owned() };
        hub.make_key()?;
        eventually("the repository is served", Duration::from_secs(20), || {
            std::net::TcpStream::connect(format!("{ADDRESS}:{PORT}")).ok()
        })?;
        Ok(hub)
    }

    fn make_key(&self) -> Outcome {
        let mut make = self.gpg();
        make.args(["--passphrase", "", "--quick-generate-key", KEY, "ed25519", "sign", "never"]);
        run::checked(make)?;
        let mut export = self.gpg();
        export.arg("--output").arg(self.public_key()).args(["--export", KEY]);
        run::checked(export)
    }

    fn gpg(&self) -> Command {
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--quiet"]).env("GNUPGHOME", self.scratch.join("gnupg"));
        gpg.stderr(Stdio::null());
        gpg
    }

    /// The scratch directory.
    pub(super) fn directory(&self) -> &Path {
        &self.scratch
    }

    /// What devices check the repository with.
    pub(super) fn public_key(&self) -> PathBuf {
        self.scratch.join("fleet.gpg")
    }

    /// The line that points a device at a channel.
    pub(super) fn source(&self, channel: &str) -> String {
        format!(
            "deb [signed-by={}] http://{ADDRESS}:{PORT}/{channel}/apt ./\n",
            self.public_key().display()
        )
    }

    /// Puts a version of the agent into a channel, in place of what was there.
    pub(super) fn publish(
        &self,
        channel: &str,
        class: &Class,
        agent: &[u8],
        version: &str,
    ) -> Outcome {
        let deb = package::deb_of_agent(class, &another_version::bytes(agent, version)?, version)?;
        let path = self.scratch.join(format!("towline-agent_{version}_{}.deb", class.packages.deb));
        files::write(&path, deb)?;
        let place = self.scratch.join("repository").join(channel);
        let beside = place.with_extension("partial");
        let signer = Signer { key: KEY.into(), home: Some(self.scratch.join("gnupg")) };
        repo::apt(&beside.join("apt"), &signer, &[path])?;
        if place.exists() {
            std::fs::remove_dir_all(&place)?;
        }
        Ok(std::fs::rename(beside, place)?)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // gpg leaves an agent of its own behind.
        let mut kill = Command::new("gpgconf");
        kill.args(["--kill", "all"]).env("GNUPGHOME", self.scratch.join("gnupg"));
        let _ = kill.status();
    }
}

/// iproute2.
pub(super) fn ip(words: &[&str]) -> Outcome {
    let mut ip = Command::new("ip");
    ip.args(words);
    run::quiet(ip)
}
