//! The command tables, against the embedded store.

use super::*;
use crate::error::StoreError;
use crate::limits;
use crate::testing::{scratch, scratch_file};
use crate::{Arrival, Connection, Known};
use towline_host::clock::UnixMillis;

pub(crate) fn new(id: &str, at: i64) -> NewCommand {
    NewCommand {
        id: id.into(),
        document: "AWS-RunShellScript".into(),
        document_version: "1".into(),
        comment: String::new(),
        parameters: "{}".into(),
        instance_ids: "[]".into(),
        targets: "[]".into(),
        principal_arn: "arn:aws:iam::000000000000:user/ann".into(),
        person_id: "AIDA1".into(),
        run_as: String::new(),
        max_concurrency: "50".into(),
        max_errors: "0".into(),
        plan: "{}".into(),
        output: "{}".into(),
        timeout_s: 3600,
        requested_at: UnixMillis(at),
        deliver_by: UnixMillis(at + 1),
        expires_at: UnixMillis(at + 2),
    }
}

pub(crate) fn ended(command: &str, device: &str, status: &str) -> InvocationChange {
    InvocationChange {
        command: command.into(),
        device: device.into(),
        status: status.into(),
        details: status.into(),
        reason: String::new(),
        step: 0,
        given_to: vec![[7; 16]],
        steps: "[]".into(),
        heads: Some(OutputHeads { step: 0, stdout: b"out".to_vec(), stderr: Vec::new() }),
        active: false,
        carried: false,
        doubted: false,
        ended: true,
    }
}

fn end(id: &str) -> CommandEnd {
    CommandEnd {
        id: id.into(),
        status: "Success".into(),
        details: "Success".into(),
        completed: 1,
        errors: 0,
        undelivered: 0,
        ended: true,
    }
}

