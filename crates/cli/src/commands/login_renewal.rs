//! The credentials of `login`, renewed before they end, as long as the provider allows.
//!
//! Data flow: the kept credentials -> near their end, the secret beside them -> the gateway, which
//! asks the provider -> new credentials in the same file.
//!
//! # Invariants
//! - Nobody is asked anything. A refusal says that `towline login` is needed.
//! - Credentials that still hold are used when the gateway or the provider does not answer.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use towline_ssm::clock::parse_iso8601;

use crate::api::Client;
use crate::config::login::{self, Kept};
use crate::config::{Environment, Settings};
use crate::exit::Failure;

/// They are renewed so long before their end, seconds: AWS's tools ask again at 15 minutes.
const EARLY: i64 = 900;

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
    match client.post_unsigned::<Kept>("/sign-in/refresh", &body).await {
        Ok(renewed) => {
            if let Some(path) = login::path(env, &settings.endpoint) {
                let what = "cannot keep the credentials".to_owned();
                login::write(&path, &renewed).map_err(|why| Failure::Local { what, why })?;
            }
            Ok(Some(renewed))
        }
        Err(_) if left > 0 => Ok(Some(kept)),
        Err(error) => Err(over(&format!(", and was not renewed ({error})"))),
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
