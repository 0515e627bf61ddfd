//! The start of the agent: enrollment, keys and TLS settings are read, then the loop runs.
//!
//! Data flow: [`Config`] -> an enrollment, if need be by [`first_boot`] -> [`Parts`] -> [`Agent`].

use crate::agent::{Agent, Outcome, Parts};
use crate::config::{Config, GatewayOrder};
use crate::first_boot;
use crate::handover::Predecessor;
use crate::inherited;
use crate::link::gateways::{Gateways, Route};
use crate::link::tls::{self, Pins, SignedSeconds, TlsError};
use crate::logger;
use crate::separation::monitor::{Separation, is_possible};
use crate::start_error::StartError;
use crate::state::Dir;
use crate::state::enrollment::{Enrollment, Trust};
use crate::state::key::DeviceKey;
use crate::state::keyring::KeyRing;
use crate::state::next_pin::NextPin;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::sync::Arc;

/// Runs the agent until a signal stops it. It needs a current-thread runtime, and has to be the
/// only agent of its process.
///
/// The agent resumes the sessions of a predecessor in this process; `predecessor` is empty when
/// that worked.
///
/// # Errors
/// [`StartError`], only before it serves.
pub async fn run(
    config: Config,
    predecessor: &mut Option<Predecessor>,
) -> Result<Outcome, StartError> {
    for remaining in inherited::set_right() {
        logger::warning!("{remaining}");
    }
    if predecessor.is_none()
        && let Some(outcome) = first_boot::until_enrolled(&config).await?
    {
        return Ok(outcome);
    }
    let dir = Dir::at(&config.state_dir);
    let enrollment = Enrollment::load(&dir)?;
    let keys = KeyRing::load(&dir)?;
    let trust = config.trust.as_ref().unwrap_or(&enrollment.trust);
    let signed = SignedSeconds::default();
    let pins = Pins::default();
    pins.expect(NextPin::load(&dir).pin);
    let key = keys.in_use().for_tls().map_err(TlsError::from)?;
    let tls = tls::client_config(trust, key, &signed, &pins)?;
    let separation =
        Separation::of(config.separation(), &config.runtime_dir, trust, &pins, &signed);
    let gateways = gateways(&config, &enrollment)?;
    let parts = Parts { config, enrollment, keys, gateways, tls, signed, pins, separation };
    let mut agent = Agent::new(parts, predecessor.as_mut())?;
    drop(predecessor.take());
    Ok(agent.run().await)
}

/// Whether [`run`] could serve, with these settings and this state. Locks nothing, changes nothing.
///
/// # Errors
/// [`StartError`]: how [`run`] would fail.
pub fn would_run(config: &Config) -> Result<(), StartError> {
    let dir = Dir::at(&config.state_dir);
    let enrollment = Enrollment::load(&dir)?;
    let key = DeviceKey::load(&dir)?;
    let trust = config.trust.as_ref().unwrap_or(&enrollment.trust);
    let key = key.for_tls().map_err(TlsError::from)?;
    tls::client_config(trust, key, &Arc::default(), &Pins::default())?;
    gateways(config, &enrollment)?;
    Ok(is_possible(config.separation())?)
}

/// The gateways of the settings, else the one of the enrollment; each has a name that a certificate
/// can hold.
fn gateways(config: &Config, enrollment: &Enrollment) -> Result<Gateways, StartError> {
    let mut routes = Vec::new();
    for gateway in &config.gateways {
        tls::server_name(gateway)?;
        routes.push(Route { gateway: gateway.clone(), proxy: config.proxy_for(gateway) });
    }
    if routes.is_empty() {
        let gateway = &enrollment.gateway;
        tls::server_name(gateway)?;
        routes.push(Route { gateway: gateway.clone(), proxy: config.proxy_for(gateway) });
    }
    let begin = match config.order {
        GatewayOrder::Listed => 0,
        GatewayOrder::Random => usize::from(random_byte()),
    };
    let first = routes.remove(0);
    let trust = config.trust.as_ref().unwrap_or(&enrollment.trust);
    Ok(Gateways::new(first, routes, begin, !matches!(trust, Trust::Public)))
}

/// Without random numbers the process id still tells devices apart.
fn random_byte() -> u8 {
    let mut byte = std::process::id().to_le_bytes();
    let _ = SystemRandom::new().fill(&mut byte[..1]);
    byte[0]
}
