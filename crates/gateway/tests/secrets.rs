//! Secrets that a client sends to a wrong place: they are in no audit line and in no answer.
#![allow(clippy::unwrap_used)] // also outside of the test functions: all of this is a test

mod plane_of_notes;
mod still_api;
mod world;

use serde_json::json;
use towline_ssm::operation::Operation;

use world::{Key, SECRET, World};

/// All audit lines so far.
async fn trail(world: &World) -> String {
    let lines = world.store.audit().list(0, 1000).await.unwrap();
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_the_place_of_its_access_key_is_not_noted() {
    let world = World::new().await;
    let list = Operation::ListAccessRequests;
    let unknown = Key { id: "AKIANOSUCHKEYISHERE1".into(), ..world.user("ann", &[]).await };
    world.ask(list, &unknown, json!({})).await;
    let swapped = Key { id: SECRET.into(), secret: world.admin.id.clone(), token: None };
    let answer = world.ask(list, &swapped, json!({})).await;
    assert_eq!(answer["__type"], "UnrecognizedClientException", "{answer}");
    let trail = trail(&world).await;
    assert!(trail.contains("AKIANOSUCHKEYISHERE1"), "one that may be an id is noted: {trail}");
    assert!(trail.contains("not of the form of an access key id"), "{trail}");
    assert!(!trail.contains(SECRET), "{trail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_a_secret_is_not_noted_where_it_is_refused() {
    let world = World::new().await;
    for url in [
        "https://ann:s3cret@hooks.example/x",
        "https:///services/s3cret",
        "ftp://hooks.example/s3cret",
        "https://hooks .example/s3cret",
        "https://hooks.example:99999/s3cret",
        "http://127.0.0.1:1/s3cret",
        "mailto:s3cret",
        "s3cret",
    ] {
        let hook = json!({ "WebhookName": "shift", "Url": url, "Format": "Slack" });
        let answer = world.ask(Operation::CreateWebhook, &world.admin, hook).await;
        assert_eq!(answer["__type"], "ValidationException", "{url}: {answer}");
        assert!(!answer.to_string().contains("s3cret"), "{answer}");
    }
    let trail = trail(&world).await;
    assert!(trail.contains("CreateWebhook") && !trail.contains("s3cret"), "{trail}");
}
