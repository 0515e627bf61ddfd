//! Changes, and what a removed principal leaves behind.

use super::*;
use crate::testing::scratch;
use crate::{AccessRequest, Counted, NewApproval, Terms};

const NOW: UnixMillis = UnixMillis(1);

async fn principal(store: &Store, name: &str) -> Principal {
    store.principals().create(name, &[], NOW).await.unwrap();
    store.principals().get(name).await.unwrap().unwrap()
}

fn request(id: &str, of: &Principal) -> AccessRequest {
    AccessRequest {
        id: id.into(),
        principal: of.name.clone(),
        principal_id: of.unique_id.clone(),
        principal_arn: "arn:ann".into(),
        reason: "r".into(),
        targets: format!("[{id:?}]"),
        tags: "{}".into(),
        status: "Pending".into(),
        decided_by: String::new(),
        created_at: NOW,
        expires_at: UnixMillis(100),
        terms: Terms::default(),
        minutes: 0,
    }
}

async fn approve(store: &Store, id: &str) -> bool {
    let new = NewApproval {
        request: id,
        person: "bob",
        arn: "arn:bob",
        minutes: 60,
        levels: &[true],
        judged: "",
        fallen: &[],
        latest: UnixMillis(100),
        tell: &[],
    };
    let counted = store.access_requests().approve(&new, UnixMillis(2)).await.unwrap();
    counted == Counted::Approved
}

#[tokio::test]
async fn requests_of_a_removed_user_are_void_and_stay_so_under_the_old_name() {
    let (store, _dir) = scratch().await;
    let ann = principal(&store, "ann").await;
    for id in ["oi-1", "oi-2"] {
        store.access_requests().create(&request(id, &ann), None, NOW).await.unwrap();
    }
    assert!(approve(&store, "oi-1").await);
    let removed = crate::testing::remove(&store, "ann").await;
    assert_eq!(removed, Removed { sessions: vec![], requests: 2 });
    let again = principal(&store, "ann").await;
    assert_ne!(again.unique_id, ann.unique_id);
    for (id, status) in [("oi-1", "Revoked"), ("oi-2", "Rejected")] {
        let row = store.access_requests().get(id).await.unwrap().unwrap();
        assert_eq!((&*row.status, &*row.decided_by), (status, "arn:boss"), "{id}");
    }
    assert!(!approve(&store, "oi-2").await);
    let late = store.access_requests().create(&request("oi-3", &ann), None, NOW).await;
    assert!(matches!(late, Err(StoreError::Missing(_))), "{late:?}");
}

#[tokio::test]
async fn requests_of_people_in_a_removed_role_are_void_and_no_later_role_gets_them() {
    let (store, _dir) = scratch().await;
    let ann = principal(&store, "ann").await;
    store.principals().create("role/ops", &[], NOW).await.unwrap();
    for (id, in_role) in [("oi-1", true), ("oi-2", true), ("oi-3", false)] {
        let mut asked = request(id, &ann);
        if in_role {
            asked.principal = "role/ops".into();
        }
        asked.targets = id.into();
        store.access_requests().create(&asked, None, NOW).await.unwrap();
    }
    assert!(approve(&store, "oi-1").await);
    let removed = crate::testing::remove(&store, "role/ops").await;
    assert_eq!(removed.requests, 2);
    for (id, status) in [("oi-1", "Revoked"), ("oi-2", "Rejected"), ("oi-3", "Pending")] {
        let row = store.access_requests().get(id).await.unwrap().unwrap();
        assert_eq!(row.status, status, "{id}");
    }
}

#[tokio::test]
async fn live_sessions_are_found_by_person_and_by_role() {
    let (store, _dir) = scratch().await;
    let (ann, bob) = (principal(&store, "ann").await, principal(&store, "bob").await);
    let own = |id: &str, principal: &str, person: &str| crate::NewSession {
        principal_id: principal.into(),
        person_id: person.into(),
        ..crate::sessions::tests::new(id, "mi-1")
    };
    let (a, b) = (&*ann.unique_id, &*bob.unique_id);
    let role = principal(&store, "role/ops").await.unique_id;
    for session in [own("a", a, a), own("r", &role, a), own("b", &role, b), own("x", "", "")] {
        store.sessions().insert(&session, NOW).await.unwrap();
    }
    store.sessions().end("b", false, "", "", NOW).await.unwrap();
    let mut change = store.change().await.unwrap();
    assert_eq!(
        change.live_sessions(std::slice::from_ref(&ann.unique_id)).await.unwrap(),
        ["a", "r"]
    );
    assert_eq!(change.live_sessions(std::slice::from_ref(&role)).await.unwrap(), ["r"]);
    drop(change);
    assert_eq!(crate::testing::remove(&store, "role/ops").await.sessions, ["r"]);
    let late = store.sessions().insert(&own("late", &role, a), NOW).await;
    assert!(matches!(late, Err(StoreError::Missing(_))), "{late:?}");
    assert_eq!(crate::testing::remove(&store, "ann").await.sessions, ["a", "r"]);
}

#[tokio::test]
async fn two_principals_never_differ_in_letter_case_only() {
    let (store, _dir) = scratch().await;
    principal(&store, "ann").await;
    for name in ["ann", "Ann", "ANN"] {
        let again = store.principals().create(name, &[], NOW).await;
        assert!(matches!(again, Err(StoreError::Exists(_))), "{name}: {again:?}");
    }
    principal(&store, "group/ann").await;
    principal(&store, "role/ann").await;
}

#[tokio::test]
async fn a_change_that_is_not_committed_changed_nothing_and_others_wait_for_it() {
    let (store, _dir) = scratch().await;
    principal(&store, "ann").await;
    let mut change = store.change().await.unwrap();
    change.put_policy("ann", "p", "{}", NOW).await.unwrap();
    assert_eq!(change.policy_texts("ann").await.unwrap().identity.len(), 1);
    assert_eq!(store.principals().policy_texts("ann").await.unwrap().identity.len(), 0);
    let second = tokio::spawn({
        let store = store.clone();
        async move { store.principals().put_policy("ann", "q", "{}", NOW).await }
    });
    drop(change);
    second.await.unwrap().unwrap();
    let names = store.principals().policy_texts("ann").await.unwrap().identity;
    assert_eq!(names, [("q".to_owned(), "{}".to_owned())]);
}
