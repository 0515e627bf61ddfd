//! The wait for an enrollment, or for an order to enroll.

use super::order::{self, Order};
use crate::StartError;
use crate::agent::Outcome;
use crate::config::Config;
use crate::enroll::{self, EnrollError};
use crate::limits;
use crate::link::backoff::Backoff;
use crate::logger;
use crate::service::Service;
use crate::signals::Signals;
use crate::state::enrollment::Enrollment;
use crate::state::{Dir, StateError};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Returns `None` when the device is enrolled, at once if it was; else how the wait ended without
/// it.
///
/// # Errors
/// The state directory cannot be used.
pub async fn until_enrolled(config: &Config) -> Result<Option<Outcome>, StartError> {
    if is_enrolled(config)? {
        return Ok(None);
    }
    let mut wait = Wait::new()?;
    logger::info!(
        "this device is not enrolled: waiting for `towline-agent enroll` or for enroll.toml"
    );
    let mut backoff = Backoff::new(config.reconnect_max);
    let mut told = String::new();
    loop {
        let mut pause = limits::LOOK_FOR_ENROLLMENT;
        match order::find(|name| std::env::var(name).ok()) {
            Ok(None) => {}
            Ok(Some(order)) => match carry_out(&order, config).await {
                Ok(()) => return Ok(None),
                Err(error) => {
                    pause = backoff.next(random());
                    tell(&mut told, &format!("cannot enroll by {}: {error}", order.source));
                }
            },
            Err(why) => tell(&mut told, &why),
        }
        if let Some(outcome) = wait.for_enrollment(config, pause).await? {
            return Ok(outcome);
        }
    }
}

/// The same words once, however often they are true.
fn tell(told: &mut String, text: &str) {
    if told != text {
        logger::warning!("{text}");
        text.clone_into(told);
    }
}

async fn carry_out(order: &Order, config: &Config) -> Result<(), EnrollError> {
    let enrolled = enroll::enroll(&order.enroll, config).await?;
    logger::info!(
        "enrolled as {} by {}; key fingerprint {}",
        enrolled.device,
        order.source,
        enrolled.fingerprint
    );
    if enrolled.pending {
        logger::warning!(
            "pending: approve this device at the gateway after you have compared the fingerprint"
        );
    }
    if let Some(file) = &order.file {
        // The order holds a secret that is of no more use here.
        if let Err(error) = std::fs::remove_file(file) {
            logger::warning!(
                "cannot remove {}, which holds the activation code: {error}",
                file.display()
            );
        }
    }
    Ok(())
}

fn is_enrolled(config: &Config) -> Result<bool, StateError> {
    match Enrollment::load(&Dir::at(&config.state_dir)) {
        Ok(_) => Ok(true),
        Err(StateError::NotEnrolled(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What may end a wait beside an enrollment.
struct Wait {
    signals: Signals,
    service: Service,
}

impl Wait {
    fn new() -> Result<Self, StartError> {
        let mut service = Service::of(|name| std::env::var(name).ok(), std::process::id());
        service.ready(Instant::now());
        Ok(Self { signals: Signals::listen()?, service })
    }

    /// Waits so long. `Some(None)`: enrolled. `Some(Some(_))`: told to stop or to start anew.
    /// `None`: nothing happened.
    async fn for_enrollment(
        &mut self,
        config: &Config,
        pause: Duration,
    ) -> Result<Option<Option<Outcome>>, StartError> {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            if is_enrolled(config)? {
                return Ok(Some(None));
            }
            let step =
                limits::LOOK_FOR_ENROLLMENT.min(end.saturating_duration_since(Instant::now()));
            // A whole interval of the watchdog is longer than one step, see the limits.
            self.service.tick(Instant::now());
            if let Ok(outcome) = tokio::time::timeout(step, self.signalled()).await {
                return Ok(Some(Some(outcome)));
            }
        }
        Ok(if is_enrolled(config)? { Some(None) } else { None })
    }

    async fn signalled(&mut self) -> Outcome {
        poll_fn(|cx| {
            self.signals.poll(cx);
            if self.signals.take_stop() {
                self.service.stopping();
                return Poll::Ready(Outcome::Stopped);
            }
            if self.signals.take_renewal() { Poll::Ready(Outcome::Renew) } else { Poll::Pending }
        })
        .await
    }
}

/// For the jitter alone; a machine without random numbers is caught elsewhere.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = SystemRandom::new().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
