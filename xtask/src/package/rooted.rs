//! `cargo xtask packages`: rpm, apk, ipk and tarball of the agent, each in a root file system like
//! those it is meant for: installed, set up, upgraded, removed.
//!
//! Data flow: the x86_64 agent of `dist` -> a package in two versions -> a root made of busybox ->
//! rpm itself, or what apk and opkg do with a package (unpack, keep the administrator's files, run
//! the scripts) -> what stands in the root then.
//!
//! # Known limits
//! - apk-tools and opkg cannot be had from Debian: their part is played by [`Root::unpacked`], and
//!   procd's by a script that writes down what it is asked for. What the real ones would refuse,
//!   this does not see.
//!
//! # Not here
//! - The deb: it is installed on a whole Debian, `cargo xtask qemu debian`.

use std::path::{Path, PathBuf};
use std::process::Command;

use towline_testkit::another_version::{self, CURRENT, NEXT};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, files};

use super::{Description, Format, apk, ipk, rpm, tarball};
use crate::dist::build;
use crate::dist::class::{Class, Program};
use crate::qemu::busybox;
use crate::{console, run, setup};

const PROGRAM: &str = "/usr/bin/towline-agent";
const SETTINGS: &str = "/etc/towline/agent.toml";
const IDENTITY: &str = "/var/lib/towline/enrolment.toml";
/// What an administrator writes into the settings.
const CHANGED: &str = "# changed by its administrator\n";
/// Where the stand-in of procd writes down what it is asked for.
const ASKED: &str = "/asked";
/// OpenWrt's frame for the scripts of services, as far as ours uses it.
const RC_COMMON: &str = r#"#!/bin/sh
script=$1; shift
for word in open_instance set_param close_instance send_signal; do
	eval "procd_$word() { echo $word \"\$*\" >>/asked; }"
done
. "$script"
case "$1" in
start) start_service ;;
reload) reload_service ;;
running) test -e /running ;;
*) echo "$1" >>/asked ;;
esac
"#;

/// The accounts after an installation, and after an upgrade.
const OPENWRT_ACCOUNTS: &str = "root:x:0:0:root:/root:/bin/ash
other:x:64321:64321:other:/:/bin/false
towline-net:x:64322:64322:Towline network process:/:/bin/false
";

const NEEDS: &[(&str, &str)] = &[("rpm", "rpm"), ("chroot", "coreutils"), ("tar", "tar")];

/// Every format but Debian's. It needs root to change into a root file system; without root it
/// prints that it was skipped.
///
/// # Errors
/// What is not there, or should not be.
pub(crate) fn try_all() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        console::step("skipped: packages need root to change into a root file system");
        return Ok(());
    }
    setup::programs(NEEDS)?;
    let class = Class::read("x86_64")?;
    let agent = match build::made(&class, Program::Agent) {
        Some(made) => made,
        None => build::build(&class, Program::Agent)?.path,
    };
    let agent = std::fs::read(agent)?;
    console::step("packages: each in a root file system of its kind");
    red_hat(&agent)?;
    alpine(&agent)?;
    open_wrt(&agent)?;
    anything(&agent)?;
    repositories(&agent)?;
    super::yocto::parsed()
}

/// A file system with busybox in it, and nothing else.
struct Root {
    scratch: tempfile::TempDir,
}

impl Root {
    fn new() -> Outcome<Self> {
        let root = Self { scratch: tempfile::Builder::new().prefix("towline-root-").tempdir()? };
        for folder in [
            "bin",
            "sbin",
            "usr/bin",
            "usr/sbin",
            "usr/lib",
            "etc/init.d",
            "var/lib",
            "tmp",
            "dev",
            "packages",
        ] {
            std::fs::create_dir_all(root.at(folder))?;
        }
        std::fs::copy(busybox("amd64")?, root.at("/bin/busybox"))?;
        // Scripts throw output away; a container may forbid the device, and a file takes it too.
        root.run(
            "/bin/busybox --install -s /bin; mknod -m 666 /dev/null c 1 3 || touch /dev/null",
        )?;
        Ok(root)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.scratch.path().join(path.trim_start_matches('/'))
    }

