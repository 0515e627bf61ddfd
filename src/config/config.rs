//! All settings of the agent, and how each key sets one.

use super::raw::{self, Entry, Finding, Place, Value};
use super::values::{between, duration, flag, level, list, number, path, spool_bytes, text};
use crate::arguments::Arguments;
use crate::limits;
use crate::link::proxy::{Proxy, is_exempt};
use crate::policy::DevicePolicy;
use crate::policy::forwards::Forward;
use crate::state::DEFAULT_DIR;
use crate::state::enrollment::{Address, Trust, certificates};
use crate::state::key::unhex32;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// Where the configuration is read from unless told otherwise.
pub const DEFAULT_FILE: &str = "/etc/towline/agent.toml";
/// A directory in memory for the status file; see [`crate::status`].
pub const DEFAULT_RUNTIME_DIR: &str = "/run/towline";

/// The account of the network process unless set otherwise; packages make it.
pub const NETWORK_USER: &str = "towline-net";

/// All settings of the agent.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where key and enrollment are.
    pub state_dir: PathBuf,
    /// Where the status file goes.
    pub runtime_dir: PathBuf,
    /// How much is logged.
    pub log: LevelFilter,
    /// Other addresses of gateways than the enrollment's, in the order of their turns.
    pub gateways: Vec<Address>,
    /// Which of them is dialled first.
    pub order: GatewayOrder,
    /// Another way to trust it than the enrollment's.
    pub trust: Option<Trust>,
    /// The proxy, and for which hosts it is not used.
    pub proxy: Option<Proxy>,
    /// As in the variable `NO_PROXY`.
    pub no_proxy: String,
    /// Longest wait between two tries to dial.
    pub reconnect_max: Duration,
    /// Longest silence on the link before it is probed.
    pub keep_alive_max: Duration,
    /// Most sessions at once.
    pub max_sessions: usize,
    /// Most processes of one session; 0 for any number, and unset a number after the device's size.
    pub max_processes: Option<u32>,
    /// How long sessions outlive the link.
    pub grace: Duration,
    /// Bytes of one tunnel or copy that may be under way in each direction.
    pub window: u32,
    /// Who runs a session for which nobody was named; the agent's own account if not set.
    pub default_user: Option<String>,
    /// Whether what reads the network is a process of its own.
    pub separated: Separated,
    /// The account of that process.
    pub network_user: String,
    /// The command log.
    pub audit: AuditSettings,
    /// What the device itself permits.
    pub policy: DevicePolicy,
}

/// What the device's administrator wants of the command log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditSettings {
    /// Whether it is kept.
    pub command_log: bool,
    /// Bytes of the spool on disk; 0: memory only.
    pub spool_bytes: u64,
    /// What happens when neither memory nor spool has room.
    pub when_full: WhenFull,
}

/// Which of several gateways a device dials first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayOrder {
    /// The first of the list.
    Listed,
    /// Any of them, drawn at each start: the devices of a fleet share them.
    Random,
}

/// Whether what reads the network is a process of its own, without rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separated {
    /// One process does it all.
    Off,
    /// Where the device can have it. Log and status say where it cannot.
    Wanted,
    /// There is no link without it.
    Demanded,
}

/// See [`AuditSettings::when_full`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest records go, and the log says so.
    DropOldest,
    /// No session is opened until the gateway has taken some. Sessions that run go on, and then the
    /// oldest records go.
    RefuseSessions,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { command_log: true, spool_bytes: limits::SPOOL, when_full: WhenFull::DropOldest }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: DEFAULT_DIR.into(),
            runtime_dir: DEFAULT_RUNTIME_DIR.into(),
            log: LevelFilter::INFO,
            gateways: Vec::new(),
            order: GatewayOrder::Listed,
            trust: None,
            proxy: None,
            no_proxy: String::new(),
            reconnect_max: limits::RECONNECT_MAX,
            keep_alive_max: Duration::from_millis(towline_wire::keepalive::LONGEST),
            max_sessions: limits::SESSIONS,
            max_processes: None,
            grace: limits::GRACE,
            window: limits::WINDOW,
            default_user: None,
            separated: Separated::Off,
            network_user: NETWORK_USER.to_owned(),
            audit: AuditSettings::default(),
            policy: DevicePolicy::default(),
        }
    }
}

