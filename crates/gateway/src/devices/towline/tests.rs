//! A hub with one device whose link is up, and what sessions tell it in the wire's form.

use std::sync::Arc;
use std::time::Duration;

use towline_host::clock::{Clock, UnixMillis};
use towline_ssm::ids::DeviceId;
use towline_store::testing::scratch;
use towline_store::{NewActivation, NewDevice, Store};
use towline_wire::epoch::Epoch;
use towline_wire::frame::{Frame, MAX_DATA};
use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::{FromAgent, Size, ToAgent, decode};

use super::agents::{AgentParts, Agents};
use super::device::link_of;
use super::link::Link;
use super::streams::SessionStreams;
use crate::audit::AuditLog;
use crate::authority::Authority;
use crate::devices::enrollment::Enrollment;
use crate::metrics::Metrics;
use crate::plane::EndReason;
use crate::sessions::unrecorded::no_recorder;
use crate::sessions::{Control, Device, Hub, HubParts, HubSettings, Order, Script, Work};

pub(super) const DEVICE: &str = "mi-0123456789abcdef0";
pub(super) const NOW: UnixMillis = UnixMillis(1_000_000);

pub(super) struct Scene {
    pub(super) agents: Arc<Agents>,
    pub(super) link: Arc<Link>,
    pub(super) store: Store,
    _dir: tempfile::TempDir,
}

/// A hub with one device, whose link is up.
pub(super) async fn scene() -> Scene {
    let (store, dir) = scratch().await;
    let activation = NewActivation::for_tests("act", 1, UnixMillis(i64::MAX));
    store.activations().create(&activation, NOW).await.unwrap();
    let device = NewDevice { name: "box".into(), ..NewDevice::for_tests(DEVICE, b"old", "act") };
    store.devices().register(&device, NOW).await.unwrap();
    let (clock, grace) = (Clock::manual(NOW), Duration::from_secs(600));
    let (audit, _) = AuditLog::start(store.clone(), clock.clone());
    let parts = HubParts {
        store: store.clone(),
        clock: clock.clone(),
        recorder: no_recorder(dir.path(), &clock),
        trail: audit.clone(),
    };
    let hub = Hub::restore(parts, HubSettings { grace, most_sessions: 8 }).await.unwrap();
    let enrollment =
        Arc::new(Enrollment::new(store.clone(), audit.clone(), Arc::new(Metrics::default())));
    let authority = Arc::new(Authority::from_pkcs8(&Authority::generate().unwrap()).unwrap());
    let store_of_agents = store.clone();
    let agents = Agents::new(AgentParts {
        peers: None,
        hub,
        store: store_of_agents,
        enrollment,
        audit,
        authority,
        clock,
        pins: Arc::default(),
        grace,
    });
    let link = link(&agents, 1);
    agents.hub.device_up(Arc::clone(&link) as Arc<dyn Device>);
    Scene { agents, link, store, _dir: dir }
}

fn link(agents: &Agents, connection: u32) -> Arc<Link> {
    let device = DeviceId::try_from(DEVICE.to_owned()).unwrap();
    let epoch = Epoch { boot: [1; 16], connection };
    Arc::new(Link::new(device, epoch, [7; 16], 2, Arc::clone(&agents.grants)))
}

/// What waits for the agent, as text.
fn sent(link: &Link) -> Vec<String> {
    let mut out = Vec::new();
    link.take(&mut out, usize::MAX);
    super::outbox::tests::in_words(&out, |frame| match frame {
        Frame::Control(body) => match decode::<ToAgent>(body).unwrap() {
            ToAgent::Open(open) => format!("open {} {:?} {:?}", open.io, open.err, open.terminal),
            ToAgent::Attach { attachment, received, room, .. } => {
                let received = received.map(<[u64; 2]>::from);
                format!("attach {attachment} {received:?} {:?}", <[u32; 2]>::from(room))
            }
            other => format!("{other:?}"),
        },
        Frame::Data { stream, offset, data } => format!("data {stream} {offset}+{}", data.len()),
        other => format!("{other:?}"),
    })
}

