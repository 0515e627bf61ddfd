//! The credentials of `login`, renewed before they end, as long as the provider allows.
//!
//! Data flow: the kept credentials -> near their end, the secret beside them -> the gateway, which
//! asks the provider -> new credentials in the same file.
//!
//! # Invariants
//! - Nobody is asked anything. A refusal says that `towline login` is needed.
//! - Credentials that still hold are used when the gateway or the provider does not answer. Else it
//!   is asked again, with [`PAUSES`]: a provider that is away for a moment ends no sign-in.
//! - A command that goes on for long asks once in [`AGAIN`] while its credentials hold.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use towline_ssm::clock::parse_iso8601;
use towline_ssm::ids::SecretAccessKey;

use crate::api::{CallError, Client};
use crate::config::login::{self, Kept};
use crate::config::{Environment, Identity, Settings};
use crate::exit::{Failure, HasExitCode};

/// They are renewed so long before their end, seconds: AWS's tools ask again at 15 minutes.
const EARLY: i64 = 900;

/// A command that goes on for long tries to renew its credentials so often while they hold.
const AGAIN: Duration = Duration::from_secs(60);

/// Pauses before further tries. The gateway keeps a failed fetch of a provider's keys for five
/// seconds; AWS's tools wait a minute for a credential process.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(5)];
/// No further try begins so long after the first one.
const PATIENCE: Duration = Duration::from_secs(25);

/// Asks the gateway, and again while the same request may be answered in a moment.
///
/// # Errors
/// [`CallError`] of the last try.
pub(super) async fn patiently<A: DeserializeOwned>(
    client: &mut Client,
    path: &str,
    body: &Value,
) -> Result<A, CallError> {
    let began = tokio::time::Instant::now();
    let mut answer = client.post_unsigned(path, body).await;
    for pause in PAUSES {
        let is_worth_another = answer.as_ref().is_err_and(CallError::may_heal);
        if !is_worth_another || began.elapsed() + pause > PATIENCE {
            break;
        }
        tokio::time::sleep(pause).await;
        answer = client.post_unsigned(path, body).await;
    }
    answer
}

/// Seconds until credentials end; negative when they are over.
pub(super) fn seconds_left(kept: &Kept) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    parse_iso8601(&kept.expiration).map_or(i64::MIN, |end| end.saturating_sub(now))
}

/// The credentials of a sign-in at this gateway, renewed if that is due; nothing without a sign-in.
///
/// # Errors
/// They are over and cannot be renewed.
pub(super) async fn current(
    settings: &Settings,
    env: &Environment,
) -> Result<Option<Kept>, Failure> {
    let Some(kept) = login::read(env, &settings.endpoint)? else { return Ok(None) };
    let left = seconds_left(&kept);
    if left > EARLY {
        return Ok(Some(kept));
    }
    let over = |why: &str| {
        let end = &kept.expiration;
        Failure::Usage(format!("the sign-in ended at {end}{why}: run `towline login`"))
    };
    let Some(refresh_token) = &kept.refresh_token else {
        return if left > 0 { Ok(Some(kept)) } else { Err(over("")) };
    };
    let body = json!({ "RefreshToken": refresh_token });
    let mut client = Client::new(settings.clone());
    let renewed = match left > 0 {
        true => client.post_unsigned::<Kept>("/sign-in/refresh", &body).await,
        false => patiently(&mut client, "/sign-in/refresh", &body).await,
    };
    match renewed {
        Ok(renewed) => {
            if let Some(path) = login::path(env, &settings.endpoint) {
                let what = "cannot keep the credentials".to_owned();
                login::write(&path, &renewed).map_err(|why| Failure::Local { what, why })?;
            }
            Ok(Some(renewed))
        }
        Err(_) if left > 0 => Ok(Some(kept)),
        // It goes on: the next command asks again.
        Err(error) if error.may_heal() => Err(NotNow(error).into()),
        Err(error) => Err(over(&format!(", and was not renewed ({error})"))),
    }
}

/// A sign-in that is over for now, and that the gateway may renew in a moment.
#[derive(Debug, thiserror::Error)]
#[error("the sign-in cannot be renewed for now: {0}: try again in a moment")]
struct NotNow(CallError);

impl HasExitCode for NotNow {
    fn exit_code(&self) -> u8 {
        self.0.exit_code()
    }

    fn may_heal(&self) -> bool {
        true
    }
}

/// What signs requests with kept credentials.
pub(super) fn identity_of(kept: Kept) -> Identity {
    Identity {
        access_key: kept.access_key_id,
        secret: SecretAccessKey::new(kept.secret_access_key),
        session_token: Some(kept.session_token),
    }
}

/// The credentials of a sign-in, for a command that makes requests for longer than they hold.
#[derive(Debug, Default)]
pub(super) struct Renewing {
    tried: Option<tokio::time::Instant>,
}

impl Renewing {
    /// For settings that have the credentials of a sign-in; nothing for others.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn of(settings: &Settings, env: &Environment) -> Result<Option<Self>, Failure> {
        Ok(used(settings, env)?.map(|_| Self::default()))
    }

    /// Other credentials than those that are used, if there are some by now: renewed here where
    /// that is due, or by another command.
    ///
    /// # Errors
    /// As of [`current`].
    pub(super) async fn now(
        &mut self,
        settings: &Settings,
        env: &Environment,
    ) -> Result<Option<Identity>, Failure> {
        let Some(mut kept) = login::read(env, &settings.endpoint)? else { return Ok(None) };
        let left = seconds_left(&kept);
        let waits = left > 0 && self.tried.is_some_and(|tried| tried.elapsed() < AGAIN);
        if left <= EARLY && !waits {
            self.tried = Some(tokio::time::Instant::now());
            let Some(by_now) = current(settings, env).await? else { return Ok(None) };
            kept = by_now;
        }
        let has = settings.identity.as_ref().map(|identity| &identity.access_key);
        Ok((has != Some(&kept.access_key_id)).then(|| identity_of(kept)))
    }
}

/// Renews the sign-in that a command is about to use.
///
/// # Errors
/// As of [`current`].
pub(super) async fn before_command(
    settings: &Settings,
    env: &Environment,
) -> Result<Option<Kept>, Failure> {
    if used(settings, env)?.is_some() { current(settings, env).await } else { Ok(None) }
}

/// The sign-in whose credentials these settings have.
///
/// # Errors
/// The file cannot be read.
pub(super) fn used(settings: &Settings, env: &Environment) -> Result<Option<Kept>, Failure> {
    let kept = login::read(env, &settings.endpoint)?;
    let key = settings.identity.as_ref().map(|identity| &identity.access_key);
    Ok(kept.filter(|kept| key == Some(&kept.access_key_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_whose_end_cannot_be_read_are_over() {
        let kept = |expiration: &str| Kept {
            version: 1,
            access_key_id: "ASIA".into(),
            secret_access_key: "s".into(),
            session_token: "t".into(),
            expiration: expiration.into(),
            refresh_token: None,
            second_factor: None,
        };
        assert!(seconds_left(&kept("2999-01-01T00:00:00Z")) > EARLY);
        assert!(seconds_left(&kept("2001-01-01T00:00:00Z")) < 0);
        assert!(seconds_left(&kept("soon")) < 0);
    }
}
