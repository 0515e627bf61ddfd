//! Openings that fail: a hub that is full, a system without randomness, an order that cannot be
//! sent, a device that is lost. None leaves anything behind.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::Ordering;

use towline_host::clock::{Clock, UnixMillis};
use towline_ssm::documents::SessionPlan;
use towline_ssm::ids::SessionId;
use towline_store::Store;
use towline_store::testing::scratch;

use super::*;
use crate::audit::AuditLog;
use crate::plane::SessionStart;
use crate::sessions::unrecorded::no_recorder;
use crate::sessions::{Hub, HubParts, HubSettings, opening};

fn start(session: &str) -> SessionStart {
    SessionStart {
        may_use_reserve: false,
        session: SessionId::try_from(session.to_owned()).unwrap(),
        device: DeviceId::try_from("mi-0123456789abcdef0".to_owned()).unwrap(),
        principal_arn: "arn:aws:iam::000000000000:user/ann".into(),
        principal_name: "ann".into(),
        principal_id: String::new(),
        person: crate::plane::Person::default(),
        document: "SSM-SessionManagerRunShell".into(),
        plan: SessionPlan::Shell { run_as: None },
        run_as: None,
        platform: None,
        terminal: None,
        reason: None,
        access_request: None,
        preferences: towline_ssm::documents::preferences::SessionPreferences::default(),
        idle_timeout: Duration::from_secs(1200),
        max_duration: None,
        facts: String::new(),
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

pub(super) const FIRST: &str = "ann-00000000000000001";
pub(super) const SECOND: &str = "ann-00000000000000002";
const THIRD: &str = "ann-00000000000000003";

/// A hub with room for two sessions, and a device that is connected.
async fn hub() -> (Arc<Hub>, Arc<Scripted>, tempfile::TempDir) {
    let (store, dir) = scratch().await;
    let (hub, device) = hub_on(store, dir.path()).await;
    (hub, device, dir)
}

/// The same on this store.
pub(super) async fn hub_on(store: Store, dir: &Path) -> (Arc<Hub>, Arc<Scripted>) {
    let clock = Clock::manual(UnixMillis(1_000_000));
    let (trail, _) = AuditLog::start(store.clone(), clock.clone());
    let recorder = no_recorder(dir, &clock);
    let parts = HubParts { store, clock, recorder, trail };
    let settings = HubSettings { grace: Duration::from_secs(600), most_sessions: 2 };
    let hub = Hub::restore(parts, settings).await.unwrap();
    let device = Scripted::new(true);
    hub.device_up(Arc::clone(&device) as Arc<dyn Device>);
    (hub, device)
}

/// Opens a session while the device says that it did so, too.
pub(super) async fn open(
    hub: &Arc<Hub>,
    device: &Arc<Scripted>,
    session: &str,
) -> Result<(), StartError> {
    let agent = async {
        while !device.take().iter().any(|told| told.starts_with("open ")) {
            tokio::task::yield_now().await;
        }
        if let Some(session) = hub.session(session) {
            session.opened();
        }
    };
    tokio::select! {
        biased;
        opened = opening::open(Arc::clone(hub), start(session)) => opened.map(|_| ()),
        // It waits for the store then.
        () = async { agent.await; std::future::pending().await } => unreachable!(),
    }
}

#[tokio::test]
async fn a_session_beyond_the_last_place_is_refused_until_another_one_ends() {
    let (hub, device, _dir) = hub().await;
    open(&hub, &device, FIRST).await.unwrap();
    open(&hub, &device, SECOND).await.unwrap();
    assert_eq!(open(&hub, &device, THIRD).await, Err(StartError::TooManySessions { limit: 2 }));
    assert_eq!(hub.counts(), (1, 2), "the refused one left nothing behind");
    assert_eq!(device.take(), Vec::<String>::new(), "and the device heard nothing of it");

    let first = hub.session(FIRST).unwrap();
    hub.end(&first, EndReason::Terminated, "terminated");
    open(&hub, &device, THIRD).await.unwrap();
}

#[tokio::test]
async fn a_system_without_randomness_refuses_a_session_and_leaves_nothing_behind() {
    let (hub, device, _dir) = hub().await;
    let opened = opening::open_with(Arc::clone(&hub), start(FIRST), None).await.map(|_| ());
    assert!(matches!(opened, Err(StartError::Internal(_))), "{opened:?}");
    assert_eq!(hub.counts(), (1, 0), "no entry is left in the map");
    assert!(device.take().is_empty(), "the device was not asked");
}

#[tokio::test]
async fn an_order_that_cannot_be_sent_leaves_nothing_behind() {
    let (hub, device, _dir) = hub().await;
    device.refuses.store(true, Ordering::Relaxed);
    let opened = open(&hub, &device, FIRST).await;
    assert!(matches!(opened, Err(StartError::Internal(_))), "{opened:?}");
    assert_eq!(hub.counts(), (1, 0), "no entry is left in the map");
    assert!(hub.store().sessions().get(FIRST).await.unwrap().is_none(), "and no row");
}

#[tokio::test]
async fn a_device_that_is_lost_while_it_opens_a_session_ends_the_wait_at_once() {
    let (hub, device, _dir) = hub().await;
    let lose = async {
        while !device.take().iter().any(|told| told.starts_with("open ")) {
            tokio::task::yield_now().await;
        }
        hub.device_down(&*device);
    };
    let (opened, ()) = tokio::join!(opening::open(Arc::clone(&hub), start(FIRST)), lose);
    assert_eq!(opened.map(|_| ()), Err(StartError::NotConnected));
    assert_eq!(hub.counts(), (0, 0));
}
