//! The certificate that clients of HTTP get: the server's key and names, for at most
//! [`LONGEST`](super::private_ca::LONGEST).
//!
//! Data flow: `ca.pem`, `ca.key.pem`, the server's certificate -> [`make`] signs one, at the start
//! and daily, and stores it nowhere. Or, where the authority's key is not: the second certificate
//! in the server's file, which `towline-gateway cert sign` made.
//!
//! # Invariants
//! - Only names of the server's own certificate, and only its key.
//! - A client that trusts `ca.pem` trusts it: [`make`] checks that before it returns.
//!
//! # Not here
//! - Devices: they get the server's own certificate, because their clocks may be years off
//!   (decision 8).

use std::sync::Arc;

use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use towline_host::clock::UnixMillis;
use towline_host::files;
use zeroize::Zeroizing;

use super::der;
use super::names::names_of;
use super::private_ca::{Names, PrivateCa, trust, trusts};
use crate::config::{self, Config};
use crate::limits::MAX_CONFIG_FILE;
use crate::listener::tls::certificates;

/// The certificate, or `None` where the server's one is not of the private authority, or where
/// neither the authority's key nor a second certificate that holds is at hand.
///
/// # Errors
/// Why it cannot be made, in words.
pub(super) fn make(
    config: &Config,
    now: UnixMillis,
) -> Result<Option<CertificateDer<'static>>, String> {
    let Some(served) = Served::of(config, now)? else { return Ok(None) };
    let authority = config.dir.join(config::CA_KEY);
    if authority.exists() {
        let authority = PrivateCa::read(&config.dir.join(config::CA), &authority);
        let authority = authority.map_err(|error| error.to_string())?;
        let bytes = files::read(&config.tls_key, MAX_CONFIG_FILE).map(Zeroizing::new);
        let bytes = bytes.map_err(|error| error.to_string())?;
        let text = std::str::from_utf8(&bytes).map_err(|error| error.to_string())?;
        let key = KeyPair::from_pem(text);
        let key = key.map_err(|error| format!("{}: {error}", config.tls_key.display()))?;
        let leaf = authority.of_a_year(&key, &Names::Der(&served.names), now)?.der().clone();
        served.is_trusted(&leaf, now)?;
        return Ok(Some(leaf));
    }
    Ok(served.second.clone().filter(|leaf| served.is_trusted(leaf, now).is_ok()))
}

/// The server's certificate, if it is one of the private authority.
struct Served {
    roots: Arc<RootCertStore>,
    /// Its names, as its extension has them.
    names: Vec<u8>,
    first_name: String,
    second: Option<CertificateDer<'static>>,
}

impl Served {
    fn of(config: &Config, now: UnixMillis) -> Result<Option<Self>, String> {
        let authority = config.dir.join(config::CA);
        if !authority.exists() {
            return Ok(None);
        }
        let authority = files::read(&authority, MAX_CONFIG_FILE).map_err(|e| e.to_string())?;
        let authority =
            CertificateDer::from_pem_slice(&authority).map_err(|error| error.to_string())?;
        let roots = trust(&authority)?;
        let (chain, second) =
            certificates(&config.tls_certificate).map_err(|error| error.to_string())?;
        let Some(leaf) = chain.into_iter().next() else { return Ok(None) };
        let Some(names) = der::subject_alt_names(&leaf) else { return Ok(None) };
        // One of another authority may have names that ours never have.
        let Ok(text) = names_of(names) else { return Ok(None) };
        let Some(first_name) = text.into_iter().next() else { return Ok(None) };
        let served = Self { roots, names: names.to_vec(), first_name, second };
        Ok(served.is_trusted(&leaf, now).is_ok().then_some(served))
    }

    fn is_trusted(&self, leaf: &CertificateDer<'_>, now: UnixMillis) -> Result<(), String> {
        trusts(&self.roots, leaf, &self.first_name, now).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
