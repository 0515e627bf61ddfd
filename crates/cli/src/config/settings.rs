//! The settings, from all sources.
//!
//! Data flow: flags, environment, `~/.config/towline/config.toml`, `~/.aws/config` and
//! `~/.aws/credentials`, the sign-in of [`super::login`] -> [`Settings::resolve`] -> [`Settings`].
//! The first source that has a value wins, in this order.
//!
//! # Invariants
//! - A [`Settings`] has no invalid value.
//! - A secret is in [`Identity`] only, which has no `Debug` of its contents.
//! - At most `aws::MAX_FILE` bytes of a file are read.
//!
//! # Not here
//! - No network, and no certificate is read: see `crate::api`.

use std::path::PathBuf;

use towline_ssm::ids::SecretAccessKey;

use super::aws::Profile;
use super::endpoint::Endpoint;
use super::error::ConfigError;
use super::login;
use super::raw::{Environment, Flags, OwnFile};
use crate::platform;

/// The region when nothing names one: what a fresh gateway is made with (`towline-gateway init
/// --region`).
pub(crate) const DEFAULT_REGION: &str = "xx-towline-1";

/// The access key that signs requests.
#[derive(Clone)]
pub(crate) struct Identity {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret: SecretAccessKey,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Identity {
    /// Without the secret and without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// All settings for requests to a gateway.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The gateway.
    pub endpoint: Endpoint,
    /// PEM file with the CA certificates to trust; the public CAs when absent.
    pub ca: Option<PathBuf>,
    /// Region of signatures.
    pub region: String,
    /// The access key; absent only after [`Settings::resolve_keyless`].
    pub identity: Option<Identity>,
    /// The default user on devices; the gateway's choice when absent.
    pub user: Option<String>,
}

impl Settings {
    /// The settings from all sources.
    ///
    /// # Errors
    /// [`ConfigError`], with what to do.
    pub(crate) fn resolve(flags: &Flags, env: &Environment) -> Result<Self, ConfigError> {
        let own = OwnFile::read(env)?;
        let name = flags
            .profile
            .clone()
            .or_else(|| env.text("AWS_PROFILE"))
            .or_else(|| own.profile.clone());
        let profile = Profile::read(env, name.as_deref())?;
        let settings = Self::gather(flags, env, own, &profile)?;
        let is_named = name.is_some();
        let identity = match identity_of(flags, env, profile) {
            // Keys of the unnamed profile count only without a sign-in.
            Ok(identity) if is_named || identity_of_environment(env)?.is_some() => identity,
            other => match identity_of_login(env, &settings.endpoint)? {
                Some(identity) if !is_named => identity,
                _ => other?,
            },
        };
        Ok(Self { identity: Some(identity), ..settings })
    }

