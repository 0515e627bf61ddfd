//! `towline-agent status`: what the running agent does, from a small file in memory that is
//! written when something changes.
//!
//! The agent has no listener, so the file is the only way to ask. It is named after the state
//! directory: two agents on one device have two files. The agent works without it.

use crate::clock::{system_time, utc};
use crate::command_log::watcher::Means;
use crate::config::Config;
use crate::logger;
use crate::platform::VERSION;
use crate::state::enrollment::{Address, Enrollment, Trust};
use crate::state::key::DeviceKey;
use crate::state::{Dir, StateError, atomic};
use std::fs;
use std::path::{Path, PathBuf};

/// How the link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkStatus {
    /// The gateway has accepted the device.
    Up,
    /// A connection is being made.
    Dialling,
    /// There is none, and this is why.
    Waiting {
        /// The last failure.
        why: String,
    },
}

/// The running agent's report.
#[derive(Debug)]
pub struct Status {
    file: PathBuf,
    link: LinkStatus,
    since: u64,
    last_error: String,
    sessions: usize,
    gateway: String,
    command_log: String,
    max_processes: String,
    separation: String,
    renewal: String,
    warned: bool,
}

impl Status {
    /// Nothing is written yet. `max_processes` says how many a session may have, or why any number.
    #[must_use]
    pub fn new(config: &Config, enrollment: &Enrollment, max_processes: String) -> Self {
        Self {
            file: file_of(&config.runtime_dir, &config.state_dir),
            link: LinkStatus::Dialling,
            since: 0,
            last_error: String::new(),
            sessions: 0,
            gateway: config.gateways.first().unwrap_or(&enrollment.gateway).to_string(),
            command_log: String::new(),
            max_processes,
            separation: "one process".to_owned(),
            renewal: String::new(),
            warned: false,
        }
    }

    /// What the command log knows processes by.
    pub fn command_log(&mut self, means: &Means) {
        let text = means.to_string();
        if text != self.command_log {
            self.command_log = text;
            self.write();
        }
    }

    /// How what reads the network is separated.
    pub fn separation(&mut self, text: &str) {
        if text != self.separation {
            text.clone_into(&mut self.separation);
            self.write();
        }
    }

    /// The link's state. Dialling after a failure is no news: a device that is offline must not
    /// write all the time.
    pub fn link(&mut self, link: &LinkStatus) {
        let retrying =
            matches!((&self.link, link), (LinkStatus::Waiting { .. }, LinkStatus::Dialling));
        if *link == self.link && self.since != 0 || retrying {
            return;
        }
        if let LinkStatus::Waiting { why } = link {
            self.last_error.clone_from(why);
        }
        self.link = link.clone();
        self.since = system_time().as_secs();
        self.write();
    }

    /// The gateway that is linked; [`Self::link`] writes it.
    pub fn gateway(&mut self, gateway: &Address) {
        self.gateway = gateway.to_string();
    }

    /// A restart was requested, and waits for this.
    pub fn renewal(&mut self, why: &str) {
        why.clone_into(&mut self.renewal);
        self.write();
    }

    /// The number of sessions.
    pub fn sessions(&mut self, sessions: usize) {
        if sessions != self.sessions {
            self.sessions = sessions;
            self.write();
        }
    }

    /// The agent stops.
    pub fn gone(&self) {
        let _ = fs::remove_file(&self.file);
    }

    fn write(&mut self) {
        let link = match &self.link {
            LinkStatus::Up => "up",
            LinkStatus::Dialling => "dialling",
            LinkStatus::Waiting { .. } => "down",
        };
        let text = object(&[
            ("pid", std::process::id().to_string()),
            ("version", quote(VERSION)),
            ("gateway", quote(&self.gateway)),
            ("link", quote(link)),
            ("since", quote(&utc(self.since))),
            ("lastError", quote(&self.last_error)),
            ("sessions", self.sessions.to_string()),
            ("commandLog", quote(&self.command_log)),
            ("maxProcesses", quote(&self.max_processes)),
            ("network", quote(&self.separation)),
            ("reload", quote(&self.renewal)),
        ]);
        if let Some(dir) = self.file.parent() {
            let _ = fs::create_dir_all(dir);
        }
        if let Err(error) = atomic::replace_for_now(&self.file, text.as_bytes(), 0o644) {
            if !self.warned {
                logger::debug!("no status file: {}: {error}", self.file.display());
            }
            self.warned = true;
        }
    }
}

/// `/run/towline/var-lib-towline.json` for `/var/lib/towline`.
fn file_of(runtime: &Path, state: &Path) -> PathBuf {
    let name = state.to_string_lossy().trim_matches('/').replace('/', "-");
    runtime.join(format!("{name}.json"))
}

