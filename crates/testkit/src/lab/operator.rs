//! An operator: access keys, and the command line run with them.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use super::gateway::Gateway;
use super::programs::Programs;
use crate::https::{self, Answer, Request};
use crate::terminal::Terminal;
use crate::{Outcome, Trouble, machine, process};

/// How long a command of the operator may take that a test waits for without a deadline of its own.
pub const COMMAND: Duration = Duration::from_secs(120);

/// An access key. Its secret is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// `AKIA…`.
    pub id: String,
    /// The secret.
    pub secret: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Keys {
    /// From an object with `AccessKeyId` and `SecretAccessKey`.
    ///
    /// # Errors
    /// One is missing; without a secret in the words.
    pub fn from_json(value: &Value) -> Outcome<Self> {
        let text = |name: &str| {
            value[name]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| Trouble::new(format!("an access key without {name}")))
        };
        Ok(Self { id: text("AccessKeyId")?, secret: text("SecretAccessKey")? })
    }
}

/// Somebody at a laptop.
#[derive(Debug, Clone)]
pub struct Operator {
    cli: PathBuf,
    endpoint: String,
    ca: PathBuf,
    region: String,
    keys: Keys,
    home: PathBuf,
    source: Option<IpAddr>,
}

impl Operator {
    pub(super) fn new(programs: &Programs, gateway: &Gateway, keys: Keys, home: &Path) -> Self {
        Self {
            cli: programs.cli.clone(),
            endpoint: gateway.endpoint(),
            ca: gateway.ca().to_owned(),
            region: gateway.region().to_owned(),
            keys,
            home: home.to_owned(),
            source: None,
        }
    }

    /// The same one, reaching the gateway at another URL.
    #[must_use]
    pub fn at(mut self, endpoint: String) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// The same one, sending requests from another address of this machine (`127.x.y.z`).
    #[must_use]
    pub fn from_address(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// The same one with other keys.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// Their keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The environment that both our command line and AWS tools understand.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let ca = self.ca.display().to_string();
        vec![
            ("AWS_ACCESS_KEY_ID", self.keys.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.keys.secret.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_CA_BUNDLE", ca.clone()),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("TOWLINE_ENDPOINT", self.endpoint.clone()),
            ("TOWLINE_CA", ca),
        ]
    }

    /// A command of somebody who has only this operator's keys: no profile of the machine is read.
    #[must_use]
    pub fn equip(&self, mut command: Command) -> Command {
        machine::forget(&mut command);
        command
            .envs(self.environment())
            .env("HOME", &self.home)
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8");
        command
    }

    /// The Python of the tests, with this operator's keys.
    #[must_use]
    pub fn python(&self) -> Command {
        let mut command = self.equip(Command::new(machine::program()));
        machine::settle(&mut command);
        command
    }

    /// `towline WORDS…`.
    #[must_use]
    pub fn towline(&self, words: &[&str]) -> Command {
        let mut command = self.equip(Command::new(&self.cli));
        command.args(words);
        command
    }

    /// Runs `towline WORDS…` without a terminal to its end.
    ///
    /// # Errors
    /// It cannot be started, or does not end within [`COMMAND`].
    pub fn run(&self, words: &[&str]) -> Outcome<Output> {
        process::finish(self.towline(words), COMMAND)
    }

    /// Runs `towline WORDS…` and gives its stdout.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub fn text(&self, words: &[&str]) -> Outcome<String> {
        let out = self.run(words)?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            return Err(Trouble::new(format!(
                "towline {}: {}: {said}",
                words.join(" "),
                out.status
            )));
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// Opens `towline shell DEVICE` on a terminal of 24 x 80.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn shell(&self, device: &str) -> Outcome<Terminal> {
        self.terminal(&["shell", device])
    }

    /// Opens `towline WORDS…` on a terminal of 24 x 80.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn terminal(&self, words: &[&str]) -> Outcome<Terminal> {
        Terminal::start(&self.towline(words), 24, 80)
    }

    /// Calls one operation, given as its `X-Amz-Target`, with a JSON body; gives the JSON answer.
    ///
    /// # Errors
    /// The gateway's error code and message.
    pub fn api(&self, target: &str, body: &Value) -> Outcome<Value> {
        let (status, answer) = self.api_raw(target, &body.to_string())?;
        let value: Value = serde_json::from_str(&answer).map_err(|e| {
            Trouble::new(format!("{target}: HTTP {status}, not JSON ({e}): {answer:?}"))
        })?;
        if status != 200 {
            return Err(Trouble::new(format!("{target}: HTTP {status}: {answer}")));
        }
        Ok(value)
    }

    /// Like [`Operator::api`], whatever the answer: HTTP status and text.
    ///
    /// # Errors
    /// There is no answer.
    pub fn api_raw(&self, target: &str, body: &str) -> Outcome<(u16, String)> {
        let request = Request::json(target, body);
        let answer = self.send(&request)?;
        Ok((answer.status, answer.body))
    }

    /// Signs a request with this operator's keys and sends it.
    ///
    /// # Errors
    /// There is no answer.
    pub fn send(&self, request: &Request) -> Outcome<Answer> {
        let host = self.endpoint.trim_start_matches("https://");
        let signed = request.signed(host, &self.keys, &self.region, https::now())?;
        https::exchange(host, &self.ca, self.source, &signed)
    }

    /// Sends a request as it is, without a signature.
    ///
    /// # Errors
    /// There is no answer.
    pub fn send_unsigned(&self, request: &Request) -> Outcome<Answer> {
        let host = self.endpoint.trim_start_matches("https://");
        https::exchange(host, &self.ca, self.source, &request.unsigned(host))
    }
}
