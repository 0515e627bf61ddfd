//! A device whose control channel is up, and steps of commands and sessions there, with a clock
//! that the test sets.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Message;
use axum::http::{Response, request};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use towline_host::clock::{Clock, UnixMillis};
use towline_ssm::command_document::{Interpreter, Platform};
use towline_ssm::documents::SessionPlan;
use towline_ssm::documents::preferences::SessionPreferences;
use towline_ssm::ids::DeviceId;
use towline_ssm::message::{AgentMessage, MessageId, MessageType, PayloadType};
use towline_store::testing::{joined, new_database, scratch};
use towline_store::{Arrival, Connection, Known, Store};
use towline_testkit::postgres::Postgres;

use super::agents::{VendorAgents, VendorParts};
use super::control::{ControlChannel, Queued};
use super::news::News;
use crate::audit::AuditLog;
use crate::devices::arrival::Claim;
use crate::devices::enrollment::Enrollment;
use crate::limits::{
    CLONE_PROBE, VENDOR_CLAIM, VENDOR_CLAIM_AGAIN, VENDOR_CONTROL_BYTES, VENDOR_JOB_KNOWN,
    VENDOR_ORDER_AGAIN, VENDOR_WAITING,
};
use crate::plane::{Peers, StartError, Subject};
use crate::sessions::unrecorded::no_recorder;
use crate::sessions::{Device, Hub, HubParts, HubSettings, Order, Script, StepSession, Work};
use crate::vault::Vault;

const DEVICE: &str = "mi-0123456789abcdef0";
const NOW: UnixMillis = UnixMillis(1_000_000);

struct Scene {
    agents: Arc<VendorAgents>,
    channel: Arc<ControlChannel>,
    clock: Clock,
    _dir: tempfile::TempDir,
}

/// A device on Linux whose control channel is up. From here on time stands still.
async fn scene() -> Scene {
    scene_on(Some(Platform::Linux)).await
}

/// The same on another system, or on one that it has not said.
async fn scene_on(platform: Option<Platform>) -> Scene {
    let (store, dir) = scratch().await;
    let clock = Clock::manual(NOW);
    let agents = VendorAgents::new(parts(&store, &clock, dir.path()).await);
    let device = DEVICE.parse().unwrap();
    let channel = Arc::new(ControlChannel::new(&agents, device, platform));
    agents.parts.hub.device_up(Arc::clone(&channel) as Arc<dyn Device>);
    tokio::time::pause();
    Scene { agents, channel, clock, _dir: dir }
}

