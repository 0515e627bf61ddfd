//! Access requests: made, approved by levels, closed, listed.

use super::*;
use crate::testing::scratch;

async fn ann(store: &Store) -> String {
    store.principals().create("ann", &[], UnixMillis(0)).await.unwrap();
    store.principals().get("ann").await.unwrap().unwrap().unique_id
}

/// Users who approve, each with her name as her id.
async fn approvers(store: &Store, names: &[&str]) {
    for name in names {
        store.principals().create(name, &[], UnixMillis(0)).await.unwrap();
        crate::engine::query("UPDATE principals SET unique_id = ? WHERE name = ?")
            .bind(*name)
            .bind(*name)
            .execute(&store.pool)
            .await
            .unwrap();
    }
}

fn new(ann: &str, id: &str, created: i64, expires: i64) -> AccessRequest {
    AccessRequest {
        id: id.into(),
        principal: "ann".into(),
        principal_id: ann.into(),
        principal_arn: "arn:ann".into(),
        reason: "r".into(),
        targets: "[]".into(),
        tags: "{}".into(),
        status: "Pending".into(),
        decided_by: String::new(),
        created_at: UnixMillis(created),
        expires_at: UnixMillis(expires),
        terms: Terms::default(),
        minutes: 0,
    }
}

fn told() -> Message {
    Message { id: "msg_1".into(), kind: "k".into(), body: "{}".into() }
}

fn level(required: u32) -> Level {
    Level { approvers: Vec::new(), required }
}

#[tokio::test]
async fn three_approvers_at_once_are_counted_once_each() {
    let (store, _dir) = scratch().await;
    let ann = ann(&store).await;
    let mut request = new(&ann, "oi-1", 1, 100);
    request.terms.levels = vec![level(3)];
    approvers(&store, &["bob", "cid", "dan"]).await;
    store.access_requests().create(&request, None, UnixMillis(1)).await.unwrap();
    let approve = |person: &'static str| {
        let store = store.clone();
        async move {
            let new = NewApproval {
                request: "oi-1",
                person,
                arn: person,
                minutes: 15,
                levels: &[true],
                judged: "",
                fallen: &[],
                latest: UnixMillis(i64::MAX),
                tell: &[],
            };
            store.access_requests().approve(&new, UnixMillis(2)).await.unwrap()
        }
    };
    // Each asks twice, all at the same time.
    let asked = ["bob", "bob", "cid", "cid", "dan", "dan"].map(|who| tokio::spawn(approve(who)));
    let mut counted = Vec::new();
    for one in asked {
        counted.push(one.await.unwrap());
    }
    let of = |what| counted.iter().filter(|counted| **counted == what).count();
    assert_eq!((of(Counted::Approved), of(Counted::More)), (1, 2), "{counted:?}");
    assert_eq!(of(Counted::Twice) + of(Counted::Closed), 3, "{counted:?}");
    let now = store.access_requests().get("oi-1").await.unwrap().unwrap();
    assert_eq!(store.access_requests().approvals(&now).await.unwrap().len(), 3);
    assert_eq!((&*now.status, now.expires_at.0), ("Approved", 2 + 15 * 60_000));
}

#[tokio::test]
async fn a_level_has_its_turn_when_the_one_before_is_complete() {
    let (store, _dir) = scratch().await;
    let ann = ann(&store).await;
    let mut request = new(&ann, "oi-1", 1, 100);
    request.terms =
        Terms { levels: vec![level(1), level(1)], most_minutes: 20, ..Terms::default() };
    approvers(&store, &["bob", "cid"]).await;
    let requests = store.access_requests();
    requests.create(&request, None, UnixMillis(1)).await.unwrap();
    let approve = async |person: &str, levels: &[bool], minutes| {
        let latest = UnixMillis(i64::MAX);
        let new = NewApproval {
            request: "oi-1",
            person,
            arn: person,
            minutes,
            levels,
            judged: "",
            fallen: &[],
            latest,
            tell: &[],
        };
        requests.approve(&new, UnixMillis(2)).await.unwrap()
    };
    assert_eq!(approve("bob", &[false, true], 30).await, Counted::NotHers(0));
    assert_eq!(approve("cid", &[true, false], 60).await, Counted::More);
    assert_eq!(approve("cid", &[true, true], 60).await, Counted::Twice);
    assert_eq!(approve("bob", &[false, true], 30).await, Counted::Approved);
    let now = requests.get("oi-1").await.unwrap().unwrap();
    assert_eq!((now.minutes, now.expires_at.0), (20, 2 + 20 * 60_000), "the policy's most");
}