/// All keys, as they stand in a file.
pub const KEYS: &[&str] = &[
    "state_dir",
    "runtime_dir",
    "log",
    "gateway.address",
    "gateway.order",
    "gateway.ca_file",
    "gateway.pin",
    "gateway.proxy",
    "gateway.no_proxy",
    "gateway.reconnect_max",
    "gateway.keep_alive_max",
    "sessions.max",
    "sessions.max_processes",
    "sessions.grace",
    "sessions.allow_detach",
    "sessions.window_bytes",
    "sessions.default_user",
    "security.separation",
    "security.network_user",
    "audit.command_log",
    "audit.spool_bytes",
    "audit.when_full",
    "policy.allow_root",
    "policy.allow_locked_accounts",
    "policy.allowed_users",
    "policy.allowed_documents",
    "policy.allowed_forwards",
];

impl Config {
    /// Reads files and environment. The findings are worth telling; with a fatal one among them the
    /// configuration is not to be used.
    #[must_use]
    pub fn read(
        file: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> (Self, Vec<Finding>) {
        let mut findings = Vec::new();
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let entries = raw::read_files(path, file.is_some(), &mut findings);
        (Self::from_entries(entries, variable, &mut findings), findings)
    }

    /// What the entries of files mean, with those of the environment behind them.
    #[must_use]
    pub fn from_entries(
        mut entries: Vec<Entry>,
        variable: impl Fn(&str) -> Option<String>,
        findings: &mut Vec<Finding>,
    ) -> Self {
        entries.extend(raw::read_variables(KEYS, &variable));
        let mut config = Self::default();
        config.use_proxy_of_the_environment(&variable, findings);
        for entry in entries {
            config.take(entry, findings);
        }
        config
    }

    /// The configuration that a command line names, with its `--state-dir`, and the environment of
    /// this process.
    #[must_use]
    pub fn of(arguments: &Arguments) -> (Self, Vec<Finding>) {
        let variable = |name: &str| std::env::var(name).ok();
        let named =
            arguments.config.clone().or_else(|| variable("TOWLINE_CONFIG").map(PathBuf::from));
        let (mut config, findings) = Self::read(named.as_deref(), variable);
        if let Some(dir) = &arguments.state_dir {
            config.state_dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
        }
        (config, findings)
    }

    /// Where the command log is spooled.
    #[must_use]
    pub fn spool_dir(&self) -> PathBuf {
        self.state_dir.join("audit")
    }

    /// Whether the network has a process of its own, and as which account.
    #[must_use]
    pub fn separation(&self) -> (Separated, &str) {
        (self.separated, &self.network_user)
    }

    /// The proxy for a host: none if the host is exempt.
    #[must_use]
    pub fn proxy_for(&self, gateway: &Address) -> Option<Proxy> {
        self.proxy.clone().filter(|_| !is_exempt(&self.no_proxy, &gateway.host))
    }

    fn use_proxy_of_the_environment(
        &mut self,
        variable: &impl Fn(&str) -> Option<String>,
        findings: &mut Vec<Finding>,
    ) {
        let either = |name: &str| {
            let found = [name.to_owned(), name.to_ascii_lowercase()].into_iter();
            found
                .filter_map(|name| Some((variable(&name)?, name)))
                .find(|(value, _)| !value.is_empty())
        };
        if let Some((list, _)) = either("NO_PROXY") {
            self.no_proxy = list;
        }
        if let Some((url, name)) = either("HTTPS_PROXY") {
            match Proxy::parse(&url) {
                Ok(proxy) => self.proxy = Some(proxy),
                Err(text) => {
                    findings.push(Finding { place: Place::Variable(name), fatal: false, text })
                }
            }
        }
    }

    fn take(&mut self, entry: Entry, findings: &mut Vec<Finding>) {
        if !KEYS.contains(&entry.key.as_str()) {
            let (fatal, guess) = (would_close(&entry.key), suggestion(&entry.key));
            let ignored = if fatal { "" } else { " is ignored" };
            let text = format!("unknown key `{}`{ignored}{guess}", entry.key);
            findings.push(Finding { place: entry.place, fatal, text });
            return;
        }
        if let Err(why) = self.set(&entry.key, entry.value) {
            let text = format!("`{}` {why}", entry.key);
            findings.push(Finding { place: entry.place, fatal: true, text });
        }
    }

    fn set(&mut self, key: &str, value: Value) -> Result<(), String> {
        match key.split_once('.') {
            Some(("gateway", key)) => self.set_gateway(key, value),
            Some(("sessions", key)) => self.set_sessions(key, value),
            Some(("security", key)) => self.set_security(key, value),
            Some(("audit", key)) => self.set_audit(key, value),
            Some(("policy", key)) => self.set_policy(key, value),
            _ => self.set_top_level(key, value),
        }
    }

    fn set_top_level(&mut self, key: &str, value: Value) -> Result<(), String> {
        match key {
            "state_dir" => self.state_dir = path(value)?,
            "runtime_dir" => self.runtime_dir = path(value)?,
            "log" => self.log = level(value)?,
            _ => return Err(UNKNOWN.to_owned()),
        }
        Ok(())
    }

    fn set_gateway(&mut self, key: &str, value: Value) -> Result<(), String> {
        match key {
            "address" => self.gateways = addresses(value)?,
            "order" => {
                self.order = match text(value)?.as_str() {
                    "listed" => GatewayOrder::Listed,
                    "random" => GatewayOrder::Random,
                    _ => return Err("must be \"listed\" or \"random\"".to_owned()),
                }
            }
            "ca_file" => self.trust = Some(Trust::Ca(read_ca(&path(value)?)?)),
            "pin" => {
                let pin =
                    unhex32(&text(value)?).ok_or("must be a SHA-256 in 64 hexadecimal digits")?;
                self.trust = Some(Trust::Pin(pin));
            }
            "proxy" => {
                let url = text(value)?;
                self.proxy =
                    if url == "none" || url.is_empty() { None } else { Some(Proxy::parse(&url)?) };
            }
            "no_proxy" => self.no_proxy = list(value)?.join(","),
            "reconnect_max" => {
                self.reconnect_max =
                    between(duration(value)?, Duration::from_secs(1), limits::RECONNECT_CEILING)?
            }
            "keep_alive_max" => {
                self.keep_alive_max =
                    between(duration(value)?, limits::KEEP_ALIVE_FLOOR, limits::KEEP_ALIVE_CEILING)?
            }
            _ => return Err(UNKNOWN.to_owned()),
        }
        Ok(())
    }

    fn set_sessions(&mut self, key: &str, value: Value) -> Result<(), String> {
        match key {
            "max" => self.max_sessions = number(value, 1, limits::SESSIONS_CEILING)?,
            "max_processes" => {
                self.max_processes =
                    u32::try_from(number(value, 0, limits::PROCESSES_CEILING)?).ok()
            }
            "grace" => {
                self.grace = between(duration(value)?, Duration::ZERO, limits::GRACE_CEILING)?
            }
            "window_bytes" => {
                let bytes =
                    number(value, limits::WINDOW_FLOOR as usize, limits::WINDOW_CEILING as usize)?;
                self.window = u32::try_from(bytes).unwrap_or(limits::WINDOW);
            }
            "allow_detach" => self.policy.allow_detach = flag(value)?,
            "default_user" => {
                self.default_user = Some(text(value)?).filter(|user| !user.is_empty())
            }
            _ => return Err(UNKNOWN.to_owned()),
        }
        Ok(())
    }

    fn set_security(&mut self, key: &str, value: Value) -> Result<(), String> {
        match key {
            "separation" => {
                self.separated = match text(value)?.as_str() {
                    "off" => Separated::Off,
                    "wanted" => Separated::Wanted,
                    "demanded" => Separated::Demanded,
                    _ => return Err("must be \"off\", \"wanted\" or \"demanded\"".to_owned()),
                }
            }
            "network_user" => self.network_user = text(value)?,
            _ => return Err(UNKNOWN.to_owned()),
        }
        Ok(())
    }

    fn set_audit(&mut self, key: &str, value: Value) -> Result<(), String> {
        match key {
            "command_log" => self.audit.command_log = flag(value)?,
            "spool_bytes" => self.audit.spool_bytes = spool_bytes(value)?,
            "when_full" => {
                self.audit.when_full = match text(value)?.as_str() {
                    "drop-oldest" => WhenFull::DropOldest,
                    "refuse-sessions" => WhenFull::RefuseSessions,
                    _ => return Err("must be \"drop-oldest\" or \"refuse-sessions\"".to_owned()),
                }
            }
            _ => return Err(UNKNOWN.to_owned()),
        }
        Ok(())
    }

    fn set_policy(&mut self, key: &str, value: Value) -> Result<(), String> {
        match key {
            "allow_root" => self.policy.allow_root = flag(value)?,
            "allow_locked_accounts" => self.policy.allow_locked_accounts = flag(value)?,
            "allowed_users" => self.policy.allowed_users = list(value)?,
            "allowed_documents" => self.policy.allowed_documents = list(value)?,
            "allowed_forwards" => {
                let patterns = list(value)?;
                self.policy.allowed_forwards =
                    patterns.iter().map(|text| Forward::parse(text)).collect::<Result<_, _>>()?;
            }
            _ => return Err(UNKNOWN.to_owned()),
        }
        Ok(())
    }
}

/// A key of [`KEYS`] that no function sets; a test finds it.
const UNKNOWN: &str = "is not a key of this agent";

/// One address, or some in the order of their turns.
fn addresses(value: Value) -> Result<Vec<Address>, String> {
    let texts = list(value)?;
    if texts.is_empty() || texts.len() > limits::GATEWAYS {
        return Err(format!("must have 1 to {} addresses", limits::GATEWAYS));
    }
    let parsed = texts.iter().map(|text| Address::parse(text));
    parsed
        .collect::<Option<_>>()
        .ok_or_else(|| "must be HOST or HOST:PORT, or a list of them, without https://".to_owned())
}

fn read_ca(path: &Path) -> Result<String, String> {
    let pem = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot be read: {}: {error}", path.display()))?;
    certificates(&pem).map_err(|why| format!("cannot be used: {}: {why}", path.display()))?;
    Ok(pem)
}

/// Whether an unknown key may have been written to close the device: one of the tables that do so,
/// or a key of theirs in another place. An agent that ignored it would let in who was shut out.
fn would_close(key: &str) -> bool {
    let closes = |key: &str| ["policy", "security"].contains(&key.split('.').next().unwrap_or(key));
    closes(key) || like(key).is_some_and(closes)
}

/// The known key with the same last word.
fn like(key: &str) -> Option<&'static str> {
    let last = key.rsplit('.').next();
    KEYS.iter().find(|known| known.rsplit('.').next() == last).copied()
}

