//! Enrollment as its callers see it, over a real store.

use towline_host::clock::Clock;
use towline_store::testing::scratch;
use towline_store::{NewActivation, TagKind};

use super::*;
use std::time::Duration;

const NOW: UnixMillis = UnixMillis(1_000_000);
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

struct Scene {
    enrollment: Arc<Enrollment>,
    store: Store,
    _dir: tempfile::TempDir,
}

/// A store with the activation `act`, code `the-code`, two uses, changed by `change`.
async fn scene(change: impl FnOnce(&mut NewActivation)) -> Scene {
    let (store, dir) = scratch().await;
    let mut new = NewActivation::for_tests("act", 2, NOW.plus(Duration::from_secs(60)));
    new.code_hash = hash_code("the-code");
    new.tags = vec![("Environment".into(), "dev".into())];
    change(&mut new);
    store.activations().create(&new, NOW).await.unwrap();
    let (audit, _task) = AuditLog::start(store.clone(), Clock::manual(NOW));
    Scene {
        enrollment: Arc::new(Enrollment::new(store.clone(), audit, Arc::default())),
        store,
        _dir: dir,
    }
}

fn request(code: &str) -> EnrollmentRequest {
    EnrollmentRequest {
        activation_id: "act".into(),
        code: code.into(),
        ..EnrollmentRequest::default()
    }
}

impl Scene {
    async fn enroll(
        &self,
        key: &str,
        request: EnrollmentRequest,
    ) -> Result<EnrollmentOutcome, EnrollmentError> {
        self.enrollment.enroll(key.as_bytes(), request, HERE, NOW).await
    }
}

#[tokio::test]
async fn a_key_with_the_right_code_becomes_an_active_device_with_the_activations_tags() {
    let scene = scene(|_| {}).await;
    let mut asked = request("the-code");
    asked.report.hostname = "box".into();
    let done = scene.enroll("key-1", asked).await.unwrap();
    assert!(!done.pending);
    let device = scene.store.devices().by_spki(b"key-1").await.unwrap().unwrap();
    assert_eq!((device.id.as_str(), device.name.as_str()), (done.device_id.as_str(), "box"));
    let tags = scene.store.tags().of(TagKind::Device, &device.id).await.unwrap();
    assert_eq!(tags, [("Environment".to_owned(), "dev".to_owned())].into());
}

/// A request with the right code that brings these tags.
fn bringing(tags: &[(&str, &str)]) -> EnrollmentRequest {
    let tags = tags.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    EnrollmentRequest { tags, ..request("the-code") }
}

