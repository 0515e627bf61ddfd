//! Notifications against a receiver that speaks HTTP: what it gets, in which order, signed how, and
//! what happens when it is away. The time is the test's.
#![allow(clippy::unwrap_used)] // also outside of the test functions: all of this is a test

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use towline_gateway::notifications::{
    Bell, Secrets, Sender, Turn, new_secret, secret_bytes, signature,
};
use towline_gateway::outbound::{Guard, Outbound};
use towline_gateway::vault::Vault;
use towline_host::clock::{Clock, UnixMillis};
use towline_store::testing::scratch;
use towline_store::{Message, Store, Webhook};

const NAME: &str = "shift";
/// In place of a status: the request is taken, and its connection held.
const NOTHING: u16 = 0;
/// In place of a status: the request is taken, and answered when there is a status.
const LATE: u16 = 1;
const START: UnixMillis = UnixMillis(1_800_000_000_000);

/// One message as it came.
#[derive(Debug, Clone)]
struct Got {
    id: String,
    at: i64,
    signature: String,
    body: String,
}

/// A receiver; `status` is what it answers, [`NOTHING`] for no answer.
struct Receiver {
    port: u16,
    status: Arc<Mutex<u16>>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (status, got) = (Arc::new(Mutex::new(204)), Arc::new(Mutex::new(Vec::new())));
        let (answers, taken) = (Arc::clone(&status), Arc::clone(&got));
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                let status = *answers.lock().unwrap();
                if status == NOTHING {
                    held.push(stream);
                    continue;
                }
                let is_late = status == LATE;
                let status = if is_late { 204 } else { status };
                if status < 300 {
                    taken.lock().unwrap().push(parse(&request));
                }
                while is_late && *answers.lock().unwrap() == LATE {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { port, status, got }
    }

    fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    fn ids(&self) -> Vec<String> {
        self.got.lock().unwrap().iter().map(|got| got.id.clone()).collect()
    }
}

async fn read(stream: &mut tokio::net::TcpStream) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = stream.read(&mut piece).await.unwrap_or(0);
        text.extend_from_slice(&piece[..n]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let length: usize = header(head, "content-length").parse().unwrap_or(0);
            if body.len() >= length {
                return whole;
            }
        }
        if n == 0 {
            return whole;
        }
    }
}

fn header(head: &str, name: &str) -> String {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.to_owned()).unwrap_or_default()
}

fn parse(request: &str) -> Got {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
    Got {
        id: header(head, "webhook-id"),
        at: header(head, "webhook-timestamp").parse().unwrap(),
        signature: header(head, "webhook-signature"),
        body: body.to_owned(),
    }
}

struct Scene {
    receiver: Receiver,
    store: Store,
    sender: Sender,
    clock: Clock,
    key: Vec<u8>,
    _dir: tempfile::TempDir,
}

async fn scene(allowed: &[&str]) -> Scene {
    let receiver = Receiver::start().await;
    let (store, dir) = scratch().await;
    let vault = Arc::new(Vault::new(&[7; 32]).unwrap());
    let secret = new_secret().unwrap();
    let key = secret_bytes(&secret).unwrap();
    add(&store, &vault, NAME, receiver.port, secret).await;
    let allowed: Vec<String> = allowed.iter().map(|text| (*text).to_owned()).collect();
    let client = Outbound::new(Guard::parse(&allowed).unwrap(), None).unwrap();
    let clock = Clock::manual(START);
    let (store_of, clock_of) = (store.clone(), clock.clone());
    let sender = Sender { store: store_of, vault, client, mail: None, clock: clock_of };
    Scene { receiver, store, sender, clock, key, _dir: dir }
}

/// Stores a receiver that listens on this port.
async fn add(store: &Store, vault: &Vault, name: &str, port: u16, secret: String) {
    let secrets = Secrets { url: format!("http://127.0.0.1:{port}/hook"), secret };
    let text = serde_json::to_vec(&secrets).unwrap();
    let webhook = Webhook {
        name: name.into(),
        unique_id: String::new(),
        host: "127.0.0.1".into(),
        format: "Standard".into(),
        sealed: vault.seal(&Secrets::sealed_for(name), &text).unwrap(),
        created_at: START,
    };
    store.notifications().create(&webhook).await.unwrap();
}

impl Scene {
    async fn tell(&self, id: &str) {
        let body = format!("{{\"n\":\"{id}\"}}");
        let message = Message { id: id.into(), kind: "access_request.created".into(), body };
        self.store.notifications().tell(&message, self.clock.now()).await.unwrap();
    }

    async fn dead(&self) -> Vec<String> {
        let webhook = self.store.notifications().webhooks().await.unwrap().remove(0);
        let dead = self.store.notifications().dead(&webhook.unique_id, 100).await.unwrap();
        dead.into_iter().map(|dead| dead.message.id).collect()
    }

    /// Lets the time pass until the next attempt.
    async fn wait(&self, turn: &Turn) -> Duration {
        let left = turn.next.unwrap().0 - self.clock.now().0;
        let left = Duration::from_millis(u64::try_from(left).unwrap());
        self.clock.advance(left);
        left
    }
}

