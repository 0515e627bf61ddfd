//! OpenSSH's own programs through `towline proxy`: ssh, scp, sftp, rsync, and ssh's own forwards
//! within.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use towline_testkit::lab::{Device, DeviceSetup, Lab, Operator};
use towline_testkit::process::Running;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files, ports};

use super::{PATIENCE, pattern};

/// An sshd on the device, and a configuration of ssh made by `towline ssh-config`.
pub(crate) struct Ssh {
    folder: PathBuf,
    pub(super) port: u16,
    config: PathBuf,
    _sshd: Running,
}

impl Ssh {
    pub(crate) fn start(lab: &Lab, printed: &str) -> Outcome<Self> {
        let folder = lab.directory().join("ssh");
        std::fs::create_dir(&folder)?;
        for name in ["host", "client"] {
            let mut make = Command::new("ssh-keygen");
            make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.join(name));
            ensure(make.status()?.success(), || "ssh-keygen failed".into())?;
        }
        let port = ports::free()?.port();
        let sshd = sshd(&folder, port)?;
        let config = folder.join("config");
        let common = format!(
            "Host *\n    Port {port}\n    IdentityFile {}\n    IdentitiesOnly yes\n    \
             UserKnownHostsFile {}\n    \
             StrictHostKeyChecking accept-new\n    LogLevel ERROR\n    BatchMode yes\n",
            folder.join("client").display(),
            folder.join("known").display()
        );
        files::write(&config, format!("{printed}\n{common}"))?;
        eventually("sshd listens", PATIENCE, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        })?;
        Ok(Self { folder, port, config, _sshd: sshd })
    }

    /// `PROGRAM -F config`, with the administrator's environment for the proxy command.
    pub(crate) fn command(&self, lab: &Lab, program: &str) -> Command {
        self.of(&lab.admin(), program)
    }

    /// The same with that of another user.
    pub(crate) fn of(&self, user: &Operator, program: &str) -> Command {
        let mut command = user.equip(Command::new(program));
        command.arg("-F").arg(&self.config).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, lab: &Lab, program: &str, words: &[&str]) -> Outcome<Output> {
        let out = self.command(lab, program).args(words).output()?;
        ensure(out.status.success(), || format!("{program} {words:?}: {out:?}"))?;
        Ok(out)
    }
}

fn sshd(folder: &Path, port: u16) -> Outcome<Running> {
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes \
         no\nUsePAM no\n\
         PasswordAuthentication no\nPermitRootLogin yes\nUseDNS no\nPrintMotd no\nPidFile none\n\
         Subsystem sftp internal-sftp\n",
        folder.join("host").display(),
        folder.join("client.pub").display()
    );
    files::write(&folder.join("sshd.conf"), config)?;
    // where it locks its unprivileged half in; made by its package's service
    let _ = std::fs::create_dir_all("/run/sshd");
    let program =
        ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|path| Path::new(path).is_file());
    let mut command = Command::new(
        program.ok_or_else(|| Trouble::new("no sshd: the package openssh-server has it"))?,
    );
    command.args(["-D", "-e", "-f"]).arg(folder.join("sshd.conf"));
    Running::start("sshd", command, &folder.join("sshd.log"))
}

fn named_device(lab: &Lab) -> Outcome<Device> {
    lab.device_with(&DeviceSetup { name: Some("Tunnel-End".into()), ..DeviceSetup::default() })
}

#[test]
fn ssh_scp_sftp_and_rsync_reach_a_device_by_its_id_and_by_its_name() -> Outcome {
    let lab = Lab::start()?;
    let device = named_device(&lab)?;
    let ssh = Ssh::start(&lab, &lab.admin().text(&["ssh-config"])?)?;
    let out = ssh.run(&lab, "ssh", &["Tunnel-End", "echo sum-$((6 * 7)); exit 0"])?;
    ensure(out.stdout == b"sum-42\n", || format!("{out:?}"))?;
    let out = ssh.command(&lab, "ssh").args([device.id(), "exit 7"]).output()?;
    ensure(out.status.code() == Some(7), || format!("the exit code of the command: {out:?}"))?;

    let (from, there, back) =
        (ssh.folder.join("from"), ssh.folder.join("there"), ssh.folder.join("back"));
    let content = pattern(7, 3_000_000);
    files::write(&from, &content)?;
    let (from, there) = (from.display().to_string(), there.display().to_string());
    ssh.run(&lab, "scp", &["-q", &from, &format!("{}:{there}", device.id())])?;
    ensure(std::fs::read(&there)? == content, || "scp put another file there".into())?;
    files::write(&ssh.folder.join("batch"), format!("get {there} {}\n", back.display()))?;
    let batch = ssh.folder.join("batch").display().to_string();
    ssh.run(&lab, "sftp", &["-q", "-b", &batch, "Tunnel-End"])?;
    ensure(std::fs::read(&back)? == content, || "sftp brought another file back".into())?;

    let tree = ssh.folder.join("tree");
    std::fs::create_dir_all(tree.join("a/b"))?;
    for n in 0..40 {
        files::write(&tree.join(format!("a/b/file-{n}")), pattern(n, 5_000))?;
    }
    let mirror = ssh.folder.join("mirror");
    let mut rsync = lab.admin().equip(Command::new("rsync"));
    rsync.args(["-a", "-e"]).arg(format!("ssh -F {}", ssh.config.display())).stdin(Stdio::null());
    rsync.arg(format!("{}/", tree.display())).arg(format!("Tunnel-End:{}/", mirror.display()));
    let out = rsync.output()?;
    ensure(out.status.success(), || format!("{out:?}"))?;
    let same = Command::new("diff").arg("-r").args([&tree, &mirror]).status()?.success();
    ensure(same, || "rsync's copy differs".into())
}