/// A known key that ends alike, for those who forgot or mistook the table.
fn suggestion(key: &str) -> String {
    like(key).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Config, Vec<String>) {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("agent.toml");
        crate::state::atomic::replace(&file, text.as_bytes(), 0o600).unwrap();
        let (config, findings) = Config::read(Some(&file), |_| None);
        let dir = format!("{}/", temp.path().display());
        (config, findings.iter().map(|finding| finding.to_string().replace(&dir, "")).collect())
    }

    #[track_caller]
    fn check(text: &str, findings: &[&str]) {
        assert_eq!(read(text).1, findings);
    }

    #[test]
    fn what_is_written_is_meant() {
        let (config, findings) = read(
            "log = \"debug\"\n[gateway]\naddress = \"gw:443\"\nproxy = \"http://p:1\"\nreconnect_max = \"2m\"\n\
             [sessions]\nmax = 3\ngrace = 90\n[policy]\nallow_root = false\nallowed_users = \
             [\"ann\"]\n",
        );
        assert_eq!(findings, [""; 0]);
        assert_eq!(config.gateways[0].port, 443);
        assert_eq!(
            (config.reconnect_max.as_secs(), config.grace.as_secs(), config.max_sessions),
            (120, 90, 3)
        );
        assert_eq!(
            (config.policy.allow_root, config.policy.allowed_users),
            (false, vec!["ann".to_owned()])
        );
        assert!(config.proxy.is_some());
    }

    #[test]
    fn several_gateways_keep_their_order() {
        let (config, findings) =
            read("[gateway]\naddress = [\"b:1\", \"a\"]\norder = \"random\"\n");
        assert_eq!(findings, [""; 0]);
        let hosts: Vec<_> = config.gateways.iter().map(|one| one.host.as_str()).collect();
        assert_eq!((hosts, config.order), (vec!["b", "a"], GatewayOrder::Random));
        check(
            "[gateway]\naddress = []\norder = \"any\"\n",
            &[
                "agent.toml:2: error: `gateway.address` must have 1 to 8 addresses",
                "agent.toml:3: error: `gateway.order` must be \"listed\" or \"random\"",
            ],
        );
        check(
            "[gateway]\naddress = [\"a\", \"https://b\"]\n",
            &["agent.toml:2: error: `gateway.address` must be HOST or HOST:PORT, or a list of \
                 them, without https://"],
        );
    }

    #[test]
    fn each_key_of_the_list_is_set_by_a_function() {
        for key in KEYS {
            let outcome = Config::default().set(key, Value::Other("a date"));
            assert_ne!(outcome.unwrap_err(), UNKNOWN, "{key}");
        }
        assert_eq!(Config::default().set("sessions.x", Value::Flag(true)).unwrap_err(), UNKNOWN);
    }

    #[test]
    fn each_key_is_in_the_page_of_the_settings() {
        let page = include_str!("../../docs/settings.md");
        for key in KEYS {
            assert!(page.contains(&format!("`{key}`")), "docs/settings.md has no `{key}`");
        }
    }

    #[test]
    fn an_unknown_key_is_a_warning_with_a_guess() {
        check(
            "[session]\nmax = 3\n",
            &["agent.toml:2: warning: unknown key `session.max` is ignored; did you mean \
                 `sessions.max`?"],
        );
    }

    #[test]
    fn an_unknown_key_that_may_close_the_device_is_an_error() {
        check(
            "allow_root = false\n[policy]\nallow_rot = false\n[polcy]\nallowed_users = [\"ann\"]\n\
             [security]\nseperation = \"demanded\"\n",
            &[
                "agent.toml:1: error: unknown key `allow_root`; did you mean `policy.allow_root`?",
                "agent.toml:3: error: unknown key `policy.allow_rot`",
                "agent.toml:5: error: unknown key `polcy.allowed_users`; did you mean \
                 `policy.allowed_users`?",
                "agent.toml:7: error: unknown key `security.seperation`",
            ],
        );
    }

    #[test]
    fn a_wrong_value_is_an_error_that_says_what_is_right() {
        check(
            "[sessions]\nmax = 0\ngrace = \"soon\"\n",
            &[
                "agent.toml:2: error: `sessions.max` must be a number from 1 to 64",
                "agent.toml:3: error: `sessions.grace` must be a time like \"90s\", \"5m\", \"2h\" or \"1d\"",
            ],
        );
        check(
            "[gateway]\nreconnect_max = \"0s\"\n",
            &["agent.toml:2: error: `gateway.reconnect_max` must be from 1 to 86400 seconds, \
                 not 0"],
        );
    }

    #[test]
    fn a_file_asked_for_by_name_must_be_there_and_the_default_one_need_not() {
        let (_, findings) = Config::read(Some(Path::new("/no/such/agent.toml")), |_| None);
        assert!(findings[0].fatal && findings[0].text.starts_with("cannot be read"));
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let variable = |name: &str| match name {
            "TOWLINE_SESSIONS_MAX" => Some("2".to_owned()),
            "https_proxy" => Some("http://proxy:8080".to_owned()),
            "NO_PROXY" => Some("gw.lan".to_owned()),
            _ => None,
        };
        let (config, findings) = Config::read(None, variable);
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(config.max_sessions, 2);
        let address = |host: &str| Address { host: host.into(), port: 443 };
        assert!(config.proxy_for(&address("gw.example")).is_some());
        assert!(config.proxy_for(&address("gw.lan")).is_none());
    }
}
