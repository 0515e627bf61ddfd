//! The command log against an embedded database.

use super::*;
use crate::Store;
use crate::sessions::tests::new as new_of;
use crate::testing::scratch;
use towline_host::clock::UnixMillis;
use towline_wire::epoch::BootNonce;

const BOOT: BootNonce = [1; 16];
const NEXT_BOOT: BootNonce = [2; 16];

fn row(number: u64, kind: &'static str) -> CommandRow {
    let session = if kind == "gap" || kind == "agent" { String::new() } else { "ann-1".into() };
    CommandRow {
        number,
        covers: 1,
        kind,
        session,
        at: number,
        pid: Some(7),
        ..CommandRow::default()
    }
}

fn batch(boot: BootNonce, rows: Vec<CommandRow>) -> CommandBatch {
    let next = rows.last().map_or(0, |row| row.number + row.covers.max(1));
    CommandBatch { device: "mi-1".into(), boot, next, rows }
}

fn new_session(id: &str) -> crate::NewSession {
    new_of(id, "mi-1")
}

async fn kinds(store: &Store) -> Vec<(String, u64, u64)> {
    let rows = store.command_log().of_session("ann-1", 0, 100).await.unwrap();
    rows.into_iter().map(|row| (row.kind, row.number, row.covers)).collect()
}

#[tokio::test]
async fn a_batch_that_comes_twice_is_stored_once() {
    let (store, _dir) = scratch().await;
    let first = batch(BOOT, vec![row(0, "agent"), row(1, "begin"), row(2, "exec")]);
    let more = batch(BOOT, vec![row(1, "begin"), row(2, "exec"), row(3, "exit"), row(4, "end")]);
    let now = UnixMillis(9);
    assert_eq!(
        store.command_log().append(std::slice::from_ref(&first), now).await.unwrap(),
        [(3, 3)]
    );
    assert_eq!(store.command_log().append(&[first, more], now).await.unwrap(), [(3, 0), (5, 2)]);
    assert_eq!(
        kinds(&store).await,
        [("begin".into(), 1, 1), ("exec".into(), 2, 1), ("end".into(), 4, 1)]
    );
}

#[tokio::test]
async fn what_never_came_is_a_gap_and_a_gap_is_only_what_is_missing() {
    let (store, _dir) = scratch().await;
    let now = UnixMillis(9);
    let begin = batch(BOOT, vec![row(0, "agent"), row(1, "begin")]);
    let jump = batch(BOOT, vec![row(5, "exec")]);
    let overlap = batch(BOOT, vec![CommandRow { covers: 8, ..row(2, "gap") }, row(10, "end")]);
    for (batch, next) in [(begin, 2), (jump, 6), (overlap, 11)] {
        assert_eq!(store.command_log().append(&[batch], now).await.unwrap()[0].0, next);
    }
    let expected = [("begin", 1, 1), ("gap", 2, 3), ("exec", 5, 1), ("gap", 6, 4), ("end", 10, 1)];
    assert_eq!(kinds(&store).await, expected.map(|(kind, n, c)| (kind.to_owned(), n, c)));
}

#[tokio::test]
async fn an_agent_that_went_without_a_word_leaves_a_gap() {
    let (store, _dir) = scratch().await;
    let now = UnixMillis(9);
    store
        .command_log()
        .append(&[batch(BOOT, vec![row(0, "agent"), row(1, "begin")])], now)
        .await
        .unwrap();
    store.command_log().append(&[batch(NEXT_BOOT, vec![row(0, "agent")])], now).await.unwrap();
    assert_eq!(kinds(&store).await, [("begin".into(), 1, 1), ("gap".into(), 2, 0)]);
}

