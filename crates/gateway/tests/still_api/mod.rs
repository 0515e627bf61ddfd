//! The parts of an API for tests: a fresh store, a clock that stands still, no data plane.
//!
//! # Not here
//! - A gateway with a port: `scene`.
#![allow(clippy::unwrap_used)] // a test that cannot make its API has failed

use std::path::Path;
use std::sync::Arc;

use towline_archive::Archive;
use towline_archive::settings::RawEvidence;
use towline_gateway::api::{Parts, SignInSettings};
use towline_gateway::audit::AuditLog;
use towline_gateway::certificate::{Facts, Watched};
use towline_gateway::federation::ProviderKeys;
use towline_gateway::metrics::Metrics;
use towline_gateway::notifications::Bell;
use towline_gateway::outbound::{Guard, Outbound};
use towline_gateway::readiness::Readiness;
use towline_gateway::unattached::Unattached;
use towline_gateway::vault::Vault;
use towline_host::clock::{Clock, UnixMillis};
use towline_ssm::ids::Realm;
use towline_store::Store;

/// Where the clock stands.
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// The store's file in its folder.
pub(crate) const STORE: &str = "towline.db";

/// The parts, with all their files below `dir`. The store is empty, if `dir` holds none.
pub(crate) async fn parts(dir: &Path) -> Parts {
    let store = Store::open(&dir.join(STORE)).await.unwrap();
    let clock = Clock::manual(NOW);
    let (audit, _task) = AuditLog::start(store.clone(), clock.clone());
    let settings = RawEvidence::default().settings(dir).unwrap();
    let (evidence, _failures) = Archive::start(dir, settings, &clock).unwrap();
    let facts = Facts {
        not_before: UnixMillis(0),
        not_after: UnixMillis(i64::MAX),
        http_not_after: None,
        missing_names: Vec::new(),
    };
    let ready = Arc::new(Readiness::new(
        store.clone(),
        clock.clone(),
        tokio::sync::watch::channel(false).1,
        Arc::new(Watched::new(facts)),
    ));
    Parts {
        peers: None,
        authority: String::new(),
        store,
        vault: Arc::new(Vault::new(&[7; 32]).unwrap()),
        clock,
        realm: Realm { region: "xx-towline-1".into(), account: "000000000000".into() },
        sessions: Arc::new(Unattached),
        presence: Arc::new(Unattached),
        commands: Arc::new(Unattached),
        audit,
        metrics: Arc::new(Metrics::default()),
        evidence: Arc::new(evidence),
        stream_url_host: None,
        removal_ends_sessions: false,
        access_ends_sessions: false,
        seen: Vec::new(),
        ready,
        sign_in: SignInSettings::default(),
        providers: ProviderKeys::new(
            Outbound::new(Guard::default(), None).unwrap(),
            Arc::default(),
        ),
        bell: Bell::default(),
        has_mail: false,
    }
}
