//! Accounts that the device's administrator has closed open no session of any kind; and an agent
//! without the rights of root starts what needs none of them.
//!
//! Each device runs in a mount namespace, where `/etc` is a copy with accounts of its own.

use std::path::{Path, PathBuf};
use std::process::Output;

use towline_testkit::lab::{Device, DeviceSetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, files};

/// Behind a password of [`ACCOUNTS`] that is in `passwd`: there is no line in `shadow`.
const NO_SHADOW: &str = " alone";
/// Name, number, shell, and the fields of `shadow(5)` from the password on. The day of the last
/// change is long ago.
const ACCOUNTS: &[(&str, u32, &str, &str)] = &[
    ("keys-only", 4001, "/bin/sh", "!:19000:0:99999:7:::"),
    ("Operator@example.org", 4002, "/bin/sh", "*:19000:0:99999:7:::"),
    ("aged", 4003, "/bin/sh", "$6$x$y:19000:0:30:7:::"),
    ("locked", 4010, "/bin/sh", "!$6$x$y:19000:0:99999:7:::"),
    ("locked-keys", 4011, "/bin/sh", "!*:19000:0:99999:7:::"),
    ("expired", 4012, "/bin/sh", "$6$x$y:19000:0:99999:7::19001:"),
    ("inactive", 4013, "/bin/sh", "$6$x$y:19000:0:30:7:5::"),
    ("service", 4014, "/usr/sbin/nologin", "*:19000:0:99999:7:::"),
    ("robot", 4015, "/bin/false", "$6$x$y:19000:0:99999:7:::"),
    ("old", 4020, "/bin/sh", "* alone"),
    ("old-locked", 4021, "/bin/sh", "!$1$x$y alone"),
    ("linked", 4016, "/etc/denied", "*:19000:0:99999:7:::"),
    ("nulled", 4017, "/dev/null", "*:19000:0:99999:7:::"),
    ("shell-less", 4018, "/opt/none/sh", "*:19000:0:99999:7:::"),
    ("unchanged", u32::MAX, "/bin/sh", "*:19000:0:99999:7:::"),
];

const CLOSED: [(&str, &str); 10] = [
    ("locked", "its password is locked"),
    ("locked-keys", "its password is locked"),
    ("expired", "it has expired"),
    ("inactive", "its password expired too long ago"),
    ("service", "its shell is /usr/sbin/nologin"),
    ("robot", "its shell is /bin/false"),
    ("old-locked", "its password is locked"),
    ("linked", "its shell is /etc/denied"),
    ("nulled", "its shell /dev/null is no program of this device"),
    ("shell-less", "its shell /opt/none/sh is no program of this device"),
];

/// A device with these accounts, and the folder that is its `/etc`.
fn device(lab: &Lab, config: &str) -> Outcome<(Device, PathBuf)> {
    let (mut passwd, mut shadow) = (String::new(), String::new());
    for (name, number, shell, fields) in ACCOUNTS {
        let in_passwd = fields.strip_suffix(NO_SHADOW);
        let password = in_passwd.unwrap_or("x");
        passwd.push_str(&format!("{name}:{password}:{number}:{number}::/tmp:{shell}\n"));
        if in_passwd.is_none() {
            shadow.push_str(&format!("{name}:{fields}\n"));
        }
    }
    let (passwd, shadow) = (lab.file("passwd", &passwd)?, lab.file("shadow", &shadow)?);
    let etc = lab.directory().join("etc");
    let at = etc.display();
    let script = format!(
        "set -e; [ -e {at} ] || {{ mkdir {at}; cp -a /etc/. {at}/; \
         ln -s /usr/sbin/nologin {at}/denied; cat {} >>{at}/passwd; \
         cat {} >>{at}/shadow; }}; mount --bind {at} /etc; exec \"$@\"",
        passwd.display(),
        shadow.display()
    );
    let behind =
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "accounts"]
            .map(str::to_owned)
            .to_vec();
    let setup = DeviceSetup { config: config.into(), behind, ..DeviceSetup::default() };
    Ok((lab.device_with(&setup)?, etc))
}

fn id(lab: &Lab, device: &Device, user: &str) -> Outcome<Output> {
    lab.admin().run(&["exec", "-n", "--user", user, device.id(), "--", "id", "-un"])
}

fn refused(out: &Output, why: &str) -> Outcome {
    let said = String::from_utf8_lossy(&out.stderr);
    ensure(!out.status.success() && said.contains(why), || format!("not {why:?}: {out:?}"))
}

#[test]
fn an_account_that_is_locked_expired_or_without_a_shell_opens_no_session() -> Outcome {
    let lab = Lab::start()?;
    let (device, _) = device(&lab, "")?;
    for user in ["keys-only", "Operator@example.org", "aged", "old"] {
        let out = id(&lab, &device, user)?;
        ensure(out.stdout == format!("{user}\n").as_bytes(), || format!("{out:?}"))?;
    }
    for (user, why) in CLOSED {
        refused(&id(&lab, &device, user)?, why)?;
    }
    Ok(())
}