#[tokio::test]
async fn a_request_is_decided_once_and_in_time() {
    let (store, _dir) = scratch().await;
    let ann = ann(&store).await;
    let requests = store.access_requests();
    requests.create(&new(&ann, "oi-1", 1, 100), None, UnixMillis(1)).await.unwrap();
    let approve = async |now| {
        let new = NewApproval {
            request: "oi-1",
            person: "bob",
            arn: "arn:bob",
            minutes: 15,
            levels: &[true],
            judged: "",
            fallen: &[],
            latest: UnixMillis(200),
            tell: &[],
        };
        requests.approve(&new, UnixMillis(now)).await.unwrap()
    };
    let close = async |steps, now| {
        requests.close("oi-1", steps, "arn:bob", &told(), UnixMillis(now)).await.unwrap()
    };
    assert_eq!(approve(100).await, Counted::Closed, "too late");
    assert!(!close(("Approved", "Revoked"), 50).await, "not approved yet");
    assert_eq!(approve(50).await, Counted::Approved);
    assert!(!close(("Pending", "Rejected"), 60).await, "decided already");
    let now = requests.get("oi-1").await.unwrap().unwrap();
    assert_eq!(
        (now.status.as_str(), now.decided_by.as_str(), now.expires_at.0),
        ("Approved", "arn:bob", 200)
    );
    assert!(close(("Approved", "Revoked"), 150).await);
}

#[tokio::test]
async fn one_request_for_the_same_devices_waits_at_a_time() {
    let (store, _dir) = scratch().await;
    let ann = ann(&store).await;
    let requests = store.access_requests();
    requests.create(&new(&ann, "oi-1", 1, 100), None, UnixMillis(1)).await.unwrap();
    let again = requests.create(&new(&ann, "oi-2", 2, 100), None, UnixMillis(2)).await;
    assert!(matches!(again, Err(StoreError::Exists(_))), "{again:?}");
    requests.create(&new(&ann, "oi-2", 101, 200), None, UnixMillis(101)).await.unwrap();
}

#[tokio::test]
async fn what_is_told_is_stored_with_what_it_tells_for_each_receiver_in_order() {
    let (store, _dir) = scratch().await;
    let ann = ann(&store).await;
    let told = store.notifications();
    for name in ["one", "two"] {
        let webhook = crate::Webhook {
            name: name.into(),
            unique_id: String::new(),
            host: "h".into(),
            format: "Standard".into(),
            sealed: vec![],
            created_at: UnixMillis(1),
        };
        told.create(&webhook).await.unwrap();
    }
    let requests = store.access_requests();
    let message = |id: &str| Message { id: id.into(), kind: "k".into(), body: "{}".into() };
    let request = new(&ann, "oi-1", 1, 100);
    requests.create(&request, Some(&message("msg_1")), UnixMillis(1)).await.unwrap();
    // What is refused tells nothing.
    assert!(requests.create(&request, Some(&message("msg_x")), UnixMillis(1)).await.is_err());
    let steps = ("Pending", "Rejected");
    requests.close("oi-1", steps, "b", &message("msg_2"), UnixMillis(2)).await.unwrap();
    assert!(!requests.close("oi-1", steps, "b", &message("msg_y"), UnixMillis(2)).await.unwrap());
    for webhook in told.webhooks().await.unwrap() {
        for wanted in ["msg_1", "msg_2"] {
            let first = told.first(&webhook.unique_id).await.unwrap().unwrap();
            assert_eq!(first.message.id, wanted);
            told.received(&webhook.unique_id, first.position).await.unwrap();
        }
        assert_eq!(told.counts(&webhook.unique_id).await.unwrap(), (0, 0));
    }
}

