//! A gateway without the authority's key gets a certificate for names of its own.
//!
//! Data flow: the configuration's names and key -> a request -> signed where the authority's key is
//! -> [`install`]: checked as clients and devices check it, then put in the place of the files that
//! the gateway serves with, which a running one takes by itself.
//!
//! # Invariants
//! - Nothing is replaced before the whole is checked: certificate, key, names, dates, authority.
//! - A new key waits beside the one in use until its certificate is there, and takes its place by
//!   one rename. A command that was stopped between the two files leaves a certificate whose key
//!   waits: [`finish`] puts it into its place before anything reads the two.
//!
//! # Not here
//! - Taking the files into a running gateway: the watcher.

use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ParsedCertificate;
use towline_host::clock::UnixMillis;
use towline_host::files::{self, FileError};
use zeroize::Zeroizing;

use super::der;
use super::facts::Facts;
use super::names::names_of;
use super::private_ca::{trust, trusts};
use crate::config::{self, Config};
use crate::init::certs::ALWAYS;
use crate::limits::MAX_CONFIG_FILE;
use crate::listener::tls::{TlsConfigs, TlsError, certificates};

/// Why nothing was installed, or no key is there to ask with.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A key.
    #[error("{path}: {why}")]
    Key {
        /// Its file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another key.
    #[error(
        "the certificate is for another key than {0}: install what `cert sign` made of the last \
         request of this directory"
    )]
    OtherKey(String),
    /// Another authority.
    #[error(
        "clients and devices that trust {authority} would refuse the certificate for {name}: \
         {why}. A certificate of another authority needs no `cert install`: name its files as \
         tls_certificate and tls_key in gateway.toml"
    )]
    NotTrusted {
        /// What they trust.
        authority: String,
        /// The first name.
        name: String,
        /// Why.
        why: String,
    },
    /// It has no names.
    #[error("the certificate has no names: {0}")]
    Names(String),
    /// A second request with a new key.
    #[error(
        "{} is the key of an earlier request: install its certificate, or remove the file first",
        .0.display()
    )]
    Waits(PathBuf),
}

/// What was installed.
#[derive(Debug)]
pub struct Installed {
    /// The names of the certificate.
    pub names: Vec<String>,
    /// Whether the key is another one than before.
    pub has_new_key: bool,
    /// What devices pin.
    pub pin: String,
    /// What clients will complain about.
    pub complaints: Vec<String>,
}