#[tokio::test]
async fn an_agent_that_said_goodbye_leaves_none() {
    let (store, _dir) = scratch().await;
    let now = UnixMillis(9);
    let goodbye = CommandRow { last: true, ..row(2, "agent") };
    store
        .command_log()
        .append(&[batch(BOOT, vec![row(0, "agent"), row(1, "begin"), goodbye])], now)
        .await
        .unwrap();
    store.command_log().append(&[batch(NEXT_BOOT, vec![row(0, "agent")])], now).await.unwrap();
    assert_eq!(kinds(&store).await, [("begin".into(), 1, 1)]);
}

async fn programs_of(store: &Store, session: &str) -> Option<i64> {
    store.sessions().get(session).await.unwrap().unwrap().commands
}

#[tokio::test]
async fn programs_are_counted_once_in_the_row_of_their_session() {
    let (store, _dir) = scratch().await;
    let now = UnixMillis(9);
    let before = batch(BOOT, vec![row(0, "agent"), row(1, "begin"), row(2, "exec")]);
    store.command_log().append(std::slice::from_ref(&before), now).await.unwrap();
    store.sessions().insert(&new_session("ann-1"), now).await.unwrap();
    assert_eq!(programs_of(&store, "ann-1").await, Some(1), "what came before the row");
    let more = batch(BOOT, vec![row(2, "exec"), row(3, "exit"), row(4, "exec"), row(5, "line")]);
    store.command_log().append(&[before, more], now).await.unwrap();
    assert_eq!(programs_of(&store, "ann-1").await, Some(2));
}

#[tokio::test]
async fn of_a_device_that_logs_nothing_no_number_is_known() {
    let (store, _dir) = scratch().await;
    let now = UnixMillis(9);
    store.sessions().insert(&new_session("ann-1"), now).await.unwrap();
    let off = CommandRow { detail: "off (switched off on the device)".into(), ..row(1, "begin") };
    store.command_log().append(&[batch(BOOT, vec![row(0, "agent"), off])], now).await.unwrap();
    assert_eq!(programs_of(&store, "ann-1").await, None);
    store
        .command_log()
        .append(&[batch(NEXT_BOOT, vec![row(0, "agent"), row(1, "begin")])], now)
        .await
        .unwrap();
    assert_eq!(programs_of(&store, "ann-1").await, Some(0));
}

#[tokio::test]
async fn what_cannot_be_read_is_confirmed_and_missing() {
    let (store, _dir) = scratch().await;
    let unread = CommandBatch { next: 4, ..batch(BOOT, vec![row(0, "agent"), row(1, "begin")]) };
    assert_eq!(store.command_log().append(&[unread], UnixMillis(9)).await.unwrap(), [(4, 2)]);
    assert_eq!(kinds(&store).await, [("begin".into(), 1, 1), ("gap".into(), 2, 2)]);
}

#[tokio::test]
async fn a_program_is_read_with_how_it_ended_or_what_it_became() {
    let (store, _dir) = scratch().await;
    let exit = CommandRow { code: Some(3), lasted: Some(40), ..row(4, "exit") };
    let rows = vec![row(0, "agent"), row(1, "begin"), row(2, "exec"), row(3, "exec"), exit];
    store.command_log().append(&[batch(BOOT, rows)], UnixMillis(9)).await.unwrap();
    let rows = store.command_log().of_session("ann-1", 0, 100).await.unwrap();
    let ends: Vec<_> =
        rows.iter().map(|row| (row.number, row.end.as_deref(), row.code, row.lasted)).collect();
    assert_eq!(
        ends,
        [
            (1, None, None, None),
            (2, Some("exec"), None, None),
            (3, Some("exit"), Some(3), Some(40))
        ]
    );
}

#[tokio::test]
async fn a_nul_in_a_devices_text_is_replaced() {
    let (store, _dir) = scratch().await;
    let line = CommandRow { detail: "a\0b".into(), ..row(1, "line") };
    let rows = vec![row(0, "begin"), line];
    store.command_log().append(&[batch(BOOT, rows)], UnixMillis(9)).await.unwrap();
    let stored = store.command_log().of_session("ann-1", 0, 9).await.unwrap();
    assert_eq!(stored[1].detail, "a\u{fffd}b");
}
