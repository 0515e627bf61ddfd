//! A device: a state directory, a configuration, and the agent's process behind a relay.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::Activation;
use super::gateway::Gateway;
use super::operator::{COMMAND, Operator};
use super::programs::Programs;
use crate::process::Running;
use crate::relay::Relay;
use crate::{Outcome, Trouble, eventually, files, process};

/// How long an agent may take from its start until the gateway lists it as online.
const COMES_ONLINE: Duration = Duration::from_secs(60);

/// What a test wants different from a device's defaults.
#[derive(Debug, Clone, Default)]
pub struct DeviceSetup {
    /// More lines for `agent.toml`, with dotted keys (`sessions.max = 2`).
    pub config: String,
    /// Environment of the agent.
    pub environment: Vec<(String, String)>,
    /// Put before the agent's command line: `unshare`, `faketime`, ... It must become the agent,
    /// not start it.
    pub behind: Vec<String>,
    /// Name to enroll with.
    pub name: Option<String>,
    /// Tags to enroll with.
    pub tags: Vec<(String, String)>,
    /// Reach the gateway at this `HOST:PORT`, not through the relay.
    pub direct: Option<String>,
    /// Words of trust in place of `--ca FILE`, such as `--pin SHA256`.
    pub trust: Option<Vec<String>>,
}

/// A device. Dropped: its agent is killed.
#[derive(Debug)]
pub struct Device {
    program: PathBuf,
    directory: PathBuf,
    setup: DeviceSetup,
    gateway: String,
    trust: Vec<String>,
    id: String,
    running: Option<Running>,
    /// Between agent and gateway.
    pub relay: Relay,
}

impl Device {
    pub(super) fn new(
        programs: &Programs,
        gateway: &Gateway,
        directory: PathBuf,
        relay: Relay,
        setup: &DeviceSetup,
    ) -> Outcome<Self> {
        let ca = gateway.ca().display().to_string();
        let device = Self {
            program: programs.agent.clone(),
            gateway: setup.direct.clone().unwrap_or_else(|| relay.address().to_string()),
            trust: setup.trust.clone().unwrap_or_else(|| vec!["--ca".into(), ca]),
            id: String::new(),
            running: None,
            setup: setup.clone(),
            relay,
            directory,
        };
        device.configure(&setup.config)?;
        Ok(device)
    }

    /// Its id, `mi-…`; empty before it is enrolled.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its directory: `agent.toml`, `state/`, `agent.log`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The agent's state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Writes `agent.toml` anew with these lines. Reconnects are quick: tests cut links.
    ///
    /// # Errors
    /// What the system says.
    pub fn configure(&self, lines: &str) -> Outcome {
        let mut text = format!("runtime_dir = {:?}\n", self.directory.join("run"));
        writeln!(text, "gateway.reconnect_max = \"1s\"\n{lines}")?;
        files::write(&self.directory.join("agent.toml"), text)
    }