fn order(work: Work<'_>) -> Order<'_> {
    Order {
        session: "cmd-1",
        principal: "arn:aws:iam::000000000000:user/ann",
        share_of: "arn:aws:iam::000000000000:user/ann",
        document: "AWS-RunShellScript",
        run_as: None,
        platform: None,
        reserved: false,
        work,
    }
}

/// The words of a refusal.
#[track_caller]
fn refusal(outcome: Result<StepSession, StartError>) -> String {
    match outcome {
        Err(StartError::Refused { why }) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was ordered"),
    }
}

async fn parts(store: &Store, clock: &Clock, dir: &Path) -> VendorParts {
    let (audit, _) = AuditLog::start(store.clone(), clock.clone());
    let of_hub = HubParts {
        store: store.clone(),
        clock: clock.clone(),
        recorder: no_recorder(dir, clock),
        trail: audit.clone(),
    };
    let settings = HubSettings { grace: Duration::from_secs(600), most_sessions: 8 };
    VendorParts {
        hub: Hub::restore(of_hub, settings).await.unwrap(),
        store: store.clone(),
        enrollment: Arc::new(Enrollment::new(store.clone(), audit.clone(), Arc::default())),
        audit,
        vault: Arc::new(Vault::new(&*Vault::generate_key().unwrap()).unwrap()),
        clock: clock.clone(),
        region: "xx-towline-1".to_owned(),
        peers: None,
    }
}

/// Lets the other tasks run until they wait.
async fn settle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

impl Scene {
    /// Orders a step that was given to the device for the first time at this instant.
    fn order(&self, first_given: UnixMillis) -> StepSession {
        self.order_script("cmd-1", (b"echo x", ""), first_given).unwrap()
    }

    /// Orders a step with this script, in this folder.
    fn order_script(
        &self,
        session: &str,
        (bytes, working_directory): (&[u8], &str),
        first_given: UnixMillis,
    ) -> Result<StepSession, StartError> {
        let work = Work::Script(Script {
            bytes,
            interpreter: Interpreter::Shell,
            working_directory,
            timeout: 7200,
            given_to: &[],
            first_given,
        });
        self.open(&Order { session, ..order(work) })
    }

    /// Orders a session that was judged by this system.
    fn order_session(
        &self,
        plan: &SessionPlan,
        run_as: Option<&str>,
        platform: Option<Platform>,
    ) -> Result<StepSession, StartError> {
        let preferences = &SessionPreferences::default();
        let work = Work::Session { plan, tunnel: None, preferences, terminal: None };
        self.open(&Order { run_as, platform, ..order(work) })
    }

    fn open(&self, order: &Order<'_>) -> Result<StepSession, StartError> {
        let device = Arc::clone(&self.channel) as Arc<dyn Device>;
        self.agents.parts.hub.open_step(&device, order, 1000)
    }

    /// Lets time pass; names of the jobs that were ordered meanwhile.
    async fn ordered_in(&self, time: Duration) -> Vec<String> {
        let mut jobs = Vec::new();
        let mut left = time;
        settle().await; // the task of the step sets its timer
        while !left.is_zero() {
            let step = left.min(VENDOR_ORDER_AGAIN);
            self.clock.advance(step);
            tokio::time::advance(step + Duration::from_millis(2)).await; // timers are of whole ms
            settle().await;
            jobs.extend(self.jobs());
            left -= step;
        }
        jobs
    }

    /// Names of the jobs that wait for the agent.
    fn jobs(&self) -> Vec<String> {
        let job = |message: AgentMessage| {
            let payload: Value = serde_json::from_slice(&message.payload).unwrap();
            assert_eq!(message.message_type, MessageType::AgentJob);
            payload["JobId"].as_str().unwrap().to_owned()
        };
        self.channel.waiting().into_iter().map(job).collect()
    }

    /// The agent says something.
    fn hears(&self, message_type: MessageType, payload: &Value) {
        let message = AgentMessage {
            message_type,
            created: 1,
            sequence: 0,
            flags: 0,
            id: MessageId::from_random([3; 16]),
            payload_type: PayloadType::None,
            payload: payload.to_string().into_bytes(),
        };
        self.channel.take(Message::Binary(message.encode().into()));
    }
}

#[tokio::test]
async fn an_order_is_repeated_while_the_agent_knows_its_name_and_never_later() {
    let scene = scene().await;
    let step = scene.order(NOW);
    let job = scene.jobs().remove(0);
    let again = scene.ordered_in(VENDOR_ORDER_AGAIN * 3).await;
    assert_eq!(again, [job.clone(), job.clone(), job.clone()]);
    let rest = VENDOR_JOB_KNOWN - VENDOR_ORDER_AGAIN * 3;
    let again = scene.ordered_in(rest - VENDOR_ORDER_AGAIN).await;
    assert!(!again.is_empty() && again.iter().all(|one| *one == job), "{again:?}");
    // 25 minutes are over: the agent may have forgotten the name, and would run the step again.
    let late = scene.ordered_in(VENDOR_ORDER_AGAIN).await;
    assert!(late.is_empty(), "{late:?}");
    let late = scene.ordered_in(Duration::from_secs(1800)).await;
    assert!(late.is_empty(), "{late:?}");
    // Its reply is awaited all the same.
    let content =
        json!({ "documentStatus": "Success", "runtimeStatus": { "step": { "code": 0 } } });
    let reply = json!({ "jobId": job, "content": content.to_string() });
    scene.hears(MessageType::AgentJobReply, &reply);
    settle().await;
    assert_eq!(step.answer.unwrap().try_recv().unwrap(), Ok(()));
}

#[tokio::test]
async fn a_channel_waits_for_its_device_only_while_there_is_room() {
    let scene = scene().await;
    let mut parts = scene.agents.parts.clone();
    parts.peers = Some(Arc::new(Elsewhere));
    let agents = VendorAgents::new(parts);
    tokio::time::resume(); // the store closes within a time
    agents.parts.store.close().await; // no claim has an answer
    tokio::time::pause();
    let channel = ControlChannel::new(&agents, DEVICE.parse().unwrap(), Some(Platform::Linux));
    let waited = async || {
        let since = tokio::time::Instant::now();
        assert!(agents.claim(&channel).await == Claim::Unknown);
        since.elapsed()
    };
    let long = waited().await;
    assert!(long >= VENDOR_CLAIM && long <= VENDOR_CLAIM + VENDOR_CLAIM_AGAIN * 2, "{long:?}");
    let taken = agents.waiting.acquire_many(u32::try_from(VENDOR_WAITING).unwrap()).await.unwrap();
    let short = waited().await;
    assert!(short >= VENDOR_CLAIM_AGAIN / 2 && short <= VENDOR_CLAIM_AGAIN * 2, "{short:?}");
    drop(taken);
    assert!(waited().await >= VENDOR_CLAIM);
}

/// Another gateway, whose link of each device answers.
struct Elsewhere;

impl Peers for Elsewhere {
    fn answers(&self, _: &str, _: &DeviceId) -> BoxFuture<'_, Option<bool>> {
        Box::pin(async { Some(true) })
    }

    fn elsewhere(&self) -> Vec<String> {
        Vec::new()
    }

    fn moved(&self, _: &str, _: &DeviceId) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn holder(&self, _: Subject) -> BoxFuture<'_, Result<Option<String>, String>> {
        Box::pin(async { Ok(None) })
    }

    fn others(&self) -> Vec<String> {
        Vec::new()
    }

    fn have_recording(&self, _: &str) -> BoxFuture<'_, Result<bool, Vec<String>>> {
        Box::pin(async { Ok(false) })
    }

    fn pass_on(
        &self,
        _: &str,
        _: (&request::Parts, &Bytes),
        _: IpAddr,
    ) -> BoxFuture<'_, Result<Response<Bytes>, String>> {
        Box::pin(async { Err(String::new()) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_another_gateway_claims_during_the_probe_stays_there() {
    let server = Postgres::start(&["fsync = off"]).unwrap();
    let address = new_database(&server.address("postgres")).await;
    let store = Store::create_on(&address).await.unwrap();
    store.principals().create("ann", &[], NOW).await.unwrap();
    store.close().await;
    let (a, b) = (joined(&address, "a").await, joined(&address, "b").await);
    let clock = Clock::system();
    let dir = tempfile::tempdir().unwrap();
    let mut parts = parts(&a, &clock, dir.path()).await;
    parts.peers = Some(Arc::new(Elsewhere));
    let agents = VendorAgents::new(parts);
    let made =
        || Arc::new(ControlChannel::new(&agents, DEVICE.parse().unwrap(), Some(Platform::Linux)));
    let (silent, channel) = (made(), made());
    agents.parts.hub.device_up(Arc::clone(&silent) as Arc<dyn Device>);
    let here = IpAddr::from([192, 0, 2, 1]);
    let probe = tokio::spawn({
        let (agents, channel) = (Arc::clone(&agents), Arc::clone(&channel));
        async move { agents.admit(&channel, here).await }
    });
    while silent.waiting_pings() == 0 {
        tokio::task::yield_now().await;
    }
    let link = Connection { boot: [9; 16], number: 1 };
    let known = Known { other_is_dead: true, ..Known::default() };
    let arrived = b.presences().arrive(DEVICE, link, known, UnixMillis(1)).await.unwrap();
    assert!(matches!(arrived, Arrival::Here { .. }), "{arrived:?}");
    assert!(!probe.await.unwrap(), "its other channel lives, at the other gateway");
    assert!(!channel.is_closed(), "it was in no hub that it had to be taken from");
    assert_eq!(b.presences().holder(DEVICE).await.unwrap().as_deref(), Some("b"));
}

#[tokio::test]
async fn an_order_that_was_taken_is_not_repeated() {
    let scene = scene().await;
    let _step = scene.order(NOW);
    let job = scene.jobs().remove(0);
    scene.hears(MessageType::AgentJobAck, &json!({ "jobId": job, "statusCode": "200" }));
    let again = scene.ordered_in(Duration::from_secs(600)).await;
    assert!(again.is_empty(), "{again:?}");
}

#[tokio::test]
async fn a_step_that_was_given_long_ago_is_awaited_and_not_ordered() {
    let scene = scene().await;
    scene.clock.advance(VENDOR_JOB_KNOWN);
    let _step = scene.order(NOW);
    assert!(scene.jobs().is_empty());
    let late = scene.ordered_in(Duration::from_secs(60)).await;
    assert!(late.is_empty(), "{late:?}");
    assert_eq!(scene.agents.registry.jobs(DEVICE).len(), 1);
}

/// Another gateway asks this before it takes the device for a copy.
#[tokio::test]
async fn a_channel_has_heard_when_it_answers_a_ping_whatever_runs_there() {
    let scene = scene().await;
    assert!(!scene.channel.has_heard(CLONE_PROBE).await, "a dead channel was taken for a live one");
    let _step = scene.order(NOW);
    let pong = async {
        settle().await;
        scene.channel.take(Message::Pong("there?".into()));
    };
    let (heard, ()) = tokio::join!(scene.channel.has_heard(CLONE_PROBE), pong);
    assert!(heard, "a live channel was taken for a dead one");
}

#[tokio::test]
async fn a_session_is_ordered_where_the_device_runs_what_it_was_judged_by() {
    use Platform::{Linux, MacOs, Windows};
    let shell = SessionPlan::Shell { run_as: None };
    for (own, judged) in [
        (Windows, None), // judged as Linux: bob would be taken for bob
        (Windows, Some(Linux)),
        (Windows, Some(MacOs)),
        (Linux, Some(Windows)),
        (MacOs, None),
    ] {
        let scene = scene_on(Some(own)).await;
        let why = refusal(scene.order_session(&shell, Some("bob"), judged));
        assert!(why.contains(own.name()) && why.contains("last report"), "{why}");
        assert!(scene.jobs().is_empty(), "{own:?} {judged:?}");
        tokio::time::resume();
    }
    for (own, judged, user) in [
        (Some(Linux), None, "bob"),
        (Some(Linux), Some(Linux), "bob"),
        (Some(Windows), Some(Windows), "ssm-user"),
        (None, Some(Linux), "bob"),
    ] {
        let scene = scene_on(own).await;
        assert!(scene.order_session(&shell, Some(user), judged).is_ok(), "{own:?} {judged:?}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_device_that_has_not_said_what_it_runs_starts_no_program() {
    let scene = scene_on(None).await;
    let shell = SessionPlan::Shell { run_as: None };
    let why = refusal(scene.order_session(&shell, Some("bob"), None));
    assert!(why.contains("which system it runs"), "{why}");
    let why = refusal(scene.order_session(&shell, Some("bob"), Some(Platform::Windows)));
    assert!(why.contains("as ssm-user, not as bob"), "{why}");
    assert!(scene.order_session(&SessionPlan::Ssh { port: 22 }, None, None).is_ok());
}

#[tokio::test]
async fn an_order_that_never_fits_is_refused_and_the_channel_goes_on() {
    let scene = scene().await;
    let script = vec![b'\n'; 64 * 1024]; // each of them has six bytes in the order
    let why = refusal(scene.order_script("cmd-1", (&script, ""), NOW));
    assert!(why.contains("the script is too large for amazon-ssm-agent"), "{why}");
    assert!(!scene.channel.is_closed(), "one order ended the channel of all");
    assert!(scene.agents.registry.jobs(DEVICE).is_empty());
    assert!(scene.order_script("cmd-2", (b"echo x", ""), NOW).is_ok());
}

#[tokio::test]
async fn orders_that_find_no_room_wait_for_a_slow_link() {
    let scene = scene().await;
    let script = vec![b'a'; 60_000];
    let mut steps = Vec::new();
    let busy = loop {
        let name = format!("cmd-{}", steps.len());
        match scene.order_script(&name, (&script, ""), NOW) {
            Ok(step) => steps.push(step),
            Err(busy) => break busy,
        }
    };
    assert!(matches!(busy, StartError::Busy { .. }), "{busy}");
    assert!(steps.len() >= 4 && !scene.channel.is_closed(), "{}", steps.len());
    // Nothing is ordered again while the first orders wait.
    settle().await;
    for _ in 0..3 {
        scene.clock.advance(VENDOR_ORDER_AGAIN);
        tokio::time::advance(VENDOR_ORDER_AGAIN + Duration::from_millis(2)).await;
        settle().await;
    }
    assert_eq!(scene.jobs().len(), steps.len());
    // The agent is back, and the link full: each step is ordered when there is room.
    let full = vec![0; VENDOR_CONTROL_BYTES - 70_000];
    assert_eq!(scene.channel.send(MessageType::AgentTaskAcknowledge, full), Queued::Yes);
    for job in scene.agents.registry.jobs(DEVICE) {
        job.hears(News::Back);
    }
    settle().await;
    // What is larger than a message of an agent may be is not among those that wait.
    let mut again = scene.jobs();
    assert_eq!(again.len(), 1, "one order has room");
    for taken in 1..steps.len() {
        let job = again.last().unwrap();
        scene.hears(MessageType::AgentJobAck, &json!({ "jobId": job, "statusCode": "200" }));
        again.extend(scene.ordered_in(VENDOR_ORDER_AGAIN).await);
        assert_eq!(again.len(), taken + 1, "{again:?}");
    }
    again.sort_unstable();
    again.dedup();
    assert_eq!(again.len(), steps.len(), "each step was ordered again");
    assert!(!scene.channel.is_closed());
}

#[tokio::test]
async fn a_step_on_windows_has_a_folder_with_a_drive() {
    let scene = scene_on(Some(Platform::Windows)).await;
    for folder in ["/Secrets", "~", "~/x"] {
        let why = refusal(scene.order_script("cmd-1", (b"pwd", folder), NOW));
        assert!(why.contains("begin with a drive"), "{why}");
    }
    assert!(scene.order_script("cmd-1", (b"pwd", "C:\\Secrets"), NOW).is_ok());
}

#[tokio::test]
async fn a_forward_to_a_cloud_s_service_is_not_ordered() {
    let scene = scene().await;
    let host = Some("169.254.169.254".to_owned());
    let plan = SessionPlan::Port { host, port: 80, local_port: 0 };
    let why = refusal(scene.order_session(&plan, None, Some(Platform::Linux)));
    assert!(why.contains("a cloud's services"), "{why}");
    assert!(scene.channel.waiting().is_empty());
}

/// The copy hangs up as soon as it was found out: at none of its steps may the rest be left undone.
#[tokio::test]
async fn a_copied_key_is_locked_out_whole_although_the_copy_hangs_up_meanwhile() {
    for steps in 1..6 {
        let scene = scene().await;
        let id = DEVICE.parse().unwrap();
        let copy = Arc::new(ControlChannel::new(&scene.agents, id, Some(Platform::Linux)));
        let mut admitting = Box::pin(scene.agents.admit(&copy, IpAddr::from([192, 0, 2, 1])));
        assert!(futures_util::poll!(admitting.as_mut()).is_pending());
        assert_eq!(scene.channel.waiting_pings(), 1, "the channel that is there is asked");
        scene.channel.take(Message::Pong("there?".into()));
        for _ in 0..steps {
            let _ = futures_util::poll!(admitting.as_mut());
            tokio::task::yield_now().await;
        }
        drop(admitting);
        tokio::time::resume();
        let locked_out = async {
            while scene.agents.parts.hub.device(DEVICE).is_some() {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), locked_out).await;
        assert!(in_time.is_ok(), "left after {steps} steps");
    }
}
