//! SIGHUP, its first half: what the device permits holds at once.
//!
//! Data flow: SIGHUP -> the settings are read anew -> policy, default user and `sessions.max` hold
//! for new sessions, and for new connections of open tunnels. The other settings wait for the
//! restart ([`super::renewal`]), which open connections through tunnels may delay.
//!
//! # Invariants
//! - Settings that are not valid change nothing.
//! - Open sessions and open connections go on.

use super::agent::Agent;
use crate::arguments;
use crate::config::Config;
use crate::logger;

impl Agent {
    /// Reads the settings, and applies what they permit.
    pub(super) fn reload_permissions(&mut self) {
        let config = match current() {
            Ok(config) => config,
            Err(why) => {
                logger::error!("the settings are not valid, the old ones stay in force: {why}");
                return;
            }
        };
        let Config { policy, default_user, max_sessions, .. } = config;
        self.config.policy = policy;
        self.config.default_user = default_user;
        self.config.max_sessions = max_sessions;
        self.table.set_most(max_sessions);
        if self.connection.is_up() {
            self.table.say_limits();
        }
        self.table.judge_tunnels(&self.config.policy);
        logger::info!(
            "the permissions of the new settings are in force for new sessions and connections"
        );
    }
}

/// The settings as they are now, by the arguments of this process.
fn current() -> Result<Config, String> {
    let arguments = arguments::parse(std::env::args_os().skip(1))?;
    let (config, findings) = Config::of(&arguments);
    match findings.iter().find(|finding| finding.fatal) {
        Some(finding) => Err(finding.to_string()),
        None => Ok(config),
    }
}
