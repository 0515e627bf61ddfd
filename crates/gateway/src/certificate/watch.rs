//! The server's certificate over time: judged at the start and daily, loaded anew when its files
//! change.
//!
//! Data flow: files -> [`Facts`] -> [`Watched`], which the log, `/metrics` and `/readyz` read.
//! SIGHUP, a changed file or a new day -> [`TlsConfigs::replace`].
//!
//! # Invariants
//! - Files that do not hold (half-written, key of another certificate) change nothing: the old pair
//!   serves on, and the log says why.
//! - Links that are open are not cut by a new certificate.
//!
//! # Not here
//! - Renewal of the files: an external tool writes them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use towline_host::clock::{Clock, UnixMillis};

use super::facts::Facts;
use super::{install, of_a_year};
use crate::config::Config;
use crate::listener::stopped;
use crate::listener::tls::{TlsConfigs, TlsError};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often the certificate is judged without a change.
const DAY: Duration = Duration::from_secs(86_400);
/// The certificate in use.
#[derive(Debug)]
pub struct Watched(Mutex<Facts>);

impl Watched {
    /// With what is known at the start.
    #[must_use]
    pub const fn new(facts: Facts) -> Self {
        Self(Mutex::new(facts))
    }

    /// What is known now.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// See [`Facts::fault`].
    #[must_use]
    pub fn fault(&self, now: UnixMillis) -> Option<String> {
        self.facts().fault(now)
    }

    fn set(&self, facts: Facts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }
}

/// Logs what is wrong with the certificate, or that nothing is.
pub fn log(facts: &Facts, now: UnixMillis) {
    let complaints = facts.complaints(now);
    for complaint in &complaints {
        tracing::warn!("{complaint}");
    }
    if complaints.is_empty() {
        tracing::info!(until = facts.not_after.to_rfc3339(), "the server's certificate is valid");
    }
}

/// The TLS of the port by the files of `config`. Clients of HTTP get a certificate of a year where
/// the authority's key, or a second certificate, is at hand.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn configs(config: &Config, now: UnixMillis) -> Result<TlsConfigs, TlsError> {
    if let Err(why) = install::finish(config) {
        tracing::warn!(%why, "the key that waits for its certificate stays where it is");
    }
    let tls = TlsConfigs::load(&config.tls_certificate, &config.tls_key)?;
    match of_a_year::make(config, now) {
        Ok(Some(leaf)) => tls.with_http_certificate(leaf, &config.tls_key),
        Ok(None) => Ok(tls),
        Err(why) => {
            tracing::warn!(why, "clients of HTTP get the certificate that devices get");
            Ok(tls)
        }
    }
}

/// Keeps the certificate current until `stop`.
pub async fn keep(
    config: Config,
    tls: TlsConfigs,
    watched: Arc<Watched>,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(mut hang_up) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be heard: the certificate is loaded at the next start only");
        return;
    };
    let mut seen = stamps(&config);
    let mut judged = tokio::time::Instant::now();
    loop {
        let asked = tokio::select! {
            _ = hang_up.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
            () = stopped(&mut stop) => return,
        };
        let now = stamps(&config);
        if asked || now != seen {
            seen = now;
            load(&config, &tls, &watched, clock.now());
            log(&watched.facts(), clock.now());
            judged = tokio::time::Instant::now();
        } else if judged.elapsed() >= DAY {
            load(&config, &tls, &watched, clock.now());
            log(&watched.facts(), clock.now());
            judged = tokio::time::Instant::now();
        }
    }
}

fn load(config: &Config, tls: &TlsConfigs, watched: &Watched, now: UnixMillis) {
    let loaded = configs(config, now)
        .map_err(|error| error.to_string())
        .and_then(|new| Ok((new, Facts::of(config)?)));
    match loaded {
        Ok((new, facts)) => {
            tls.replace(&new);
            watched.set(facts);
            tracing::info!("the server's certificate was loaded anew");
        }
        Err(error) => tracing::error!(error, "the new certificate is not used, the old one stays"),
    }
}

/// When the two files were last changed, and how long they are.
fn stamps(config: &Config) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |path: &PathBuf| {
        let known = std::fs::metadata(path).ok()?;
        Some((known.modified().ok()?, known.len()))
    };
    [&config.tls_certificate, &config.tls_key].into_iter().map(stamp).collect()
}
