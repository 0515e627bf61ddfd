//! `towline-gateway config check`: would a gateway start in this directory, and will clients trust
//! it?
//!
//! # Invariants
//! - It takes no lock, opens no port and changes nothing: it can be run beside a gateway.

use std::path::Path;

use towline_host::clock::UnixMillis;

use crate::authority::Authority;
use crate::certificate::{Facts, key_in_use};
use crate::config::{self, Config};
use crate::listener::tls::TlsConfigs;
use crate::vault::Vault;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What keeps the gateway from starting.
    pub faults: Vec<String>,
    /// What clients or administrators will meet.
    pub warnings: Vec<String>,
}

/// Looks at the directory.
#[must_use]
pub async fn look(dir: &Path, now: UnixMillis) -> Report {
    let mut report = Report::default();
    let config = match Config::load(dir) {
        Ok(config) => config,
        Err(error) => {
            report.faults.push(error.to_string());
            return report;
        }
    };
    let key = |name: &str| config::read_key(dir, name).map_err(|e| e.to_string());
    let authority = key(config::AUTHORITY_KEY)
        .and_then(|bytes| Authority::from_pkcs8(&bytes).map(drop).map_err(|e| e.to_string()));
    let vault = key(config::STORE_KEY)
        .and_then(|bytes| Vault::new(&bytes).map(drop).map_err(|e| e.to_string()));
    let tls = key_in_use(&config).map_err(|e| e.to_string()).and_then(|key| {
        TlsConfigs::load(&config.tls_certificate, &key).map(drop).map_err(|e| e.to_string())
    });
    report.faults.extend([authority, vault, tls].into_iter().filter_map(Result::err));
    match Facts::of(&config) {
        Ok(facts) => report.warnings.extend(facts.complaints(now)),
        Err(error) => report.faults.push(error),
    }
    report.warnings.extend(config::warnings(&config));
    let ca = config.outbound.client().err();
    report.faults.extend(ca.map(|why| format!("[outbound] of gateway.toml: {why}")));
    let mail = config.mail.as_ref().zip(config.outbound.client().ok());
    let mail = mail.and_then(|(mail, client)| mail.server(client).err());
    report.faults.extend(mail.map(|why| format!("[mail] of gateway.toml: {why}")));
    report.faults.extend(config.store.fault(config.cluster.is_some()).await);
    report.faults.dedup();
    report
}