    /// The same for the plugin of AWS's tools, which works without a key: a missing key is no
    /// error, and the profile is that of the tools, not that of `config.toml`.
    ///
    /// # Errors
    /// [`ConfigError`], with what to do.
    pub(crate) fn resolve_keyless(flags: &Flags, env: &Environment) -> Result<Self, ConfigError> {
        let name = flags.profile.clone().or_else(|| env.text("AWS_PROFILE"));
        let profile = Profile::read(env, name.as_deref())?;
        let settings = Self::gather(flags, env, OwnFile::read(env)?, &profile)?;
        let identity = match identity_of(flags, env, profile) {
            Ok(identity) => Some(identity),
            Err(ConfigError::NoCredentials { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { identity, ..settings })
    }

    /// All but the key.
    fn gather(
        flags: &Flags,
        env: &Environment,
        own: OwnFile,
        profile: &Profile,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            endpoint: endpoint_of(flags, env, &own, profile)?,
            ca: ca_of(flags, env, &own, profile),
            region: (flags.region.clone())
                .or_else(|| env.text("AWS_REGION"))
                .or_else(|| env.text("AWS_DEFAULT_REGION"))
                .or(own.region)
                .or_else(|| profile.region.clone())
                .unwrap_or_else(|| DEFAULT_REGION.to_owned()),
            identity: None,
            user: own.user,
        })
    }
}

fn endpoint_of(
    flags: &Flags,
    env: &Environment,
    own: &OwnFile,
    profile: &Profile,
) -> Result<Endpoint, ConfigError> {
    let sources = [
        ("--endpoint", flags.endpoint.clone()),
        ("TOWLINE_ENDPOINT", env.text("TOWLINE_ENDPOINT")),
        ("AWS_ENDPOINT_URL_SSM", env.text("AWS_ENDPOINT_URL_SSM")),
        ("AWS_ENDPOINT_URL", env.text("AWS_ENDPOINT_URL")),
        ("endpoint of towline's config.toml", own.endpoint.clone()),
        ("endpoint_url of ~/.aws/config", profile.endpoint.clone()),
    ];
    let found =
        sources.into_iter().find_map(|(source_name, url)| url.map(|url| (source_name, url)));
    let Some((source_name, url)) = found else {
        let file =
            env.own_file().map_or(platform::OWN_FILE.to_owned(), |path| path.display().to_string());
        return Err(ConfigError::NoEndpoint { file });
    };
    Endpoint::parse(&url).map_err(|why| ConfigError::Url { source_name, why })
}

fn ca_of(flags: &Flags, env: &Environment, own: &OwnFile, profile: &Profile) -> Option<PathBuf> {
    (flags.ca.clone())
        .or_else(|| env.text("TOWLINE_CA").map(PathBuf::from))
        .or_else(|| env.text("AWS_CA_BUNDLE").map(PathBuf::from))
        .or_else(|| own.ca.as_deref().map(|path| env.expand(path)))
        .or_else(|| profile.ca.as_deref().map(|path| env.expand(path)))
        .or_else(|| env.text("SSL_CERT_FILE").map(PathBuf::from))
}

/// The environment goes before a profile, unless the profile was named on the command line: AWS's
/// own order.
fn identity_of(
    flags: &Flags,
    env: &Environment,
    profile: Profile,
) -> Result<Identity, ConfigError> {
    if flags.profile.is_none()
        && let Some(identity) = identity_of_environment(env)?
    {
        return Ok(identity);
    }
    match (profile.access_key, profile.secret) {
        (Some(access_key), Some(secret)) => Ok(Identity {
            access_key,
            secret: SecretAccessKey::new(secret),
            session_token: profile.session_token,
        }),
        (None, None) => {
            Err(ConfigError::NoCredentials { profile: profile.name, hint: profile.hint })
        }
        (Some(_), None) => Err(half("aws_access_key_id", "aws_secret_access_key")),
        (None, Some(_)) => Err(half("aws_secret_access_key", "aws_access_key_id")),
    }
}

fn identity_of_environment(env: &Environment) -> Result<Option<Identity>, ConfigError> {
    match (env.text("AWS_ACCESS_KEY_ID"), env.text("AWS_SECRET_ACCESS_KEY")) {
        (Some(access_key), Some(secret)) => Ok(Some(Identity {
            access_key,
            secret: SecretAccessKey::new(secret),
            session_token: env.text("AWS_SESSION_TOKEN"),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        (None, Some(_)) => Err(half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
    }
}

/// The credentials of `towline login`. Those that are over are sent all the same: the gateway says
/// so.
fn identity_of_login(
    env: &Environment,
    endpoint: &Endpoint,
) -> Result<Option<Identity>, ConfigError> {
    let kept = login::read(env, endpoint)?;
    Ok(kept.map(|kept| Identity {
        access_key: kept.access_key_id,
        secret: SecretAccessKey::new(kept.secret_access_key),
        session_token: Some(kept.session_token),
    }))
}

fn half(has: &'static str, lacks: &'static str) -> ConfigError {
    ConfigError::HalfCredentials { has, lacks }
}