/// The names that this gateway asks for: `more`, those by which its settings say that it is
/// reached, and those of its own machine.
#[must_use]
pub fn asked_names(config: &Config, more: &[String]) -> Vec<String> {
    let device = config.cluster.as_ref().and_then(|cluster| cluster.device_address.as_deref());
    let device = device.and_then(|address| address.rsplit_once(':')).map(|(host, _)| host);
    let device = device.map(|host| host.trim_matches(['[', ']']).to_owned());
    let all = more.iter().cloned().chain(config.public_names()).chain(device);
    let mut names: Vec<String> = Vec::new();
    for name in all.chain(ALWAYS.map(str::to_owned)) {
        let name = name.to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The key that a request is made with: the one in use, or a new one, which waits beside it.
///
/// # Errors
/// [`InstallError`] names the file.
pub fn key_to_ask_with(config: &Config, new: bool) -> Result<KeyPair, InstallError> {
    finish(config)?;
    if !new {
        return read_key(&config.tls_key);
    }
    let path = waiting(config);
    if path.exists() {
        return Err(InstallError::Waits(path));
    }
    let bad = |error: rcgen::Error| InstallError::Key {
        path: path.display().to_string(),
        why: error.to_string(),
    };
    let key = KeyPair::generate().map_err(bad)?;
    files::create_private(&path, Zeroizing::new(key.serialize_pem()).as_bytes())?;
    Ok(key)
}

/// Where a new key waits for its certificate. No other gateway is given it: its name does not end
/// as theirs do.
fn waiting(config: &Config) -> PathBuf {
    let mut path = config.tls_key.clone().into_os_string();
    path.push(".new");
    path.into()
}

fn read_key(path: &Path) -> Result<KeyPair, InstallError> {
    let bytes = Zeroizing::new(files::read(path, MAX_CONFIG_FILE)?);
    let bad = |why: String| InstallError::Key { path: path.display().to_string(), why };
    let text = std::str::from_utf8(&bytes).map_err(|error| bad(error.to_string()))?;
    KeyPair::from_pem(text).map_err(|error| bad(error.to_string()))
}

/// Puts the certificates in the file `given` in the place of those that the gateway serves with.
///
/// # Errors
/// [`InstallError`]; nothing is replaced then, unless the disk failed between two files: what is
/// left then is what [`finish`] ends.
pub fn install(config: &Config, given: &Path, now: UnixMillis) -> Result<Installed, InstallError> {
    let (chain, second) = certificates(given)?;
    let bytes = files::read(given, MAX_CONFIG_FILE)?;
    let has_new_key = is_for_waiting(config, chain.first())?;
    let names = judged(config, chain.first().into_iter().chain(&second), now)?;
    if has_new_key {
        config::take_rights(&waiting(config), &config.tls_key)?;
    }
    config::replace(&config.tls_certificate, &bytes)?;
    finish(config)?;
    let complaints = Facts::of(config).map_or_else(|why| vec![why], |facts| facts.complaints(now));
    let pin = TlsConfigs::pin(&config.tls_certificate)?;
    Ok(Installed { names, has_new_key, pin, complaints })
}

/// Puts the key that waits into its place, if the certificate in use is for it: `cert install` was
/// stopped, or is at work.
///
/// # Errors
/// [`InstallError`]: a key cannot be read or moved.
pub(super) fn finish(config: &Config) -> Result<(), InstallError> {
    let from = key_in_use(config)?;
    if from == config.tls_key {
        return Ok(());
    }
    match std::fs::rename(from, &config.tls_key) {
        Err(error) if error.kind() == NotFound => Ok(()), // another one has just done it
        done => Ok(done.map_err(|source| FileError {
            doing: "cannot replace",
            path: config.tls_key.clone(),
            source,
        })?),
    }
}

/// Where the key is that the certificate in use is for: in its place, or waiting for that.
///
/// # Errors
/// [`InstallError`]: a file cannot be read.
pub fn key_in_use(config: &Config) -> Result<PathBuf, InstallError> {
    let from = waiting(config);
    if !from.exists() {
        return Ok(config.tls_key.clone());
    }
    let (chain, _) = certificates(&config.tls_certificate)?;
    let key = match read_key(&from) {
        // `cert install` has just put it into its place.
        Err(InstallError::File(error)) if error.source.kind() == NotFound => None,
        read => Some(read?.subject_public_key_info()),
    };
    let waits = key.is_some() && asked(chain.first()) == key;
    Ok(if waits { from } else { config.tls_key.clone() })
}

/// The key that a certificate is for.
fn asked(leaf: Option<&CertificateDer<'static>>) -> Option<Vec<u8>> {
    let parsed = ParsedCertificate::try_from(leaf?).ok()?;
    Some(parsed.subject_public_key_info().to_vec())
}

/// Whether the certificate is for the key that waits, and not for the one in use.
fn is_for_waiting(
    config: &Config,
    leaf: Option<&CertificateDer<'static>>,
) -> Result<bool, InstallError> {
    let asked = asked(leaf);
    let fits = |key: &KeyPair| asked.as_ref() == Some(&key.subject_public_key_info());
    let waiting = waiting(config);
    if waiting.exists() && fits(&read_key(&waiting)?) {
        return Ok(true);
    }
    if fits(&read_key(&config.tls_key)?) {
        return Ok(false);
    }
    Err(InstallError::OtherKey(config.tls_key.display().to_string()))
}

/// The names, if who trusts the directory's authority takes these certificates for each of them.
fn judged<'a>(
    config: &Config,
    certificates: impl Iterator<Item = &'a CertificateDer<'static>>,
    now: UnixMillis,
) -> Result<Vec<String>, InstallError> {
    let path = config.dir.join(config::CA);
    let authority = files::read(&path, MAX_CONFIG_FILE)?;
    let bad = |why: String| InstallError::Key { path: path.display().to_string(), why };
    let authority = CertificateDer::from_pem_slice(&authority).map_err(|e| bad(e.to_string()))?;
    let roots = trust(&authority).map_err(bad)?;
    let mut first = Vec::new();
    for certificate in certificates {
        let names = der::subject_alt_names(certificate).unwrap_or_default();
        let names = names_of(names).map_err(|error| InstallError::Names(error.to_string()))?;
        for name in &names {
            trusts(&roots, certificate, name, now).map_err(|error| InstallError::NotTrusted {
                authority: path.display().to_string(),
                name: name.clone(),
                why: error.to_string(),
            })?;
        }
        if first.is_empty() {
            first = names;
        }
    }
    Ok(first)
}

#[cfg(test)]
mod tests;
