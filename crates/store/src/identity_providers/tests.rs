//! Identity providers and their people: let in, named, blocked, stopped, removed.

use super::*;
use crate::testing::scratch;

fn new(name: &str) -> IdentityProvider {
    IdentityProvider {
        name: name.into(),
        unique_id: String::new(),
        issuer: format!("https://{name}.example"),
        settings: "{}".into(),
        secret: None,
        created_at: UnixMillis(1),
        changed_at: UnixMillis(1),
        is_disabled: false,
        holds_since: UnixMillis(0),
    }
}

#[tokio::test]
async fn a_provider_that_is_stopped_lets_nobody_in_and_voids_what_was_before() {
    let (store, _dir) = scratch().await;
    let providers = store.identity_providers();
    let id = providers.create(&new("a")).await.unwrap();
    let ann = providers.let_in(&id, "ann", "ann", UnixMillis(5)).await.unwrap();
    let renewal = crate::Renewal {
        digest: "d".into(),
        person_id: ann.id.clone(),
        sealed: Vec::new(),
        role: "r".into(),
        created_at: UnixMillis(5),
        expires_at: UnixMillis(i64::MAX),
    };
    store.renewals().create(&renewal).await.unwrap();
    let left = RemovedPeople { sessions: Vec::new(), people: vec![ann.id] };
    assert_eq!(providers.set_disabled(&id, true, UnixMillis(6)).await.unwrap(), Some(left));
    for subject in ["ann", "bob"] {
        let refused = providers.let_in(&id, subject, "x", UnixMillis(7)).await.unwrap_err();
        assert!(refused.to_string().contains("was disabled"), "{refused}");
    }
    assert_eq!(store.renewals().get("d").await.unwrap(), None);
    let now = async || {
        let row = providers.of_id(&id).await.unwrap().unwrap();
        (row.is_disabled, row.holds_since, row.changed_at)
    };
    assert_eq!(now().await, (true, UnixMillis(6), UnixMillis(6)));
    for (disabled, at, since) in [(true, 8, 6), (false, 9, 6), (false, 10, 6), (true, 11, 11)] {
        providers.set_disabled(&id, disabled, UnixMillis(at)).await.unwrap();
        assert_eq!(now().await, (disabled, UnixMillis(since), UnixMillis(at)));
    }
    providers.set_disabled(&id, false, UnixMillis(12)).await.unwrap();
    providers.let_in(&id, "bob", "bob", UnixMillis(13)).await.unwrap();
    assert_eq!(providers.set_disabled("none", true, UnixMillis(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_person_is_provider_and_subject_and_goes_with_the_provider() {
    let (store, _dir) = scratch().await;
    let providers = store.identity_providers();
    let (a, b) =
        (providers.create(&new("a")).await.unwrap(), providers.create(&new("b")).await.unwrap());
    let ann = providers.let_in(&a, "ann", "Ann", UnixMillis(5)).await.unwrap();
    let other = providers.let_in(&b, "ann", "Ann", UnixMillis(5)).await.unwrap();
    assert_ne!(ann.id, other.id);
    let again = providers.let_in(&a, "ann", "Ann Lee", UnixMillis(9)).await.unwrap();
    assert_eq!((&again.id, &*again.name, again.used_at), (&ann.id, "Ann Lee", UnixMillis(9)));
    assert_eq!(providers.block(&ann.id, true).await.unwrap(), Some(Vec::new()));
    assert!(providers.let_in(&a, "ann", "Ann", UnixMillis(10)).await.unwrap().is_blocked);
    let gone = RemovedPeople { sessions: Vec::new(), people: vec![ann.id.clone()] };
    assert_eq!(providers.people_ids(&a).await.unwrap(), gone.people);
    assert_eq!(providers.remove(&a).await.unwrap(), Some(gone));
    assert_eq!(providers.remove(&a).await.unwrap(), None);
    assert_eq!(providers.person(&ann.id).await.unwrap(), None);
    assert!(providers.person(&other.id).await.unwrap().is_some());
    let gone = providers.let_in(&a, "ann", "Ann", UnixMillis(11)).await.unwrap_err();
    assert!(matches!(gone, StoreError::Missing(_)));
}

#[tokio::test]
async fn two_providers_differ_in_more_than_letter_case() {
    let (store, _dir) = scratch().await;
    let providers = store.identity_providers();
    providers.create(&new("corp")).await.unwrap();
    let of_name = IdentityProvider { issuer: "https://other.example".into(), ..new("Corp") };
    let of_issuer = IdentityProvider { issuer: "https://CORP.example".into(), ..new("x") };
    for alike in [of_name, of_issuer] {
        let refused = providers.create(&alike).await.unwrap_err();
        assert!(matches!(refused, StoreError::Exists(_)), "{refused}");
    }
}

#[tokio::test]
async fn two_people_never_share_a_name() {
    let (store, _dir) = scratch().await;
    let providers = store.identity_providers();
    let (a, b) =
        (providers.create(&new("a")).await.unwrap(), providers.create(&new("b")).await.unwrap());
    let enter = async |provider: &str, subject: &str, name: &str| {
        providers.let_in(provider, subject, name, UnixMillis(5)).await.unwrap()
    };
    assert_eq!(enter(&a, "1", "ann").await.name, "ann");
    let eve = enter(&b, "1", "ann").await;
    assert_eq!(eve.name, format!("ann-{}", &eve.id[eve.id.len() - 16..]));
    assert_eq!(enter(&a, "1", "ann").await.name, "ann", "who has a name keeps it");
    assert_eq!(enter(&b, "1", "ann").await.name, eve.name);
    let mallory = enter(&a, "2", "mallory").await;
    let renamed = enter(&a, "2", "ann").await;
    assert_ne!(renamed.name, "ann", "an older row under a new name displaces nobody");
    assert_eq!(renamed.id, mallory.id);
    let copied = enter(&b, "3", &eve.name).await;
    assert_ne!(copied.name, eve.name);
    let long = "x".repeat(64);
    enter(&a, "4", &long).await;
    assert_eq!(enter(&b, "4", &long).await.name.len(), 64);
    assert_eq!(enter(&a, "1", "anna").await.name, "anna");
    assert_eq!(enter(&b, "1", "ann").await.name, "ann", "a name that was left is free");
}

#[tokio::test]
async fn an_issuer_by_the_other_scheme_has_the_same_arn_and_is_refused() {
    let (store, _dir) = scratch().await;
    let providers = store.identity_providers();
    providers.create(&new("a")).await.unwrap();
    let plain = IdentityProvider { issuer: "http://a.example".into(), ..new("b") };
    assert!(matches!(providers.create(&plain).await, Err(StoreError::Exists(_))));
    let other = IdentityProvider { issuer: "http://b.example".into(), ..new("b") };
    providers.create(&other).await.unwrap();
    let secure = IdentityProvider { issuer: "https://b.example".into(), ..new("c") };
    assert!(matches!(providers.create(&secure).await, Err(StoreError::Exists(_))));
}

#[tokio::test]
async fn names_and_issuers_are_given_once_and_ids_never_again() {
    let (store, _dir) = scratch().await;
    let providers = store.identity_providers();
    let first = providers.create(&new("a")).await.unwrap();
    let same_issuer = IdentityProvider { name: "b".into(), ..new("a") };
    assert!(matches!(providers.create(&same_issuer).await, Err(StoreError::Exists(_))));
    providers.remove(&first).await.unwrap();
    assert_ne!(providers.create(&new("a")).await.unwrap(), first);
}

#[tokio::test]
async fn a_change_without_a_secret_keeps_the_one_that_another_change_has_just_stored() {
    let (store, _dir) = scratch().await;
    let providers = store.identity_providers();
    providers.create(&new("a")).await.unwrap();
    let read = providers.get("a").await.unwrap().unwrap();
    let secret = IdentityProvider { secret: Some(b"s".to_vec()), ..read.clone() };
    assert!(providers.update(&secret).await.unwrap());
    let settings = IdentityProvider { settings: "[]".into(), ..read };
    assert!(providers.update(&settings).await.unwrap());
    let now = providers.get("a").await.unwrap().unwrap();
    assert_eq!((&*now.settings, now.secret.as_deref()), ("[]", Some(&b"s"[..])));
}