/// `setresuid(-1)` succeeds and changes nothing.
#[test]
fn an_account_whose_number_means_as_it_is_does_not_become_the_agents_own() -> Outcome {
    let lab = Lab::start()?;
    let (device, _) = device(&lab, "policy.allow_locked_accounts = true")?;
    refused(&id(&lab, &device, "unchanged")?, "stands for no user or group")?;
    let from = format!("{}:/etc/shadow", device.id());
    let out = lab.admin().run(&["cp", "--user", "unchanged", &from, "/dev/stdout"])?;
    refused(&out, "stands for no user or group")
}

#[test]
fn a_closed_account_is_closed_to_every_kind_of_session() -> Outcome {
    let lab = Lab::start()?;
    let (device, _) = device(&lab, "sessions.default_user = \"locked\"")?;
    let why = "its password is locked";
    let admin = lab.admin();
    let mut shell = admin.terminal(&["shell", device.id()])?;
    shell.expect(why)?;
    refused(&admin.run(&["exec", "-n", device.id(), "--", "true"])?, why)?;
    let from = format!("{}:/etc/hostname", device.id());
    let to = lab.directory().join("copied");
    refused(&admin.run(&["cp", &from, &to.display().to_string()])?, why)?;
    ensure(!to.exists(), || "the file was copied".into())?;
    let marked = lab.directory().join("ran");
    let script = format!("touch {}", marked.display());
    let out = admin.run(&["run", "--target", device.id(), "--", &script])?;
    ensure(!out.status.success() && !marked.exists(), || format!("{out:?}"))
}

#[test]
fn while_nologin_exists_only_root_gets_in() -> Outcome {
    let lab = Lab::start()?;
    let (device, etc) = device(&lab, "")?;
    files::write(&etc.join("nologin"), "maintenance\n")?;
    refused(&id(&lab, &device, "keys-only")?, "/etc/nologin exists")?;
    ensure(id(&lab, &device, "root")?.stdout == b"root\n", || "root is out, too".into())?;
    std::fs::remove_file(etc.join("nologin"))?;
    ensure(id(&lab, &device, "keys-only")?.status.success(), || "it is over".into())
}

#[test]
fn the_device_may_overrule_what_closes_accounts() -> Outcome {
    let lab = Lab::start()?;
    let (device, etc) = device(&lab, "policy.allow_locked_accounts = true")?;
    files::write(&etc.join("nologin"), "")?;
    for (user, _) in CLOSED {
        let out = id(&lab, &device, user)?;
        ensure(out.stdout == format!("{user}\n").as_bytes(), || format!("{out:?}"))?;
    }
    Ok(())
}

#[test]
fn the_kernels_audit_knows_the_session_by_its_user() -> Outcome {
    if !Path::new("/proc/self/loginuid").exists() {
        return Ok(()); // a kernel without audit
    }
    let lab = Lab::start()?;
    let (device, _) = device(&lab, "")?;
    let words = ["exec", "-n", "--user", "keys-only", device.id(), "--"];
    let out = lab.admin().run(&[&words[..], &["cat", "/proc/self/loginuid"]].concat())?;
    ensure(out.stdout == b"4001", || format!("{out:?}"))
}

/// A device whose agent is root with these words before it.
fn confined(lab: &Lab, behind: &[&str]) -> Outcome<Device> {
    let behind = behind.iter().map(|word| (*word).to_owned()).collect();
    lab.device_with(&DeviceSetup { behind, ..DeviceSetup::default() })
}

#[test]
fn an_agent_without_the_right_to_change_its_user_opens_sessions_as_root() -> Outcome {
    let lab = Lab::start()?;
    for behind in [
        &["setpriv", "--bounding-set=-setgid,-setuid"][..],
        &["setpriv", "--groups=0,4242", "--bounding-set=-all"],
        &["unshare", "--user", "--map-root-user"],
    ] {
        let device = confined(&lab, behind)?;
        let out = id(&lab, &device, "root")?;
        ensure(out.stdout == b"root\n", || format!("{behind:?}: {out:?}"))?;
        let mut shell = lab.admin().shell(device.id())?;
        shell.line("echo up-$((40 + 2))")?;
        shell.expect("up-42")?;
        shell.line("exit")?;
    }
    Ok(())
}

#[test]
fn an_agent_under_a_number_without_a_name_opens_sessions_as_itself() -> Outcome {
    let lab = Lab::start()?;
    let behind = ["unshare", "--user", "--map-user=54321", "--map-group=54321"];
    let device = confined(&lab, &behind)?;
    let out = lab.admin().run(&["exec", "-n", device.id(), "--", "id", "-u"])?;
    ensure(out.stdout == b"54321\n", || format!("{out:?}"))
}

#[test]
fn an_agent_without_the_right_to_change_its_user_says_so_for_another_account() -> Outcome {
    let lab = Lab::start()?;
    let behind = ["setpriv", "--bounding-set=-setgid,-setuid"].map(str::to_owned).to_vec();
    let config = "policy.allow_locked_accounts = true".into();
    let device = lab.device_with(&DeviceSetup { behind, config, ..DeviceSetup::default() })?;
    refused(&id(&lab, &device, "nobody")?, "the agent needs CAP_SETGID")
}