#[tokio::test]
async fn undecided_requests_of_one_principal_are_bounded_until_they_are_over() {
    let (store, _dir) = scratch().await;
    let ann = ann(&store).await;
    let requests = store.access_requests();
    for n in 0..limits::MAX_PENDING_REQUESTS {
        let mut one = new(&ann, &format!("oi-{n}"), n, 100);
        one.targets = format!("[{n}]");
        requests.create(&one, None, UnixMillis(1)).await.unwrap();
    }
    assert!(matches!(
        requests.create(&new(&ann, "oi-x", 9, 100), None, UnixMillis(1)).await,
        Err(StoreError::Full { .. })
    ));
    requests.create(&new(&ann, "oi-x", 101, 200), None, UnixMillis(101)).await.unwrap();
    let page = requests.list(None, 2).await.unwrap();
    assert_eq!(page[0].id, "oi-x");
    let rest = requests.list(Some((page[1].created_at, &page[1].id)), 100).await.unwrap();
    assert_eq!(i64::try_from(rest.len()).unwrap(), limits::MAX_PENDING_REQUESTS - 1);
}

#[tokio::test]
async fn one_person_does_not_fill_the_table_with_requests_that_are_decided_at_once() {
    let (store, _dir) = scratch().await;
    let ann = ann(&store).await;
    store.principals().create("bob", &[], UnixMillis(0)).await.unwrap();
    let bob = store.principals().get("bob").await.unwrap().unwrap().unique_id;
    let requests = store.access_requests();
    let approved = |of: &str, id: &str, created| {
        let mut one = new(of, id, created, 100);
        one.status = "Approved".into();
        one
    };
    for n in 0..limits::MAX_REQUESTS_OF_PERSON {
        requests.create(&approved(&ann, &format!("oi-{n}"), n), None, UnixMillis(1)).await.unwrap();
    }
    let more = requests.create(&approved(&ann, "oi-x", 9), None, UnixMillis(1)).await;
    assert!(matches!(more, Err(StoreError::Full { .. })), "{more:?}");
    let mut others = approved(&bob, "oi-y", 9);
    others.principal = "bob".into();
    requests.create(&others, None, UnixMillis(1)).await.unwrap();
    let later = AccessRequest { expires_at: UnixMillis(200), ..approved(&ann, "oi-z", 101) };
    requests.create(&later, None, UnixMillis(101)).await.unwrap();
}

#[tokio::test]
async fn an_extension_needs_the_approvals_of_the_request_and_the_least_of_them_holds() {
    let (store, _dir) = scratch().await;
    let ann = ann(&store).await;
    let mut request = new(&ann, "oi-1", 1, 100);
    request.terms.levels = vec![level(2)];
    approvers(&store, &["bob", "cid"]).await;
    let requests = store.access_requests();
    requests.create(&request, None, UnixMillis(1)).await.unwrap();
    let approval = |person, minutes| NewApproval {
        request: "oi-1",
        person,
        arn: person,
        minutes,
        levels: &[true],
        judged: "",
        fallen: &[],
        latest: UnixMillis(i64::MAX),
        tell: &[],
    };
    let extend =
        async |who, minutes, now| requests.extend(&approval(who, minutes), now).await.unwrap();
    assert_eq!(extend("bob", 60, UnixMillis(2)).await, Counted::Closed, "not approved yet");
    for who in ["bob", "cid"] {
        requests.approve(&approval(who, 15), UnixMillis(2)).await.unwrap();
    }
    let ends = async || requests.get("oi-1").await.unwrap().unwrap().expires_at.0;
    assert_eq!(ends().await, 2 + 15 * 60_000);
    for round in [10, 20] {
        let now = UnixMillis(round);
        assert_eq!(extend("bob", 60 + round, now).await, Counted::More);
        assert_eq!(extend("bob", 60 + round, now).await, Counted::Twice);
        assert_eq!(extend("cid", 30 + round, now).await, Counted::Approved);
        assert_eq!(ends().await, round + (30 + round) * 60_000);
    }
    let late = UnixMillis(ends().await);
    assert_eq!(extend("bob", 60, late).await, Counted::Closed, "access has ended");
}

