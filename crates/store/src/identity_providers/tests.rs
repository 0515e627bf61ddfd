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
        own_redirect: true,
    }
}

/// Who stops or blocks, and when.
const fn by(at: i64) -> (&'static str, UnixMillis) {
    ("admin", UnixMillis(at))
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
    assert_eq!(providers.set_disabled(&id, true, by(6)).await.unwrap(), Some(left));
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
        providers.set_disabled(&id, disabled, by(at)).await.unwrap();
        assert_eq!(now().await, (disabled, UnixMillis(since), UnixMillis(at)));
    }
    providers.set_disabled(&id, false, by(12)).await.unwrap();
    providers.let_in(&id, "bob", "bob", UnixMillis(13)).await.unwrap();
    assert_eq!(providers.set_disabled("none", true, by(1)).await.unwrap(), None);
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
    assert_eq!(providers.block(&ann.id, true, by(9)).await.unwrap(), Some(Vec::new()));
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

#[tokio::test]
async fn one_provider_alone_comes_to_the_shared_redirect_address() {
    let (store, _dir) = scratch().await;
    let providers = store.identity_providers();
    let shared = |name: &str| IdentityProvider { own_redirect: false, ..new(name) };
    providers.create(&shared("a")).await.unwrap();
    let refused = providers.create(&shared("b")).await.unwrap_err();
    assert!(refused.to_string().contains("shared redirect address"), "{refused}");
    providers.create(&new("b")).await.unwrap();
    let row = async |name: &str| providers.get(name).await.unwrap().unwrap();
    let (a, b) = (row("a").await.unique_id, row("b").await.unique_id);
    let to = async |id: &str, own: bool| providers.move_redirect(id, own, UnixMillis(9)).await;
    assert!(matches!(to(&b, false).await, Err(StoreError::Exists(_))));
    // A change of settings that was read before a move does not undo it.
    let stale = row("a").await;
    assert!(to(&a, true).await.unwrap() && to(&b, false).await.unwrap());
    assert!(providers.update(&stale).await.unwrap() && row("a").await.own_redirect);
    assert!(!row("b").await.own_redirect && !to("none", true).await.unwrap());
    // Two that an older version has made there stay until they are moved.
    engine::query("UPDATE identity_providers SET own_redirect = 0")
        .execute(&store.pool)
        .await
        .unwrap();
    assert!(to(&a, false).await.unwrap() && to(&a, true).await.unwrap());
}

#[tokio::test]
async fn what_a_person_was_given_before_a_block_is_over_when_it_is_let_in_again() {
    let (store, _dir) = scratch().await;
    let providers = store.identity_providers();
    let id = providers.create(&new("a")).await.unwrap();
    let person = async |subject: &str| {
        providers.let_in(&id, subject, subject, UnixMillis(5)).await.unwrap().id
    };
    let (ann, bob) = (person("ann").await, person("bob").await);
    for (digest, of) in [("of-ann", &ann), ("of-bob", &bob)] {
        let renewal = crate::Renewal {
            digest: digest.into(),
            person_id: of.clone(),
            sealed: Vec::new(),
            role: "r".into(),
            created_at: UnixMillis(5),
            expires_at: UnixMillis(i64::MAX),
        };
        store.renewals().create(&renewal).await.unwrap();
    }
    providers.block(&ann, true, by(6)).await.unwrap();
    let now = async || {
        let row = providers.person(&ann).await.unwrap().unwrap();
        (row.is_blocked, row.holds_since)
    };
    assert_eq!(now().await, (true, UnixMillis(6)));
    assert_eq!(store.renewals().get("of-ann").await.unwrap(), None);
    assert!(store.renewals().get("of-bob").await.unwrap().is_some());
    for (blocked, at, since) in [(true, 8, 6), (false, 9, 6), (false, 10, 6), (true, 11, 11)] {
        providers.block(&ann, blocked, by(at)).await.unwrap();
        assert_eq!(now().await, (blocked, UnixMillis(since)));
    }
}

/// People of a provider who came last at this time.
async fn crowd(store: &Store, provider: &str, number: i64, used_at: i64) {
    for first in (0..number).step_by(1000) {
        let row = |at: i64| {
            format!(
                "('p{provider}{at}', '{provider}', 's{at}', 'n{provider}{at}', 0, 1, {used_at})"
            )
        };
        let rows: Vec<String> = (first..number.min(first + 1000)).map(row).collect();
        let sql = format!(
            "INSERT INTO federated_people (id, provider_id, subject, name, blocked, created_at, \
             used_at) VALUES {}",
            rows.join(",")
        );
        engine::query(&sql).execute(&store.pool).await.unwrap();
    }
}

#[tokio::test]
async fn a_provider_that_makes_up_subjects_displaces_nobody_of_another_one() {
    let (store, _dir) = scratch().await;
    let providers = store.identity_providers();
    let (people, jobs) = (
        providers.create(&new("people")).await.unwrap(),
        providers.create(&new("jobs")).await.unwrap(),
    );
    let now = UnixMillis(i64::try_from(HOLDS_CREDENTIALS.as_millis()).unwrap() * 2);
    let ann = providers.let_in(&people, "ann", "ann", UnixMillis(1)).await.unwrap();
    crowd(&store, &people, limits::MAX_FEDERATED_PEOPLE - limits::MAX_PEOPLE_OF_PROVIDER - 1, 2)
        .await;
    crowd(&store, &jobs, limits::MAX_PEOPLE_OF_PROVIDER, 3).await;
    // All places are taken, and ann was away longest of all.
    providers.let_in(&jobs, "next", "next", now).await.unwrap();
    assert!(providers.person(&ann.id).await.unwrap().is_some(), "its own rows make room");
    providers.let_in(&people, "bob", "bob", now).await.unwrap();
    assert!(providers.person(&ann.id).await.unwrap().is_some(), "those of who has most do");
    engine::query("UPDATE federated_people SET used_at = ? WHERE provider_id = ?")
        .bind(now.0)
        .bind(&jobs)
        .execute(&store.pool)
        .await
        .unwrap();
    engine::query("DELETE FROM federated_people WHERE provider_id = ? AND used_at = 2")
        .bind(&people)
        .execute(&store.pool)
        .await
        .unwrap();
    providers.let_in(&jobs, "fills", "fills", now).await.unwrap();
    let full = providers.let_in(&jobs, "one more", "x", now).await.unwrap_err();
    assert!(full.to_string().contains("people of this identity provider"), "{full}");
    providers.let_in(&people, "cid", "cid", now).await.unwrap();
    assert!(providers.person(&ann.id).await.unwrap().is_some());
}