#[tokio::test]
async fn a_device_brings_only_tags_that_its_activation_permits() {
    let scene = scene(|a| a.device_tag_keys = vec!["Site".into()]).await;
    for spelling in ["Environment", "environment", "ENVIRONMENT", "Owner"] {
        let error = scene.enroll("key-1", bringing(&[(spelling, "prod")])).await.unwrap_err();
        assert!(matches!(&error, EnrollmentError::TagNotPermitted(key) if key == spelling));
        assert!(error.to_string().contains("--device-tags"), "{error}");
    }
    let done = scene.enroll("key-1", bringing(&[("site", "a")])).await.unwrap();
    let tags = scene.store.tags().of(TagKind::Device, done.device_id.as_str()).await.unwrap();
    let expected = [("Environment", "dev"), ("site", "a")];
    assert_eq!(tags, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn by_default_a_device_brings_no_tags() {
    let scene = scene(|a| a.tags = vec![]).await;
    let refused = scene.enroll("key-1", bringing(&[("Site", "a")])).await;
    assert!(matches!(refused, Err(EnrollmentError::TagNotPermitted(_))), "{refused:?}");
}

#[tokio::test]
async fn tags_of_a_device_obey_the_rules_of_the_api() {
    let scene = scene(|a| a.device_tag_keys = vec!["Site".into(), "Room".into()]).await;
    let long = "x".repeat(257);
    for bad in [
        &[("Site", "a"), ("site", "b")][..],
        &[("Site", "a*b")],
        &[("Site", &long)],
        &[("", "a")],
        &[("AWS:x", "a")],
    ] {
        let refused = scene.enroll("key-1", bringing(bad)).await;
        assert!(matches!(refused, Err(EnrollmentError::Malformed(_))), "{bad:?}: {refused:?}");
    }
}

#[tokio::test]
async fn an_activation_of_an_older_version_with_two_spellings_lets_nobody_in() {
    let tags = [("Environment", "prod"), ("environment", "dev")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let scene = scene(|a| a.tags = tags).await;
    let refused = scene.enroll("key-1", request("the-code")).await;
    assert!(matches!(refused, Err(EnrollmentError::ContradictoryTags)), "{refused:?}");
}

#[tokio::test]
async fn a_device_stays_pending_where_the_activation_wants_approval() {
    let scene = scene(|a| a.require_approval = true).await;
    assert!(scene.enroll("key-1", request("the-code")).await.unwrap().pending);
}

#[tokio::test]
async fn asking_again_with_the_same_key_gives_the_same_device_and_takes_no_use() {
    let scene = scene(|_| {}).await;
    let first = scene.enroll("key-1", request("the-code")).await.unwrap();
    assert_eq!(scene.enroll("key-1", request("the-code")).await.unwrap(), first);
    assert_eq!(scene.store.activations().get("act").await.unwrap().unwrap().uses, 1);
}

#[tokio::test]
async fn a_wrong_code_and_an_unknown_activation_give_the_same_answer() {
    let scene = scene(|_| {}).await;
    let wrong = scene.enroll("key-1", request("other")).await.unwrap_err();
    let unknown = EnrollmentRequest { activation_id: "none".into(), ..request("the-code") };
    let unknown = scene.enroll("key-1", unknown).await.unwrap_err();
    assert_eq!(wrong.to_string(), unknown.to_string());
    assert!(!wrong.may_heal());
}

#[tokio::test]
async fn an_activation_ends_by_time_by_number_and_by_place() {
    let expired = scene(|a| a.expires_at = NOW).await;
    assert!(matches!(
        expired.enroll("k", request("the-code")).await,
        Err(EnrollmentError::Expired)
    ));

    let one = scene(|a| a.uses_allowed = 1).await;
    one.enroll("key-1", request("the-code")).await.unwrap();
    assert!(matches!(one.enroll("key-2", request("the-code")).await, Err(EnrollmentError::UsedUp)));

    let elsewhere = scene(|a| a.source_cidr = "10.0.0.0/8".into()).await;
    assert!(matches!(
        elsewhere.enroll("k", request("the-code")).await,
        Err(EnrollmentError::WrongSource(_))
    ));
    let here = scene(|a| a.source_cidr = "192.0.2.0/24".into()).await;
    here.enroll("k", request("the-code")).await.unwrap();
}

#[tokio::test]
async fn a_revoked_key_is_refused_even_with_a_good_activation() {
    let scene = scene(|_| {}).await;
    let done = scene.enroll("key-1", request("the-code")).await.unwrap();
    scene.store.devices().remove(done.device_id.as_str(), NOW).await.unwrap();
    assert!(matches!(
        scene.enroll("key-1", request("the-code")).await,
        Err(EnrollmentError::KeyRevoked)
    ));
}

#[tokio::test]
async fn a_source_that_guesses_is_turned_away_even_when_it_finds_the_code() {
    let scene = scene(|_| {}).await;
    for _ in 0..limits::MAX_FAILURES {
        let _ = scene.enroll("key-1", request("guess")).await;
    }
    assert!(matches!(
        scene.enroll("key-1", request("the-code")).await,
        Err(EnrollmentError::Throttled)
    ));
    let later = NOW.plus(limits::FAILURE_WINDOW);
    let late = scene.enrollment.enroll(b"key-1", request("the-code"), HERE, later).await;
    assert!(matches!(late, Err(EnrollmentError::Expired)), "the window is open again: {late:?}");
}

#[tokio::test]
async fn what_a_device_says_is_bounded() {
    let scene = scene(|_| {}).await;
    let long = "x".repeat(1000);
    let mut by_name = request("the-code");
    by_name.name.clone_from(&long);
    let mut by_report = request("the-code");
    by_report.report.platform_name = "a\u{1b}[2J".into();
    let mut by_tag = request("the-code");
    by_tag.tags = vec![("aws:x".into(), String::new())];
    for bad in [by_name, by_report, by_tag] {
        assert!(matches!(scene.enroll("key-1", bad).await, Err(EnrollmentError::Malformed(_))));
    }
}

#[tokio::test]
async fn each_attempt_leaves_a_line_without_the_code() {
    let scene = scene(|_| {}).await;
    let _ = scene.enroll("key-1", request("the-code")).await;
    let _ = scene.enroll("key-2", request("a-wrong-code")).await;
    // And when the id and the code are mixed up.
    let swapped = EnrollmentRequest { activation_id: "the-code".into(), ..request("act") };
    let elsewhere = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    let refused = scene.enrollment.enroll(b"key-3", swapped, elsewhere, NOW).await;
    assert!(matches!(refused, Err(EnrollmentError::NotValid)));
    let lines = scene.store.audit().list(0, 10).await.unwrap();
    assert_eq!(lines.len(), 3);
    assert!(
        lines.iter().all(|(_, line)| !line.contains("-code") && line.contains("EnrolDevice")),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_machines_that_register_at_once_with_one_fingerprint_one_is_let_in() {
    let scene = scene(|a| a.uses_allowed = 8).await;
    let keys: Vec<String> = (0..8).map(|n| format!("key-{n}")).collect();
    let asked = || EnrollmentRequest { machine: "one board".into(), ..request("the-code") };
    let all = keys.iter().map(|key| scene.enroll(key, asked()));
    let done = futures_util::future::join_all(all).await;
    let waiting = done.iter().filter(|one| one.as_ref().unwrap().pending).count();
    assert_eq!(waiting, 7, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrollment_is_on_record_also_if_the_device_hung_up() {
    const DEVICES: u32 = 40;
    let scene = scene(|activation| activation.uses_allowed = 1_000).await;
    let there = async || {
        let devices = scene.store.census().agent_versions().await.unwrap();
        let devices: i64 = devices.iter().map(|(_, number)| number).sum();
        usize::try_from(devices).unwrap()
    };
    let early = (0..DEVICES).map(|number| Duration::from_micros(150) * number);
    // A slow machine lets none in so early: later ends then, until it has let one in.
    let late = (0..8).map(|doubled| Duration::from_millis(10) * 2_u32.pow(doubled));
    for (number, end_after) in (0..).zip(early.chain(late)) {
        if number >= DEVICES && there().await > 0 {
            break;
        }
        let key = format!("key-{number}");
        let enrolling = scene.enroll(&key, request("the-code"));
        // Dropped in the middle: what a connection does that ends.
        let _ = tokio::time::timeout(end_after, enrolling).await;
    }
    let told = async {
        loop {
            let lines = scene.store.audit().list(0, 1_000).await.unwrap();
            let told = lines.iter().filter(|(_, line)| line.contains("deviceId")).count();
            let devices = there().await;
            if devices > 0 && devices == told {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("each device has its line");
}