#[test]
fn a_forward_of_ssh_within_and_a_lost_link_are_nothing_to_ssh() -> Outcome {
    let lab = Lab::start()?;
    let device = named_device(&lab)?;
    let ssh = Ssh::start(&lab, &lab.admin().text(&["ssh-config", "--only-ids"])?)?;
    let server = super::echo_server()?;
    let local = ports::free()?.port();
    let mut command = ssh.command(&lab, "ssh");
    command.args([
        "-N",
        "-o",
        "ExitOnForwardFailure=yes",
        "-L",
        &format!("{local}:{server}"),
        device.id(),
    ]);
    let mut running = Running::start("ssh -L", command, &ssh.folder.join("ssh.log"))?;
    let mut stream = eventually("ssh listens", PATIENCE, || super::connect(local).ok())?;
    super::ask(&mut stream, b"before")?;
    ensure(device.relay.cut() > 0, || "there was no link to cut".into())?;
    super::ask(&mut stream, &pattern(8, 400_000))?;
    ensure(running.is_running(), || "ssh has ended".into())
}

#[test]
fn a_proxy_ends_with_the_program_that_started_it_also_while_the_gateway_is_away() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let server = super::serve(|mut stream| {
        let _ = stream.write_all(b"hello\n");
        // Silent from then on.
        let _ = stream.read_to_end(&mut Vec::new());
    })?;
    for away in [false, true] {
        let log = lab.directory().join(format!("proxy-{away}.log"));
        let mut command = lab.admin().towline(&["proxy", device.id(), &server.port().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(std::fs::File::create(&log)?);
        let mut proxy = command.spawn()?;
        // Kept open: the end of the input alone is not the end of the connection.
        let (stdin, mut stdout) = (proxy.stdin.take(), proxy.stdout.take());
        let mut first = [0; 6];
        stdout.as_mut().ok_or_else(|| Trouble::new("no pipe"))?.read_exact(&mut first)?;
        if away {
            lab.gateway.kill()?;
            eventually("the proxy misses the gateway", PATIENCE, || {
                std::fs::read_to_string(&log).ok()?.contains("reconnecting").then_some(())
            })?;
        }
        drop(stdout);
        eventually("the proxy has ended", PATIENCE, || proxy.try_wait().ok()?)?;
        drop(stdin);
    }
    Ok(())
}

#[test]
fn what_the_server_says_first_is_heard_and_its_end_is_the_end() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let server = super::serve(|mut stream| {
        let mut word = [0; 5];
        let _ = stream.write_all(b"hello\n");
        let _ = stream.read_exact(&mut word);
        let _ = stream.write_all(&pattern(9, 1_000_000));
    })?;
    let mut proxy = lab.admin().towline(&["proxy", device.id(), &server.port().to_string()]);
    let mut proxy =
        proxy.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut stdin, mut stdout) = (proxy.stdin.take(), proxy.stdout.take());
    let (Some(stdin), Some(stdout)) = (&mut stdin, &mut stdout) else {
        return Err(Trouble::new("no pipes"));
    };
    let mut first = [0; 6];
    stdout.read_exact(&mut first)?;
    stdin.write_all(b"then?")?;
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest)?;
    let status = proxy.wait()?;
    ensure(first == *b"hello\n" && rest == pattern(9, 1_000_000), || {
        format!("{} bytes", rest.len())
    })?;
    ensure(status.success(), || format!("{status}"))
}
