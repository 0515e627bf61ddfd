//! The Towline agent, the program on the device. It dials out and has no listener.
//!
//! | module | content |
//! |---|---|
//! | [`agent`] | the one loop: its events, and what the agent does for each |
//! | [`link`] | the connection to the gateway: dial, TLS, frames, back-off |
//! | [`session`] | sessions: opened by a grant, bytes both ways, ended |
//! | [`tunnel`] | sessions that carry connections to an address the device reaches |
//! | [`copy`] | file copies, in a process of the session's user |
//! | [`process`] | child processes: started, ended, reaped |
//! | [`pty`] | pseudo-terminals |
//! | [`sys`] | system calls, accounts, the process table, cgroups: the lowest folder |
//! | [`command_log`] | the programs that sessions execute, from the kernel |
//! | [`policy`] | what the device itself permits |
//! | [`config`] | the settings and their files |
//! | [`state`] | the device's key, its enrollment, the journal of commands |
//! | [`first_boot`] | a device without an enrollment waits, or enrolls by an order |
//! | [`enroll`], [`status`] | the other commands of the program |
//! | [`handover`] | state transfer: another program takes over the sessions |
//! | [`service`] | the service manager: ready, alive, stopping |
//! | [`logger`] | the agent's log |
//! | [`alarm`] | the loop's timer |
//! | [`clock`] | the time, on a device that may not know it |
//! | [`limits`] | every capacity, its reason, its cost in RAM |
//!
//! # Invariants
//! - One thread, one loop, one closed list of events. Nothing is unbounded.
//! - A session survives the link. Nothing survives a session.
//!
//! # Not here
//! - A listener: no socket of this program accepts connections.
//! - Decisions about users: the gateway's authority signs grants. The agent adds the device's
//!   own policy.

pub mod agent;
pub mod alarm;
pub mod arguments;
pub mod clock;
pub mod command_log;
pub mod config;
pub mod copy;
pub mod enroll;
pub mod first_boot;
pub mod handover;
pub mod limits;
pub mod link;
pub mod logger;
pub mod platform;
pub mod policy;
pub mod process;
pub mod pty;
pub mod service;
pub mod session;
pub mod state;
pub mod status;
pub mod sys;
pub mod tunnel;

use config::Config;
use handover::Predecessor;
use link::dial::Target;
use link::tls::{self, TlsError};
use state::enrollment::Enrollment;
use state::key::DeviceKey;
use state::keyring::KeyRing;
use state::{Dir, StateError};
use std::sync::Arc;

/// Why the agent does not start. Once it runs, it stops only when told to.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Key or enrollment.
    #[error(transparent)]
    State(#[from] StateError),
    /// What the administrator gave for TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The kernel.
    #[error("the agent cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl StartError {
    /// The program's exit status: 78 for what a person has to mend, 1 for what may heal by itself.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::State(_) | Self::Tls(_) => 78,
            Self::System(_) => 1,
        }
    }
}

/// Runs the agent until it is told to stop. Wants a current-thread runtime, and to be the only one
/// in its process.
///
/// The agent resumes the sessions of a predecessor in this process; `predecessor` is empty when that
/// worked.
///
/// # Errors
/// [`StartError`], only before it serves.
pub async fn run(
    config: Config,
    predecessor: &mut Option<Predecessor>,
) -> Result<agent::Outcome, StartError> {
    if predecessor.is_none()
        && let Some(outcome) = first_boot::until_enrolled(&config).await?
    {
        return Ok(outcome);
    }
    let dir = Dir::at(&config.state_dir);
    let mut enrollment = Enrollment::load(&dir)?;
    let keys = KeyRing::load(&dir)?;
    if let Some(gateway) = &config.gateway {
        enrollment.gateway.clone_from(gateway);
    }
    let trust = config.trust.as_ref().unwrap_or(&enrollment.trust);
    let signed = Arc::default();
    let tls = tls::client_config(trust, keys.in_use(), &signed)?;
    tls::server_name(&enrollment.gateway)?;
    let proxy = config.proxy_for(&enrollment.gateway);
    let target = Target { gateway: enrollment.gateway.clone(), proxy, tls };
    let parts = agent::Parts { config, enrollment, keys, target, signed };
    let mut agent = agent::Agent::new(parts, predecessor.as_mut())?;
    drop(predecessor.take());
    Ok(agent.run().await)
}

/// Whether [`run`] would get as far as serving, with these settings and this state. Claims nothing,
/// changes nothing.
///
/// # Errors
/// [`StartError`]: what it would fail with.
pub fn would_run(config: &Config) -> Result<(), StartError> {
    let dir = Dir::at(&config.state_dir);
    let enrollment = Enrollment::load(&dir)?;
    let key = DeviceKey::load(&dir)?;
    let trust = config.trust.as_ref().unwrap_or(&enrollment.trust);
    tls::client_config(trust, &key, &Arc::default())?;
    tls::server_name(config.gateway.as_ref().unwrap_or(&enrollment.gateway))?;
    Ok(())
}