/// A step's session on the scene's link, opened by the agent.
fn step(scene: &Scene, script: &[u8]) -> crate::sessions::StepSession {
    let order = Order {
        session: "cmd-1",
        principal: "arn:aws:iam::000000000000:user/ann",
        share_of: "arn:aws:iam::000000000000:user/ann",
        document: "AWS-RunShellScript",
        run_as: None,
        platform: None,
        reserved: false,
        work: Work::Script(Script {
            bytes: script,
            interpreter: towline_ssm::command_document::Interpreter::Shell,
            working_directory: "",
            timeout: 60,
            given_to: &[],
            first_given: UnixMillis(0),
        }),
    };
    let device = Arc::clone(&scene.link) as Arc<dyn Device>;
    scene.agents.hub.open_step(&device, &order, 100).unwrap()
}

#[tokio::test]
async fn a_script_follows_its_order_on_the_same_link_at_once() {
    let scene = scene().await;
    let _step = step(&scene, &[b'x'; 20_000]);
    let told = sent(&scene.link);
    assert_eq!(told[0], "open 1 Some(2) None");
    let (first, rest) = (MAX_DATA, 20_000 - MAX_DATA);
    assert_eq!(told[1..], [format!("data 1 0+{first}"), format!("data 1 {first}+{rest}")]);
}

#[tokio::test]
async fn what_a_session_tells_its_device_goes_over_the_link_in_the_wires_form() {
    let scene = scene().await;
    let step = step(&scene, b"");
    scene.agents.report(&scene.link, FromAgent::Opened { session: "cmd-1".into() });
    let told = sent(&scene.link);
    assert_eq!(told[1], "attach 1 None [100, 100]");
    let attached = FromAgent::Attached {
        session: "cmd-1".into(),
        attachment: 1,
        output: Lanes::new(0, 0),
        input: 0,
        room: 50,
    };
    scene.agents.report(&scene.link, attached);
    assert!(step.session.input(&step.queue, 0, b"ls\r"));
    assert!(step.session.control(&step.queue, Control::Signal(2)));
    assert!(step.session.control(&step.queue, Control::Resize(Size { rows: 1, cols: 2 })));
    step.session.output(Lane::Err, 0, b"oh");
    assert_eq!(step.session.output_credit(&step.queue, Lane::Err, 2, 102), Ok(None));
    assert_eq!(
        sent(&scene.link),
        [
            "Signal { session: \"cmd-1\", signal: 2 }",
            "Resize { session: \"cmd-1\", size: Size { rows: 1, cols: 2 } }",
            "Credit { stream: 2, acked: 2, limit: 102 }",
            "data 1 0+3",
        ]
    );
    scene.agents.hub.end_step(&step, EndReason::Terminated, "cancelled");
    assert_eq!(sent(&scene.link), ["Close { session: \"cmd-1\", reason: Terminated }"]);
}

#[tokio::test]
async fn a_newer_link_takes_the_place_of_an_older_one_and_its_sessions_go_on_there() {
    let scene = scene().await;
    let step = step(&scene, b"");
    scene.agents.report(&scene.link, FromAgent::Opened { session: "cmd-1".into() });
    let newer = link(&scene.agents, 2);
    scene.agents.hub.device_up(Arc::clone(&newer) as Arc<dyn Device>);
    assert!(scene.link.is_closed());
    assert!(!step.session.is_carried(), "it waits for what the device holds");
    let found = scene.agents.hub.device(DEVICE).and_then(link_of).unwrap();
    assert!(Arc::ptr_eq(&found, &newer));
    SessionStreams::connect(&newer, &step.session, 7, Some(8));
    assert_eq!(sent(&newer), ["attach 2 None [100, 100]"]);
    scene.agents.hub.device_down(&*scene.link);
    assert!(step.session.is_carried(), "the end of the older link does not touch it");
}

#[tokio::test]
async fn a_session_waits_until_a_device_has_named_what_it_holds_so_that_no_stream_is_given_twice() {
    let scene = scene().await;
    let step = step(&scene, b"");
    let newer = link(&scene.agents, 2);
    scene.agents.hub.device_up(Arc::clone(&newer) as Arc<dyn Device>);
    assert!(!newer.settles(std::time::Duration::ZERO).await, "nothing is named yet");
    let patience = std::time::Duration::from_secs(60);
    let waiting = tokio::spawn({
        let newer = Arc::clone(&newer);
        async move { newer.settles(patience).await.then(|| newer.new_streams()) }
    });
    tokio::task::yield_now().await;
    SessionStreams::connect(&newer, &step.session, 1, Some(2));
    newer.settle();
    assert_eq!(waiting.await.unwrap(), Some((3, 4)), "1 and 2 are the held session's");
    let third = link(&scene.agents, 3);
    third.close("gone");
    assert!(!third.settles(patience).await, "a link that is over settles no more");
}
