//! The API as real boto3 sees it, and the trail that it leaves.
// also outside of the test functions: all of this is a test
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod scene;

use std::path::Path;

use scene::Scene;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;
use towline_testkit::machine;

/// The test program's output, and whether it was content.
async fn boto3(scene: &Scene, program: &str, environment: &[(&str, String)]) -> (bool, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/python");
    let mut command = Command::from(machine::python());
    command
        .arg(folder.join(program))
        .env("TOWLINE_ENDPOINT", format!("https://localhost:{}", scene.address.port()))
        .env("TOWLINE_CA", scene.ca())
        .env("AWS_REGION", &scene.made.region)
        .env("AWS_ACCESS_KEY_ID", &scene.made.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &scene.made.secret_access_key)
        .envs(environment.iter().map(|(name, value)| (*name, value)))
        .kill_on_drop(true);
    let output = timeout(machine::SCRIPT, command.output()).await.expect("the script ends");
    let output = output.expect("python3 with boto3 is needed for this test");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_drives_every_operation_and_meets_every_class_of_error() {
    let scene = Scene::start().await;
    let device = scene.device(1, "dev").await;
    let other = scene.device(2, "prod").await;
    scene.plane.connected.lock().unwrap().insert(device.clone());
    let environment =
        [("TOWLINE_DEVICE", device.to_string()), ("TOWLINE_OTHER", other.to_string())];
    let (passed, output) = boto3(&scene, "api_smoke.py", &environment).await;
    assert!(passed, "{output}");
    println!("{output}");
    let (passed, output) = boto3(&scene, "documents_smoke.py", &environment).await;
    assert!(passed, "{output}");
    println!("{output}");
    assert_eq!(
        *scene.plane.dropped.lock().unwrap(),
        [other],
        "a deregistered device loses its link"
    );
    // A gateway of its own: the wrong keys of both programs together are more than one address may
    // try in a minute.
    let second = Scene::start().await;
    let device = second.device(1, "dev").await;
    second.plane.connected.lock().unwrap().insert(device.clone());
    let (passed, output) =
        boto3(&second, "identity_smoke.py", &[("TOWLINE_DEVICE", device.to_string())]).await;
    assert!(passed, "{output}");
    println!("{output}");
    trail_is_whole(&[scene, second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_aws_cli_drives_what_is_served() {
    let scene = Scene::start().await;
    let device = scene.device(1, "dev").await;
    scene.plane.connected.lock().unwrap().insert(device.clone());
    let (passed, output) =
        boto3(&scene, "cli_smoke.py", &[("TOWLINE_DEVICE", device.to_string())]).await;
    assert!(passed, "{output}");
    println!("{output}");
}

/// Every request left a line; what went wrong is in it, and no secret is.
async fn trail_is_whole(scenes: &[Scene]) {
    let mut lines = Vec::new();
    for scene in scenes {
        lines.extend(scene.store.audit().list(0, 10_000).await.unwrap());
    }
    let events: Vec<Value> =
        lines.iter().map(|(_, line)| serde_json::from_str(line).unwrap()).collect();
    let missing: Vec<_> = towline_ssm::operation::Operation::ALL
        .iter()
        .map(|operation| operation.name())
        .filter(|name| !events.iter().any(|event| event["eventName"] == *name))
        .collect();
    assert!(missing.is_empty(), "no line of {missing:?}");
    for code in [
        "AccessDeniedException",
        "MissingAuthenticationTokenException",
        "InvalidSignatureException",
        "IncompleteSignatureException",
        "UnrecognizedClientException",
        "SerializationException",
        "ValidationException",
        "TargetNotConnected",
        "UnknownOperationException",
    ] {
        assert!(events.iter().any(|e| e["errorCode"] == code), "no line with {code}");
    }
    let denied = events.iter().find(|e| e["errorCode"] == "AccessDeniedException").unwrap();
    assert!(denied["userIdentity"]["arn"].as_str().unwrap().contains(":user/"), "{denied}");
    assert!(!denied["resources"].as_array().unwrap().is_empty(), "{denied}");
    for (_, line) in &lines {
        assert!(scenes.iter().all(|scene| !line.contains(&scene.made.secret_access_key)), "{line}");
        assert!(!line.contains("a-token") && !line.contains("another-token"), "{line}");
    }
}
