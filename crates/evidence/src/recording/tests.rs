//! What a recording holds after replays, losses and restarts of its writer.

use super::*;

fn header() -> Header {
    Header {
        version: 2,
        width: 80,
        height: 24,
        timestamp: 5,
        title: String::new(),
        env: Default::default(),
        towline: None,
    }
}

fn fresh() -> Recording {
    Recording::start("ann-1", &header())
}

fn resume(session: &str, bytes: &[u8]) -> Result<Recording, NotResumable> {
    let mut resuming = Resuming::new(session);
    bytes
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .for_each(|line| resuming.line(line));
    resuming.finish()
}

/// Codes and texts of the events, seals apart.
fn events(bytes: &[u8]) -> Vec<(Code, String)> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| line.starts_with(b"["));
    let events = lines.map(|line| Event::parse(line).unwrap());
    events.filter(|event| event.code != Code::Seal).map(|event| (event.code, event.text)).collect()
}

fn output(bytes: &[u8]) -> String {
    events(bytes)
        .into_iter()
        .filter(|(code, _)| *code == Code::Output)
        .map(|(_, text)| text)
        .collect()
}

#[test]
fn output_that_is_replayed_after_a_reconnect_is_recorded_once() {
    let mut recording = fresh();
    recording.output(1, Lane::Io, 0, b"hello ", "");
    recording.output(2, Lane::Io, 0, b"hello wor", "");
    recording.output(3, Lane::Io, 3, b"lo w", "");
    recording.output(4, Lane::Io, 9, b"ld", "");
    assert_eq!(output(&recording.take(5)), "hello world");
    assert_eq!((recording.position(Lane::Io), recording.gaps()), (11, 0));
}

#[test]
fn bytes_that_never_came_are_a_gap_record_with_range_and_reason() {
    let mut recording = fresh();
    recording.output(1, Lane::Io, 0, b"ab", "");
    recording.output(2, Lane::Io, 10, b"kl", "the recorder was too slow");
    let bytes = recording.take(3);
    assert_eq!(output(&bytes), "abkl");
    let (_, gap) = events(&bytes).into_iter().find(|(code, _)| *code == Code::Marker).unwrap();
    assert_eq!(
        gap,
        "gap: 8 bytes of output from 2 to 10 were not recorded: the recorder was too slow"
    );
    assert_eq!(recording.gaps(), 1);
}

#[test]
fn the_two_outputs_of_a_command_have_positions_of_their_own() {
    let mut recording = fresh();
    recording.output(1, Lane::Io, 0, b"out", "");
    recording.output(1, Lane::Err, 0, b"err", "");
    recording.output(2, Lane::Err, 3, b"!", "");
    assert_eq!(output(&recording.take(3)), "outerr!");
}

#[test]
fn a_character_that_is_cut_in_two_is_one_character() {
    let mut recording = fresh();
    recording.output(1, Lane::Io, 0, b"\xE2\x82", "");
    recording.output(2, Lane::Io, 2, b"\xAC", "");
    assert_eq!(output(&recording.take(3)), "€");
}

#[test]
fn time_never_runs_back() {
    let mut recording = fresh();
    recording.marker(9, "late");
    recording.marker(3, "later");
    let bytes = recording.take(1);
    let times: Vec<u64> = bytes
        .split(|b| *b == b'\n')
        .filter_map(|line| Event::parse(line).ok())
        .map(|e| e.at)
        .collect();
    assert_eq!(times, [9, 9, 9]);
}

#[test]
fn a_writer_that_was_killed_is_followed_by_one_that_goes_on() {
    let mut first = fresh();
    first.output(1, Lane::Io, 0, b"one ", "");
    let mut bytes = first.take(2);
    first.output(3, Lane::Io, 4, b"lost with the process", "");

    let mut second = resume("ann-1", &bytes).unwrap();
    assert_eq!((second.position(Lane::Io), second.last()), (4, 2));
    second.output(4, Lane::Io, 25, b"two", "the gateway was restarted");
    second.end(5, "the program ended");
    bytes.extend(second.take(5));
    assert_eq!(output(&bytes), "one two");
    assert_eq!(second.gaps(), 1);
    assert!(resume("ann-1", &bytes).unwrap().is_ended());
    assert_eq!(resume("bob-1", &bytes).unwrap_err(), NotResumable);
    bytes.extend(b"[9.0,\"o\",\"unsealed\"]\n");
    assert_eq!(resume("ann-1", &bytes).unwrap_err(), NotResumable);
}

#[test]
fn nothing_is_added_behind_the_last_seal() {
    let mut recording = fresh();
    recording.end(1, "the program ended");
    let _ = recording.take(1);
    recording.marker(2, "late");
    recording.end(2, "again");
    assert!(recording.take(3).is_empty());
}

#[test]
fn a_long_marker_is_cut_and_a_long_output_becomes_several_events() {
    let mut recording = fresh();
    recording.marker(1, &"é".repeat(10_000));
    recording.output(1, Lane::Io, 0, &vec![0x1b; 3 * MAX_TEXT], "");
    let bytes = recording.take(2);
    assert!(bytes.split(|b| *b == b'\n').all(|line| line.len() <= crate::cast::MAX_LINE));
    assert_eq!(output(&bytes).len(), 3 * MAX_TEXT);
    assert!(events(&bytes)[0].1.ends_with("é…"));
}
