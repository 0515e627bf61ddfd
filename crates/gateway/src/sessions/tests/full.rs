//! A hub with all the sessions it may have: one more is refused, and a session that ends makes
//! room.

use std::net::{IpAddr, Ipv4Addr};

use towline_ssm::documents::SessionPlan;
use towline_ssm::ids::SessionId;
use towline_wire::message::FromAgent;

use super::*;
use crate::authority::Authority;
use crate::plane::SessionStart;
use crate::sessions::{Hub, HubSettings, opening};
use towline_host::clock::{Clock, UnixMillis};
use towline_store::testing::scratch;

fn start(session: &str) -> SessionStart {
    SessionStart {
        session: SessionId::try_from(session.to_owned()).unwrap(),
        device: DeviceId::try_from("mi-0123456789abcdef0".to_owned()).unwrap(),
        principal_arn: "arn:aws:iam::000000000000:user/ann".into(),
        principal_name: "ann".into(),
        document: "SSM-SessionManagerRunShell".into(),
        plan: SessionPlan::Shell { run_as: None },
        run_as: None,
        terminal: None,
        reason: None,
        just_in_time: false,
        preferences: towline_ssm::documents::preferences::SessionPreferences::default(),
        idle_timeout: Duration::from_secs(1200),
        max_duration: None,
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

const FIRST: &str = "ann-00000000000000001";
const SECOND: &str = "ann-00000000000000002";
const THIRD: &str = "ann-00000000000000003";

/// Opens a session while a scripted agent says that it did so, too.
async fn open(hub: &Arc<Hub>, link: &Arc<Link>, session: &str) -> Result<(), StartError> {
    let agent = async {
        while hub.session(session).is_none()
            || !sent(link).iter().any(|told| told.starts_with("Open("))
        {
            tokio::task::yield_now().await;
        }
        hub.report(link, FromAgent::Opened { session: session.into() });
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
    let (store, _dir) = scratch().await;
    let authority = Arc::new(Authority::from_pkcs8(&Authority::generate().unwrap()).unwrap());
    let settings = HubSettings { grace: Duration::from_secs(600), most_sessions: 2 };
    let clock = Clock::manual(UnixMillis(1_000_000));
    let hub = Hub::restore(store, authority, clock, settings, None).await.unwrap();
    let link = link(1);
    hub.link_up(&link);

    open(&hub, &link, FIRST).await.unwrap();
    open(&hub, &link, SECOND).await.unwrap();
    assert_eq!(open(&hub, &link, THIRD).await, Err(StartError::TooManySessions { limit: 2 }));
    assert_eq!(hub.counts(), (1, 2), "the refused one left nothing behind");
    assert_eq!(sent(&link), Vec::<String>::new(), "and the device heard nothing of it");

    let first = hub.session(FIRST).unwrap();
    hub.end(&first, EndReason::Terminated, "terminated");
    open(&hub, &link, THIRD).await.unwrap();
}