pub(crate) fn devices(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn the_first_end_of_an_invocation_is_the_one_kept_with_its_output() {
    let (store, _dir) = scratch().await;
    let commands = store.run_commands();
    commands.insert(&new("c", 5), &devices(&["mi-1"]), |_| "[]").await.unwrap();
    assert_eq!(commands.open().await.unwrap().len(), 1);
    commands.change(&[ended("c", "mi-1", "Success")], &[end("c")], UnixMillis(9)).await.unwrap();
    commands.change(&[ended("c", "mi-1", "Failed")], &[], UnixMillis(9)).await.unwrap();
    let invocation = commands.invocation("c", "mi-1").await.unwrap().unwrap();
    assert_eq!((invocation.status.as_str(), invocation.ended), ("Success", true));
    assert_eq!(invocation.given_to, [[7; 16]]);
    assert_eq!(commands.heads("c", "mi-1", 0).await.unwrap().unwrap().stdout, b"out");
    assert!(commands.open().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_end_whose_answer_was_lost_is_taken_again_and_another_end_is_not() {
    let (store, _dir) = scratch().await;
    let commands = store.run_commands();
    commands.insert(&new("c", 5), &devices(&["mi-1"]), |_| "[]").await.unwrap();
    let change = ended("c", "mi-1", "Success");
    for (change, node, taken) in [
        (&change, "a", true),
        (&change, "a", true), // the same again
        (&change, "b", false),
        (&ended("c", "mi-1", "Failed"), "a", false),
        (&InvocationChange { ended: false, ..change.clone() }, "a", false),
    ] {
        let mut tx = store.writing().await.unwrap();
        let done = command_store::change_invocation(&mut tx, change, node, UnixMillis(9)).await;
        assert_eq!(done.unwrap(), taken, "{node} {change:?}");
        tx.commit().await.unwrap();
    }
    let kept = commands.invocation("c", "mi-1").await.unwrap().unwrap();
    assert_eq!((&*kept.status, &*kept.node), ("Success", "a"));
}

#[tokio::test]
async fn what_was_claimed_without_an_answer_is_claimed_again_and_what_was_given_stays() {
    let (mut store, _dir) = scratch().await;
    store.node = "a".into();
    let commands = store.run_commands();
    commands.insert(&new("c", 5), &devices(&["mi-1"]), |_| "[]").await.unwrap();
    let link = Connection { boot: [7; 16], number: 1 };
    store.presences().arrive("mi-1", link, Known::default(), UnixMillis(6)).await.unwrap();
    let wanted =
        [Wanted { command: "c".into(), device: "mi-1".into(), concurrency: 1, most_errors: 0 }];
    assert_eq!(commands.claim(&wanted).await.unwrap().len(), 1);
    assert!(commands.claim(&wanted).await.unwrap().is_empty(), "it is claimed");
    let version = commands.open_versions().await.unwrap()[0].version;
    commands.give_back_claims().await.unwrap();
    assert_eq!(commands.changed_since("c", version).await.unwrap().len(), 1, "others see it");
    assert_eq!(commands.claim(&wanted).await.unwrap().len(), 1);
    let mut tx = store.writing().await.unwrap();
    let given = InvocationChange {
        heads: None,
        active: true,
        carried: true,
        ended: false,
        ..ended("c", "mi-1", "InProgress")
    };
    assert!(command_store::change_invocation(&mut tx, &given, "a", UnixMillis(7)).await.unwrap());
    tx.commit().await.unwrap();
    commands.give_back_claims().await.unwrap();
    assert_eq!(commands.invocation("c", "mi-1").await.unwrap().unwrap().node, "a");
}

#[tokio::test]
async fn an_arrival_without_an_answer_is_told_again_with_sessions_and_commands() {
    let (mut store, _dir) = scratch().await;
    store.node = "b".into();
    let commands = store.run_commands();
    commands.insert(&new("c", 5), &devices(&["mi-1"]), |_| "[]").await.unwrap();
    let given = InvocationChange { heads: None, ended: false, ..ended("c", "mi-1", "InProgress") };
    let mut tx = store.writing().await.unwrap();
    command_store::change_invocation(&mut tx, &given, "a", UnixMillis(6)).await.unwrap();
    tx.commit().await.unwrap();
    let session = crate::sessions::tests::new("ann-1", "mi-1");
    store.sessions().insert(&session, UnixMillis(7)).await.unwrap();
    for (number, known, sessions, told) in [
        (1, Known::default(), 0, 1), // its answer is lost
        (2, Known::default(), 0, 0),
        (3, Known { answer_was_lost: true, ..Known::default() }, 1, 1),
    ] {
        let link = Connection { boot: [7; 16], number };
        let arrival = store.presences().arrive("mi-1", link, known, UnixMillis(8)).await.unwrap();
        let Arrival::Here { sessions: all, commands } = arrival else { panic!("{arrival:?}") };
        assert_eq!((all.len(), commands.len()), (sessions, told), "arrival {number}");
    }
}

#[tokio::test]
async fn invocations_are_listed_newest_first_page_by_page() {
    let (store, _dir) = scratch().await;
    let commands = store.run_commands();
    commands.insert(&new("a", 10), &devices(&["mi-1", "mi-2"]), |_| "[]").await.unwrap();
    commands.insert(&new("b", 20), &devices(&["mi-1", "mi-3"]), |_| "[]").await.unwrap();
    let all = CommandFilter::default();
    let names = |rows: Vec<InvocationRow>| {
        rows.into_iter().map(|r| (r.command, r.device)).collect::<Vec<_>>()
    };
    let page = names(commands.list_invocations(&all, None, 3).await.unwrap());
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(page, [pair("b", "mi-1"), pair("b", "mi-3"), pair("a", "mi-1")]);
    let after = Some((UnixMillis(10), "a", "mi-1"));
    assert_eq!(
        names(commands.list_invocations(&all, after, 3).await.unwrap()),
        [pair("a", "mi-2")]
    );
    let of_device = CommandFilter { device: Some("mi-3".into()), ..CommandFilter::default() };
    assert_eq!(
        names(commands.list_invocations(&of_device, None, 9).await.unwrap()),
        [pair("b", "mi-3")]
    );
    assert_eq!(commands.list(&of_device, None, 9).await.unwrap()[0].new.id, "b");
    assert_eq!(commands.list(&all, Some((UnixMillis(20), "b")), 9).await.unwrap()[0].new.id, "a");
}

#[tokio::test]
async fn filters_narrow_both_lists() {
    let (store, _dir) = scratch().await;
    let commands = store.run_commands();
    commands.insert(&new("a", 10), &devices(&["mi-1"]), |_| "[]").await.unwrap();
    commands.insert(&new("b", 20), &devices(&["mi-1"]), |_| "[]").await.unwrap();
    commands.change(&[ended("a", "mi-1", "Success")], &[end("a")], UnixMillis(30)).await.unwrap();
    for (filter, expected) in [
        (CommandFilter { statuses: devices(&["Success"]), ..CommandFilter::default() }, vec!["a"]),
        (CommandFilter { ended: Some(false), ..CommandFilter::default() }, vec!["b"]),
        (CommandFilter { documents: devices(&["Other"]), ..CommandFilter::default() }, vec![]),
        (
            CommandFilter { invoked_after: Some(UnixMillis(11)), ..CommandFilter::default() },
            vec!["b"],
        ),
        (
            CommandFilter { invoked_before: Some(UnixMillis(20)), ..CommandFilter::default() },
            vec!["a"],
        ),
        (CommandFilter { command: Some("b".into()), ..CommandFilter::default() }, vec!["b"]),
    ] {
        let found: Vec<_> =
            commands.list(&filter, None, 9).await.unwrap().into_iter().map(|c| c.new.id).collect();
        assert_eq!(found, expected, "{filter:?}");
        let found = commands.list_invocations(&filter, None, 9).await.unwrap();
        assert_eq!(
            found.into_iter().map(|i| i.command).collect::<Vec<_>>(),
            expected,
            "{filter:?}"
        );
    }
}

#[tokio::test]
async fn history_older_than_thirty_days_goes_with_its_output_and_what_is_open_stays() {
    let (store, _dir) = scratch().await;
    let commands = store.run_commands();
    commands.insert(&new("old", 0), &devices(&["mi-1"]), |_| "[]").await.unwrap();
    commands.insert(&new("open", 0), &devices(&["mi-1"]), |_| "[]").await.unwrap();
    commands
        .change(&[ended("old", "mi-1", "Success")], &[end("old")], UnixMillis(1))
        .await
        .unwrap();
    let later = 31 * 86_400_000;
    commands.insert(&new("new", later), &devices(&["mi-1"]), |_| "[]").await.unwrap();
    assert!(commands.get("old").await.unwrap().is_none());
    assert!(commands.heads("old", "mi-1", 0).await.unwrap().is_none());
    assert!(commands.get("open").await.unwrap().is_some());
}

#[tokio::test]
async fn one_person_holds_at_most_half_of_what_may_be_open_and_of_the_history() {
    let (store, _dir) = scratch_file().await;
    let commands = store.run_commands();
    let of = |person: &str, id: &str, at| NewCommand { person_id: person.into(), ..new(id, at) };
    let half = usize::try_from(limits::MAX_OPEN_INVOCATIONS / 2).unwrap();
    let many: Vec<String> = (0..half).map(|n| format!("mi-{n}")).collect();
    commands.insert(&of("eve", "c", 5), &many, |_| "[]").await.unwrap();
    let more = commands.insert(&of("eve", "d", 5), &devices(&["mi-1"]), |_| "[]").await;
    assert!(matches!(more, Err(StoreError::Full { .. })), "{more:?}");
    commands.insert(&of("ann", "e", 5), &devices(&["mi-1"]), |_| "[]").await.unwrap();

    // The history: as if both had sent before.
    let kept = limits::MAX_COMMANDS / 2;
    for (person, sent) in [("eve", 5), ("ann", kept + 3)] {
        crate::engine::query(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?) \
             INSERT INTO commands (id, document, document_version, parameters, instance_ids, \
             targets, principal_arn, person_id, max_concurrency, max_errors, plan, output, \
             timeout_s, requested_at, deliver_by, expires_at, status, details, target_count, \
             ended_at) SELECT ? || n, '', '', '', '', '', '', ?, '', '', '', '', 9, n, 9, 9, '', \
             '', 0, 9 FROM n",
        )
        .bind(sent)
        .bind(person)
        .bind(person)
        .execute(&store.pool)
        .await
        .unwrap();
    }
    let count = |person: &'static str| {
        let rows = crate::engine::query_scalar::<i64>(
            "SELECT COUNT(*) FROM commands WHERE ended_at IS NOT NULL AND person_id = ?",
        );
        rows.bind(person).fetch_one(&store.pool)
    };
    commands.insert(&of("ann", "f", 6), &devices(&["mi-2"]), |_| "[]").await.unwrap();
    assert_eq!((count("ann").await.unwrap(), count("eve").await.unwrap()), (kept, 5));
}