    /// A command line inside; what it prints.
    fn run(&self, line: &str) -> Outcome<String> {
        let mut chroot = Command::new(run::find("chroot").unwrap_or_else(|| "chroot".into()));
        chroot.arg(self.scratch.path()).args(["/bin/busybox", "sh", "-c", line]);
        let out = chroot.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output()?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure(out.status.success(), || format!("in the root: {line}: {}: {said}", out.status))?;
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    /// What apk and opkg do with an archive: everything is put where it belongs, but a settings
    /// file that is there.
    fn unpacked(&self, archive: &[u8]) -> Outcome {
        files::write(&self.at("/packages/data.tar.gz"), archive)?;
        let kept = self.at(SETTINGS).exists().then(|| self.read(SETTINGS));
        // apk's archive is several gzip streams: busybox reads the first alone.
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--gzip", "--file"]).arg(self.at("/packages/data.tar.gz"));
        run::checked({
            tar.arg("--directory").arg(self.scratch.path());
            tar
        })?;
        kept.map_or(Ok(()), |text| files::write(&self.at(SETTINGS), text))
    }

    /// The program is there in this version and runs.
    fn has(&self, version: &str) -> Outcome {
        let said = self.run(&format!("{PROGRAM} --version"))?;
        ensure(said.contains(version), || format!("it is {said}, not {version}"))?;
        self.run(&format!("{PROGRAM} config check")).map(drop)
    }

    /// An administrator's and a device's traces.
    fn lived_in(&self) -> Outcome {
        files::write(&self.at(SETTINGS), CHANGED)?;
        std::fs::create_dir_all(self.at(IDENTITY).with_file_name(""))?;
        files::write(&self.at(IDENTITY), "device = \"mi-0\"\n")
    }

    fn keeps_settings(&self) -> Outcome {
        ensure(self.read(SETTINGS) == CHANGED, || {
            format!("its settings are: {}", self.read(SETTINGS))
        })
    }

    fn keeps_identity_only(&self) -> Outcome {
        ensure(!self.at(PROGRAM).exists(), || "the program is still there".into())?;
        ensure(self.at(IDENTITY).exists(), || "the identity is gone".into())
    }
}

/// A package of the agent in a version, as `write` makes it.
fn packed(agent: &[u8], format: Format, version: &str) -> Outcome<super::Content> {
    Description::read("agent")?.content(format, &another_version::bytes(agent, version)?, version)
}

fn red_hat(agent: &[u8]) -> Outcome {
    let root = Root::new()?;
    let rpm = |words: &[&str], file: Option<&Path>| -> Outcome {
        let mut command = Command::new(run::find("rpm").unwrap_or_else(|| "rpm".into()));
        // Debian's own rpm wants to be told that the files are not Debian's.
        command
            .arg("--root")
            .arg(root.scratch.path())
            .args(["--dbpath", "/usr/lib/sysimage/rpm"])
            .args(words);
        run::checked({
            command.args(file);
            command
        })
    };
    rpm(&["--initdb"], None)?;
    for version in [CURRENT, NEXT] {
        let file = root.at(&format!("/packages/{version}.rpm"));
        files::write(&file, rpm::write(&packed(agent, Format::Rpm, version)?, "x86_64")?)?;
        rpm(&["--upgrade", "--nodeps"], Some(&file))?;
        root.has(version)?;
        if version == CURRENT {
            root.lived_in()?;
        }
    }
    root.keeps_settings()?;
    rpm(&["--verify", "--nodeps", "--noscripts", "--noconfig", "towline-agent"], None)?;
    rpm(&["--erase", "towline-agent"], None)?;
    root.keeps_identity_only()?;
    console::line(
        "  rpm: installed by rpm, upgraded with its settings kept, verified, erased with its \
         identity kept",
    );
    Ok(())
}

fn alpine(agent: &[u8]) -> Outcome {
    let root = Root::new()?;
    for (version, script) in [(CURRENT, "post-install"), (NEXT, "post-upgrade")] {
        let content = packed(agent, Format::Apk, version)?;
        // Control and data are one tar in several gzip streams: unpacked alike.
        root.unpacked(&apk::write(&content, "x86_64", "r0")?)?;
        ensure(root.read("/.PKGINFO").contains(&format!("pkgver = {version}-r0")), || {
            root.read("/.PKGINFO")
        })?;
        root.run(&format!("sh /.{script} {version}"))?;
        root.has(version)?;
        root.run("sh -n /etc/init.d/towline-agent")?;
        if version == CURRENT {
            root.lived_in()?;
        }
    }
    root.keeps_settings()?;
    root.run("sh /.pre-deinstall")?;
    console::line(
        "  apk: unpacked, its scripts run, upgraded with its settings kept (without apk-tools)",
    );
    Ok(())
}

fn open_wrt(agent: &[u8]) -> Outcome {
    let root = Root::new()?;
    files::write(&root.at("/etc/rc.common"), RC_COMMON)?;
    // One number is taken: the account of the network process gets the next.
    let taken = "root:x:0:0:root:/root:/bin/ash\nother:x:64321:64321:other:/:/bin/false\n";
    files::write(&root.at("/etc/passwd"), taken)?;
    files::write(&root.at("/etc/group"), "root:x:0:\n")?;
    root.run("chmod 755 /etc/rc.common")?;
    for version in [CURRENT, NEXT] {
        let content = packed(agent, Format::Ipk, version)?;
        files::write(&root.at("/packages/whole.ipk"), ipk::write(&content, "x86_64")?)?;
        root.run("cd /packages && tar -xzf whole.ipk && mkdir -p control && tar -xzf control.tar.gz -C control")?;
        root.unpacked(&std::fs::read(root.at("/packages/data.tar.gz"))?)?;
        root.run("sh /packages/control/postinst configure")?;
        let accounts = root.read("/etc/passwd");
        ensure(accounts == OPENWRT_ACCOUNTS, || format!("its accounts: {accounts}"))?;
        root.has(version)?;
        let asked = root.read(ASKED);
        let wanted = if version == CURRENT {
            "set_param command /usr/bin/towline-agent"
        } else {
            "send_signal"
        };
        ensure(asked.contains(wanted), || format!("procd was asked for: {asked}"))?;
        files::write(&root.at("/running"), "")?;
        if version == CURRENT {
            root.lived_in()?;
        }
    }
    root.keeps_settings()?;
    root.run("sh /packages/control/prerm remove")?;
    ensure(root.read(ASKED).contains("disable"), || root.read(ASKED))?;
    console::line(
        "  ipk: unpacked, its scripts run against a stand-in of procd, upgraded by a signal \
         (without opkg)",
    );
    Ok(())
}

fn repositories(agent: &[u8]) -> Outcome {
    let scratch = tempfile::Builder::new().prefix("towline-repositories-").tempdir()?;
    let (ipk, apk) =
        (scratch.path().join("towline-agent.ipk"), scratch.path().join("towline-agent.apk"));
    files::write(&ipk, ipk::write(&packed(agent, Format::Ipk, CURRENT)?, "x86_64")?)?;
    files::write(&apk, apk::write(&packed(agent, Format::Apk, CURRENT)?, "x86_64", "r0")?)?;
    crate::repo::signed::tried(&ipk, &apk)
}

fn anything(agent: &[u8]) -> Outcome {
    let root = Root::new()?;
    for version in [CURRENT, NEXT] {
        let stem = format!("towline-agent-{version}");
        files::write(
            &root.at("/packages/tarball.tar.gz"),
            tarball::write(&packed(agent, Format::Tarball, version)?, &stem)?,
        )?;
        root.run(&format!("cd /packages && tar -xzf tarball.tar.gz && {stem}/install.sh"))?;
        root.has(version)?;
        if version == CURRENT {
            root.lived_in()?;
        }
    }
    root.keeps_settings()?;
    root.run(&format!("/packages/towline-agent-{NEXT}/install.sh --remove"))?;
    root.keeps_identity_only()?;
    root.run(&format!("/packages/towline-agent-{NEXT}/install.sh --remove --purge"))?;
    ensure(!root.at(IDENTITY).exists() && !root.at(SETTINGS).exists(), || {
        "purged, something is left".into()
    })?;
    console::line("  tarball: installed by its script, upgraded, removed, purged");
    Ok(())
}