    /// The agent's command line with `words`.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut line: Vec<String> =
            if words.first() == Some(&"run") { plain_logins() } else { Vec::new() };
        line.extend(self.setup.behind.iter().cloned());
        line.push(self.program.display().to_string());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args(words);
        command
            .arg("--config")
            .arg(self.directory.join("agent.toml"))
            .arg("--state-dir")
            .arg(self.state());
        command.envs(self.setup.environment.iter().map(|(name, value)| (name, value)));
        // Somebody's proxy is not part of the test.
        for name in
            ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"]
        {
            if !self.setup.environment.iter().any(|(set, _)| set == name) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Enrolls it.
    ///
    /// # Errors
    /// What the agent says.
    pub fn enroll(&mut self, activation: &Activation) -> Outcome {
        let out = self.try_enroll(activation, &[])?;
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        if !out.status.success() {
            return Err(Trouble::new(format!("towline-agent enroll: {text}")));
        }
        self.id = device_id(&text)
            .ok_or_else(|| Trouble::new(format!("enroll named no device: {text}")))?;
        Ok(())
    }

    /// Runs `enroll` with `more` words, whatever comes of it.
    ///
    /// # Errors
    /// The agent cannot be started, or does not come to an end.
    pub fn try_enroll(&self, activation: &Activation, more: &[&str]) -> Outcome<Output> {
        let mut command = self.command(&[
            "enroll",
            "--gateway",
            &self.gateway,
            "--activation-id",
            &activation.id,
        ]);
        command.args(&self.trust).args(more).env("TOWLINE_ACTIVATION_CODE", &activation.code);
        if let Some(name) = &self.setup.name {
            command.args(["--name", name]);
        }
        for (key, value) in &self.setup.tags {
            command.args(["--tag", &format!("{key}={value}")]);
        }
        process::finish(command, COMMAND)
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self) -> Outcome {
        self.running = Some(Running::start(
            "towline-agent",
            self.command(&["run"]),
            &self.directory.join("agent.log"),
        )?);
        Ok(())
    }

    /// Starts the agent's command line in another way than [`Device::command`] gives it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_as(&mut self, command: Command) -> Outcome {
        self.running =
            Some(Running::start("towline-agent", command, &self.directory.join("agent.log"))?);
        Ok(())
    }

    /// Waits until the gateway says that it is connected.
    ///
    /// # Errors
    /// It did not come online in time; with its log.
    pub fn wait_online(&self, admin: &Operator) -> Outcome {
        let body = serde_json::json!({ "Target": self.id });
        let online = || {
            let status = admin.api("AmazonSSM.GetConnectionStatus", &body).ok()?;
            (status["Status"].as_str() == Some("connected")).then_some(())
        };
        eventually("the device is online", COMES_ONLINE, online).map_err(|e| {
            Trouble::new(format!("{e}; its log ends:\n{}", files::tail(&self.log(), 30)))
        })
    }

    /// The agent's process.
    ///
    /// # Errors
    /// It was not started.
    pub fn process(&mut self) -> Outcome<&mut Running> {
        self.running.as_mut().ok_or_else(|| Trouble::new("the agent was not started"))
    }

    /// The agent's process id.
    ///
    /// # Errors
    /// It was not started.
    pub fn pid(&self) -> Outcome<u32> {
        self.running
            .as_ref()
            .map(Running::pid)
            .ok_or_else(|| Trouble::new("the agent was not started"))
    }

    /// Where the agent logs.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("agent.log")
    }

    /// What the agent has logged.
    #[must_use]
    pub fn logged(&self) -> String {
        files::tail(&self.log(), usize::MAX)
    }
}

/// Words to put before the agent, so that the login shells of its sessions read none of the
/// tester's own start-up files: those belong to a person, may take seconds, and hold locks that a
/// killed shell leaves behind (seen: 60 s of waiting). Where no mount namespace can be had, the
/// files are read after all.
fn plain_logins() -> Vec<String> {
    static POSSIBLE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let possible = *POSSIBLE.get_or_init(|| {
        let probe = Command::new("unshare")
            .args(["--mount", "mount", "--bind", "/dev/null", "/dev/null"])
            .output();
        probe.is_ok_and(|out| out.status.success())
    });
    let hide = "for f in .profile .bash_profile .bash_login .bashrc; do \
                if [ -e \"$HOME/$f\" ]; then mount --bind /dev/null \"$HOME/$f\" || exit 1; fi; \
                done; exec \"$@\"";
    let words =
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide, "plain-logins"];
    if possible { words.map(str::to_owned).to_vec() } else { Vec::new() }
}

/// The first `mi-` with 17 hexadecimal digits in a text.
#[must_use]
pub fn device_id(text: &str) -> Option<String> {
    text.match_indices("mi-").find_map(|(at, _)| {
        let digits = text.get(at + 3..at + 20)?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| format!("mi-{digits}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_is_found_in_a_sentence() {
        let id = "mi-0123456789abcdef0";
        assert_eq!(device_id(&format!("semi-final; enrolled as {id}.")).as_deref(), Some(id));
        assert_eq!(device_id("mi-short"), None);
    }
}