#[tokio::test]
async fn a_receiver_that_was_down_for_an_hour_gets_everything_in_order_and_signed() {
    let scene = scene(&["127.0.0.1"]).await;
    scene.receiver.answer(503);
    let mut down = Duration::ZERO;
    let mut told = Vec::new();
    while down < Duration::from_secs(3600) {
        let id = format!("msg_{}", told.len());
        scene.tell(&id).await;
        told.push(id);
        let turn = scene.sender.turn().await.unwrap();
        assert_eq!((turn.received, turn.failed, turn.given_up), (0, 1, 0), "one attempt a turn");
        down += scene.wait(&turn).await;
    }
    assert!(told.len() >= 5, "{told:?}");
    scene.receiver.answer(204);
    let turn = scene.sender.turn().await.unwrap();
    assert_eq!(usize::try_from(turn.received).unwrap(), told.len());
    assert_eq!(scene.receiver.ids(), told);
    for got in scene.receiver.got.lock().unwrap().iter() {
        assert_eq!(got.signature, signature(&scene.key, &got.id, got.at, &got.body));
        assert_eq!(got.at, scene.clock.now().0 / 1000, "the time of the attempt");
        assert!(got.body.contains(&got.id));
    }
    assert_eq!(scene.sender.turn().await.unwrap(), Turn::default(), "each once");
}

#[tokio::test]
async fn what_is_never_taken_is_given_up_listed_and_sent_again_under_its_id() {
    let scene = scene(&["127.0.0.1"]).await;
    scene.receiver.answer(500);
    scene.tell("msg_first").await;
    let mut turn = scene.sender.turn().await.unwrap();
    while turn.given_up == 0 {
        scene.wait(&turn).await;
        turn = scene.sender.turn().await.unwrap();
    }
    assert!(scene.clock.now().0 - START.0 >= 24 * 3600 * 1000);
    assert_eq!(scene.dead().await, ["msg_first"]);
    scene.receiver.answer(200);
    scene.tell("msg_second").await;
    scene.sender.turn().await.unwrap();
    assert_eq!(scene.receiver.ids(), ["msg_second"], "a dead letter holds up nothing");
    let webhook = scene.store.notifications().webhooks().await.unwrap().remove(0);
    let again = scene.store.notifications().resend(&webhook.unique_id, scene.clock.now()).await;
    assert_eq!(again.unwrap(), 1);
    scene.sender.turn().await.unwrap();
    assert_eq!(scene.receiver.ids(), ["msg_second", "msg_first"]);
    assert!(scene.dead().await.is_empty());
}

#[tokio::test]
async fn an_address_of_this_machine_is_not_dialled_unless_it_is_configured() {
    let scene = scene(&[]).await;
    scene.tell("msg_inside").await;
    let turn = scene.sender.turn().await.unwrap();
    assert_eq!((turn.received, turn.failed), (0, 1));
    assert!(scene.receiver.ids().is_empty());
    let webhook = scene.store.notifications().webhooks().await.unwrap().remove(0);
    let first = scene.store.notifications().first(&webhook.unique_id).await.unwrap().unwrap();
    assert!(first.error.contains("does not dial"), "{}", first.error);
    assert!(!first.error.contains("/hook"), "the address is a secret: {}", first.error);
}

#[tokio::test]
async fn a_message_does_not_wait_for_the_time_before_the_clock_was_set_back() {
    let scene = scene(&["127.0.0.1"]).await;
    scene.receiver.answer(500);
    scene.tell("m-1").await;
    let turn = scene.sender.turn().await.unwrap();
    assert_eq!((turn.failed, turn.received), (1, 0));
    scene.receiver.answer(204);
    scene.clock.step(-24 * 3600 * 1000);
    let turn = scene.sender.turn().await.unwrap();
    assert_eq!((turn.failed, turn.received), (0, 1));
    assert_eq!(scene.receiver.ids(), ["m-1"]);
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_holds_up_no_other_one() {
    let Scene { receiver: slow, store, sender, clock, _dir, .. } = scene(&["127.0.0.1"]).await;
    slow.answer(NOTHING);
    let quick = Receiver::start().await;
    add(&store, &sender.vault, "quick", quick.port, new_secret().unwrap()).await;
    let (bell, (stop, stopped)) = (Bell::default(), tokio::sync::watch::channel(false));
    let running = tokio::spawn(sender.run(bell.clone(), stopped, Arc::default()));
    for number in 1..=3 {
        let body = format!("{{\"n\":{number}}}");
        let message = Message { id: format!("m-{number}"), kind: "k".into(), body };
        store.notifications().tell(&message, clock.now()).await.unwrap();
        bell.ring();
        while quick.ids().len() < number {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let webhooks = store.notifications().webhooks().await.unwrap();
    let of_slow = webhooks.iter().find(|webhook| webhook.name == NAME).unwrap();
    let first = store.notifications().first(&of_slow.unique_id).await.unwrap().unwrap();
    assert_eq!((first.attempts, &*first.message.id), (0, "m-1"), "the first attempt is under way");
    running.abort();
    drop(stop);
}

#[tokio::test]
async fn a_stop_waits_for_the_delivery_under_way_and_begins_no_other() {
    let scene = scene(&["127.0.0.1"]).await;
    scene.receiver.answer(LATE);
    scene.tell("m-1").await;
    scene.tell("m-2").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let store = scene.store.clone();
    let running = tokio::spawn(scene.sender.run(Bell::default(), stopped, Arc::default()));
    let in_time = Duration::from_secs(60);
    let taken = async {
        while scene.receiver.ids().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(in_time, taken).await.expect("the message is taken");
    stop.send(true).unwrap();
    scene.receiver.answer(204); // now the answer goes out
    tokio::time::timeout(in_time, running).await.expect("the sender stops").unwrap();
    let webhook = store.notifications().webhooks().await.unwrap().remove(0);
    let first = store.notifications().first(&webhook.unique_id).await.unwrap().unwrap();
    assert_eq!(first.message.id, "m-2", "what was taken is stored as received");
    assert_eq!(scene.receiver.ids(), ["m-1"]);
}