/// What `towline-agent status` prints: the enrollment, and what the running agent reports.
///
/// # Errors
/// The state cannot be read. A device that is not enrolled is no error here.
pub fn report(config: &Config, json: bool) -> Result<String, StateError> {
    let dir = Dir::at(&config.state_dir);
    let enrollment = match Enrollment::load(&dir) {
        Ok(enrollment) => Some(enrollment),
        Err(StateError::NotEnrolled(_)) => None,
        Err(error) => return Err(error),
    };
    let fingerprint = DeviceKey::load(&dir).map(|key| key.fingerprint()).unwrap_or_default();
    let running = matches!(dir.lock_now(), Err(StateError::InUse(_)));
    let agent = fs::read_to_string(file_of(&config.runtime_dir, &config.state_dir))
        .ok()
        .filter(|_| running);
    let of =
        |value: &dyn Fn(&Enrollment) -> String| enrollment.as_ref().map_or_else(String::new, value);
    let trust = |e: &Enrollment| match &e.trust {
        Trust::Public => "public".to_owned(),
        Trust::Ca(_) => "ca".to_owned(),
        Trust::Pin(_) => "pin".to_owned(),
    };
    let rows = [
        ("device", of(&|e| e.device.clone())),
        ("gateway", of(&|e| e.gateway.to_string())),
        ("trust", of(&trust)),
        ("keyFingerprint", fingerprint),
        ("stateDir", config.state_dir.display().to_string()),
    ];
    if json {
        let mut fields =
            vec![("enrolled", enrollment.is_some().to_string()), ("running", running.to_string())];
        fields.extend(rows.iter().map(|(name, value)| (*name, quote(value))));
        fields.push((
            "agent",
            agent.map_or_else(|| "null".to_owned(), |text| text.trim().to_owned()),
        ));
        return Ok(object(&fields));
    }
    let state = match (&enrollment, running) {
        (None, _) => "not enrolled",
        (Some(_), true) => "running",
        (Some(_), false) => "not running",
    };
    let mut text = format!("{:16}{state}\n", "state");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("{name:16}{value}\n"));
    }
    for (name, value) in agent.iter().flat_map(|agent| fields_of(agent)) {
        if value.is_empty() {
            continue;
        }
        // The address above is that of the enrollment.
        let name = if name == "gateway" { "dials" } else { &name };
        text.push_str(&format!("{name:16}{value}\n"));
    }
    Ok(text)
}

/// Names and values of what [`object`] has written; as far as it is that.
fn fields_of(object: &str) -> Vec<(String, String)> {
    let mut rest = object.trim().trim_start_matches('{');
    let mut fields = Vec::new();
    while let Some((name, after)) = unquote(rest.trim_start_matches(',')) {
        let after = after.trim_start_matches(':');
        let (value, after) = unquote(after).unwrap_or_else(|| {
            let end = after.find([',', '}']).unwrap_or(after.len());
            (after[..end].to_owned(), &after[end..])
        });
        fields.push((name, value));
        rest = after;
    }
    fields
}

/// The text that [`quote`] has quoted, without control characters, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('"')?;
    let (mut plain, mut characters) = (String::new(), inside.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((plain, &inside[at + 1..])),
            '\\' => match characters.next()?.1 {
                'u' => {
                    plain.push(' ');
                    characters.nth(3)?;
                }
                escaped => plain.push(escaped),
            },
            _ => plain.push(character),
        }
    }
    None
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}\n", fields.join(","))
}

/// A JSON string.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_json_wants_it() {
        assert_eq!(quote("a\"b\\c\nd\u{7f}"), "\"a\\\"b\\\\c\\u000ad\\u007f\"");
    }

    #[test]
    fn what_the_agent_reports_is_read_back_for_people() {
        let written = object(&[
            ("pid", "7".to_owned()),
            ("lastError", quote("no \"gw\", {\\}\n")),
            ("sessions", "0".to_owned()),
            ("reload", quote("")),
        ]);
        let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let rows = [row("pid", "7"), row("lastError", "no \"gw\", {\\} ")];
        assert_eq!(
            fields_of(&written),
            [&rows[..], &[row("sessions", "0"), row("reload", "")]].concat()
        );
        assert_eq!(fields_of("{\"pid\":7,\"a"), [row("pid", "7")]);
        assert!(fields_of("").is_empty());
    }

    #[test]
    fn each_state_directory_has_a_status_file_of_its_own() {
        let of = |state| file_of(Path::new("/run/towline"), Path::new(state));
        assert_eq!(of("/var/lib/towline"), Path::new("/run/towline/var-lib-towline.json"));
        assert_ne!(of("/a"), of("/b"));
    }

    #[test]
    fn a_device_that_is_not_enrolled_says_so() {
        let temp = tempfile::tempdir().unwrap();
        let config = Config { state_dir: temp.path().into(), ..Config::default() };
        assert!(
            report(&config, true).unwrap().starts_with("{\"enrolled\":false,\"running\":false,")
        );
        assert!(report(&config, false).unwrap().contains("not enrolled"));
    }
}