#[tokio::test]
async fn an_approval_counts_while_its_person_may_still_give_it() {
    let (store, _dir) = scratch().await;
    let ann = ann(&store).await;
    let mut request = new(&ann, "oi-1", 1, 100);
    let of_ops = Level { approvers: vec!["arn:aws:iam::1:group/ops".into()], required: 2 };
    request.terms.levels = vec![of_ops];
    approvers(&store, &["group/ops", "bob", "cid", "dan"]).await;
    let member = async |who: &str, is_one: bool| {
        let mut change = store.change().await.unwrap();
        match is_one {
            true => change.join("group/ops", who).await.unwrap(),
            false => assert!(change.leave("group/ops", who).await.unwrap()),
        }
        change.commit().await.unwrap();
    };
    for who in ["bob", "cid", "dan"] {
        member(who, true).await;
    }
    let requests = store.access_requests();
    requests.create(&request, None, UnixMillis(1)).await.unwrap();
    let approve = async |person: &str| {
        let new = NewApproval {
            request: "oi-1",
            person,
            arn: &format!("arn:aws:iam::1:user/{person}"),
            minutes: 15,
            levels: &[true],
            judged: "",
            fallen: &[],
            latest: UnixMillis(i64::MAX),
            tell: &[],
        };
        requests.approve(&new, UnixMillis(2)).await.unwrap()
    };
    assert_eq!(approve("bob").await, Counted::More);
    member("bob", false).await;
    assert!(requests.approvals(&request).await.unwrap().is_empty(), "bob is no approver now");
    assert_eq!(approve("cid").await, Counted::More, "bob's does not count");
    let cid = store.principals().get("cid").await.unwrap().unwrap();
    let mut change = store.change_of(&cid).await.unwrap();
    change.remove(&cid, "arn:admin", UnixMillis(3)).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(approve("dan").await, Counted::More, "cid's does not count");
    member("bob", true).await;
    assert_eq!(approve("bob").await, Counted::Approved);
}

#[tokio::test]
async fn the_minutes_of_an_approval_that_counts_no_more_bind_nobody() {
    let (store, _dir) = scratch().await;
    let ann = ann(&store).await;
    let mut request = new(&ann, "oi-1", 1, 100);
    request.terms.levels = vec![level(2)];
    approvers(&store, &["bob", "cid", "dan"]).await;
    let requests = store.access_requests();
    requests.create(&request, None, UnixMillis(1)).await.unwrap();
    let approval = |person, minutes| NewApproval {
        request: "oi-1",
        person,
        arn: person,
        minutes,
        levels: &[true],
        judged: "",
        fallen: &[],
        latest: UnixMillis(i64::MAX),
        tell: &[],
    };
    let leaves = async |name: &str| {
        let one = store.principals().get(name).await.unwrap().unwrap();
        let mut change = store.change_of(&one).await.unwrap();
        change.remove(&one, "arn:admin", UnixMillis(3)).await.unwrap();
        change.commit().await.unwrap();
    };
    let ends = async || requests.get("oi-1").await.unwrap().unwrap().expires_at.0;
    let now = UnixMillis(2);
    assert_eq!(requests.approve(&approval("bob", 15), now).await.unwrap(), Counted::More);
    leaves("bob").await;
    assert_eq!(requests.approve(&approval("cid", 60), now).await.unwrap(), Counted::More);
    assert_eq!(requests.approve(&approval("dan", 90), now).await.unwrap(), Counted::Approved);
    assert_eq!(ends().await, 2 + 60 * 60_000, "bob's fifteen minutes went with him");

    approvers(&store, &["eva"]).await;
    assert_eq!(requests.extend(&approval("cid", 70), now).await.unwrap(), Counted::More);
    leaves("cid").await;
    assert_eq!(requests.extend(&approval("dan", 120), now).await.unwrap(), Counted::More);
    assert_eq!(requests.extend(&approval("eva", 100), now).await.unwrap(), Counted::Approved);
    assert_eq!(ends().await, 2 + 100 * 60_000, "cid's seventy minutes went with her");
}

#[test]
fn an_approval_of_an_older_version_gives_what_stands_at_the_request() {
    let gave = |minutes| Approval {
        person_id: "p".into(),
        arn: "p".into(),
        level: 0,
        minutes,
        approved_at: UnixMillis(1),
        judged: String::new(),
    };
    assert_eq!(least(&[], 30), None);
    assert_eq!(least(&[gave(0)], 30), Some(30));
    assert_eq!(least(&[gave(0), gave(15)], 30), Some(15));
    assert_eq!(least(&[gave(45)], 30), Some(45));
}

#[tokio::test]
async fn a_request_that_opens_by_itself_keeps_who_opened_it() {
    let (store, _dir) = scratch().await;
    let mut request = new(&ann(&store).await, "oi-1", 1, 100);
    (request.status, request.decided_by) = ("Approved".into(), "arn:ann".into());
    store.access_requests().create(&request, None, UnixMillis(1)).await.unwrap();
    assert_eq!(store.access_requests().get("oi-1").await.unwrap().unwrap(), request);
}
