//! A client that hangs up: what its request did stands in the trail, however early it left.
//!
//! # Not here
//! - A gateway that is killed: `tests/e2e/killed_requests.rs`.
// also outside of test functions: this is a test
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod scene;

use std::sync::Arc;
use std::time::Duration;

use rustls::version::TLS13;
use scene::Scene;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use towline_store::Store;
use towline_testkit::https::{Request, now};
use towline_testkit::lab::operator::Keys;

/// Requests of the test. Each is left a little later than the one before.
const REQUESTS: u32 = 60;
/// How much later.
const STEP: Duration = Duration::from_micros(400);
/// Further requests, where the gateway has come to none of these.
const LATE: u32 = 5;
/// When the first of them is left; each next one is left after twice that time.
const LATE_STEP: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_changed_is_in_the_trail_also_if_it_hung_up() {
    let mut scene = Scene::start().await;
    let early = (0..REQUESTS).map(|number| STEP * number);
    let late = (0..LATE).map(|doubled| LATE_STEP * 2_u32.pow(doubled));
    for (number, left_after) in (0..).zip(early.chain(late)) {
        if number >= REQUESTS && !made(&scene.store).await.is_empty() {
            break;
        }
        let mut stream = scene.connect(client(&scene)).await.unwrap();
        stream.write_all(&creation(&scene, number)).await.unwrap();
        stream.flush().await.unwrap();
        // Not a wait for something: the moment at which the client leaves is what is tried.
        tokio::time::sleep(left_after).await;
        stream.get_ref().0.set_zero_linger().unwrap();
        drop(stream);
    }
    scene.stop();
    (&mut scene.serving).await.unwrap();
    let store = scene.reopened().await;

    let made = made(&store).await;
    assert!(!made.is_empty(), "no request arrived");
    let lines = store.audit().list(0, 10_000).await.unwrap();
    let told: Vec<String> = lines.iter().filter_map(|(_, line)| created(line)).collect();
    let untold: Vec<&String> = made.iter().filter(|name| !told.contains(name)).collect();
    assert!(untold.is_empty(), "{} made, without a line: {untold:?}", made.len());
}

/// The principals that there are.
async fn made(store: &Store) -> Vec<String> {
    let mut made = Vec::new();
    for number in 0..REQUESTS + LATE {
        let found = store.principals().get(&name(number)).await.unwrap();
        made.extend(found.map(|_| name(number)));
    }
    made
}

fn name(number: u32) -> String {
    format!("cut-{number}")
}

fn creation(scene: &Scene, number: u32) -> Vec<u8> {
    let body = format!(r#"{{"PrincipalName":"{}"}}"#, name(number));
    let keys =
        Keys { id: scene.made.access_key_id.clone(), secret: scene.made.secret_access_key.clone() };
    let host = format!("localhost:{}", scene.address.port());
    let request = Request::json("Towline.CreatePrincipal", &body);
    request.signed(&host, &keys, &scene.made.region, now()).unwrap()
}

/// The principal whose creation this line tells.
fn created(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).unwrap();
    if line["eventName"] != "CreatePrincipal" || !line["errorCode"].is_null() {
        return None;
    }
    let arn = line["resources"][0].as_str()?;
    Some(arn.rsplit('/').next()?.to_owned())
}

fn client(scene: &Scene) -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(scene.roots())
        .with_no_client_auth()
}
