//! Whether the gateway takes new work: `/healthz` and `/readyz`.
//!
//! Data flow: a request -> a verdict of the last [`FRESH`] seconds, or a new one (one row written
//! to the store) -> 200 or 503, and one word.
//!
//! # Invariants
//! - At most one write in [`FRESH`], however many ask.
//! - A stranger learns yes, no, or that the gateway is being drained. The reason is in the log,
//!   once for each change.
//!
//! # Not here
//! - `/metrics`: on its own address, [`crate::listener::monitor`].

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use towline_host::clock::Clock;
use towline_store::Store;

use crate::certificate::{Facts, Watched};

/// How long a verdict holds.
pub const FRESH: Duration = Duration::from_secs(10);
/// How long the store may take for its row.
const PATIENCE: Duration = Duration::from_secs(5);

/// Judges, and remembers for a while.
pub struct Readiness {
    store: Store,
    clock: Clock,
    stop: watch::Receiver<bool>,
    drain: Option<watch::Receiver<bool>>,
    certificate: Arc<Watched>,
    last: Mutex<Option<(Instant, Option<String>)>>,
}

impl Readiness {
    /// Over this store and certificate; not ready from the moment `stop` is true.
    #[must_use]
    pub fn new(
        store: Store,
        clock: Clock,
        stop: watch::Receiver<bool>,
        certificate: Arc<Watched>,
    ) -> Self {
        Self { store, clock, stop, drain: None, certificate, last: Mutex::new(None) }
    }

    /// Not ready from the moment `drain` is true, either.
    #[must_use]
    pub fn until_drained(self, drain: Option<watch::Receiver<bool>>) -> Self {
        Self { drain, ..self }
    }

    /// Whether the gateway gives its devices and sessions to others.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| *drain.borrow())
    }

    /// Whether new work is taken.
    pub async fn is_ready(&self) -> bool {
        self.fault().await.is_none()
    }

    /// The certificate in use.
    #[must_use]
    pub fn certificate(&self) -> Facts {
        self.certificate.facts()
    }

    /// Why no new work is taken, for an administrator.
    pub async fn fault(&self) -> Option<String> {
        if *self.stop.borrow() {
            return Some("the gateway stops".to_owned());
        }
        if self.is_draining() {
            return Some("the gateway gives its devices and sessions to others".to_owned());
        }
        let mut last = self.last.lock().await;
        if let Some((at, why)) = &*last
            && at.elapsed() < FRESH
        {
            return why.clone();
        }
        let why = self.judge().await;
        let before = last.as_ref().and_then(|(_, why)| why.clone());
        match (&before, &why) {
            (_, Some(now)) if before.as_ref() != Some(now) => {
                tracing::error!("not ready: {now}");
            }
            (Some(_), None) => tracing::info!("ready again"),
            _ => {}
        }
        *last = Some((Instant::now(), why.clone()));
        why
    }

    /// Series about the gateway's own state, in the Prometheus text format.
    pub async fn metrics(&self) -> String {
        let until = self.certificate.facts().not_after.0 / 1000;
        let (ready, lost) = (u8::from(self.is_ready().await), crate::log_queue::lost());
        let series = [
            ("towline_ready", "gauge", "1 when the gateway takes new work.", ready.to_string()),
            (
                "towline_certificate_not_after_seconds",
                "gauge",
                "End of the server's certificate, Unix time.",
                until.to_string(),
            ),
            (
                "towline_log_lines_lost_total",
                "counter",
                "Lines that standard error did not take.",
                lost.to_string(),
            ),
        ];
        series
            .iter()
            .map(|(name, kind, help, value)| {
                format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
            })
            .collect()
    }

    async fn judge(&self) -> Option<String> {
        if let Some(fault) = self.certificate.fault(self.clock.now()) {
            return Some(fault);
        }
        match tokio::time::timeout(PATIENCE, self.store.probe(self.clock.now())).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("the store takes no row: {error}")),
            Err(_) => Some(format!("the store took no row within {} s", PATIENCE.as_secs())),
        }
    }
}

/// The two paths, for any listener.
pub fn routes(readiness: Arc<Readiness>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { (StatusCode::OK, "ok\n") }))
        .route("/readyz", get(ready))
        .with_state(readiness)
}

async fn ready(State(readiness): State<Arc<Readiness>>) -> (StatusCode, &'static str) {
    if readiness.is_ready().await {
        (StatusCode::OK, "ok\n")
    } else if readiness.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}
