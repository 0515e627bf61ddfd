//! What is done to a recording, to a node's chain or to a set of both, is found and named by its
//! first record.

// tests: that is how they fail
#![allow(clippy::unwrap_used, clippy::panic, clippy::needless_pass_by_value, clippy::ptr_arg)]

use std::collections::BTreeSet;

use towline_evidence::cast::{Facts, Header};
use towline_evidence::checkpoint::{PublicKey, SigningKey};
use towline_evidence::digest::Digest;
use towline_evidence::node::{NodeChain, What};
use towline_evidence::recording::{Lane, Recording};
use towline_evidence::verify::{
    Fault, NodeFault, NodeVerifier, ProvenChain, RecordingVerifier, Sealed, SetFault,
};

type Lines = Vec<Vec<u8>>;

fn header(session: &str) -> Header {
    let towline = Some(Facts { session: session.into(), ..Facts::default() });
    Header {
        version: 2,
        width: 80,
        height: 24,
        timestamp: 1,
        title: String::new(),
        env: Default::default(),
        towline,
    }
}

/// A recording of several blocks: 1 header, then in each block five records and a seal; the last
/// block has the end.
fn recording(session: &str) -> Lines {
    let mut recording = Recording::start(session, &header(session));
    let mut bytes = Vec::new();
    for n in 0..20_u64 {
        recording.output(n, Lane::Io, n * 8, format!("line {n:02}\n").as_bytes(), "");
        if n % 5 == 4 {
            bytes.extend(recording.take(n));
        }
    }
    recording.end(20, "the program ended");
    bytes.extend(recording.take(20));
    lines(&bytes)
}

fn lines(bytes: &[u8]) -> Lines {
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn verify(lines: &Lines, session: &str, signed: Vec<(u64, Digest)>) -> Result<Sealed, Fault> {
    let mut verifier = RecordingVerifier::new(Some(session), signed);
    for line in lines {
        verifier.line(line)?;
    }
    verifier.finish()
}

fn signed(lines: &Lines) -> Vec<(u64, Digest)> {
    let sealed = verify(lines, "ann-1", vec![]).unwrap();
    assert!(sealed.ended && sealed.unsealed == 0);
    vec![(sealed.lines, sealed.head)]
}

/// What a change of the recording is called, with its last head signed by the node.
#[track_caller]
fn check(change: impl FnOnce(&mut Lines), fault: Fault) {
    let mut lines = recording("ann-1");
    let signed = signed(&lines);
    change(&mut lines);
    assert_eq!(verify(&lines, "ann-1", signed).unwrap_err(), fault);
}

#[test]
fn an_untouched_recording_holds() {
    let lines = recording("ann-1");
    let sealed = verify(&lines, "ann-1", signed(&lines)).unwrap();
    assert_eq!((sealed.lines, sealed.ended, sealed.gaps), (lines.len() as u64, true, 0));
}

#[test]
fn each_record_that_is_altered_is_named() {
    let whole = recording("ann-1");
    let signed = signed(&whole);
    for at in 0..whole.len() {
        for bit in [0, 3] {
            let mut lines = whole.clone();
            let middle = lines[at].len() / 2;
            lines[at][middle] ^= 1 << bit;
            let fault = verify(&lines, "ann-1", signed.clone()).unwrap_err();
            let named = match fault {
                Fault::NoHeader | Fault::OtherSession { .. } => 0,
                Fault::Altered(record) => record,
                // The last seal is the last record: nothing behind it but the signed head.
                Fault::Rewritten { signed, .. } => signed - 1,
                other => panic!("record {at}: {other}"),
            };
            assert_eq!(named, at as u64);
        }
    }
}

#[test]
fn a_seal_that_counts_from_the_end_of_all_numbers_is_a_fault() {
    let mut lines = recording("ann-1");
    let head = Digest::of(&[]);
    let text = format!("1 block from={} count=1 io=0 err=0 head={head} marks=00000000", u64::MAX);
    lines.insert(3, format!(r#"[0.5,"z","{text}"]"#).into_bytes());
    assert_eq!(verify(&lines, "ann-1", vec![]).unwrap_err(), Fault::Missing(3));
}

#[test]
fn each_record_that_is_dropped_is_named() {
    let whole = recording("ann-1");
    let signed = signed(&whole);
    for at in 1..whole.len() {
        let mut lines = whole.clone();
        lines.remove(at);
        let fault = verify(&lines, "ann-1", signed.clone()).unwrap_err();
        let expected = if at + 1 == whole.len() {
            Fault::Truncated(at as u64)
        } else {
            Fault::Missing(at as u64)
        };
        assert_eq!(fault, expected);
    }
}

#[test]
fn a_whole_block_that_is_dropped_is_named_by_its_first_record() {
    check(|lines| drop(lines.drain(7..13)), Fault::Missing(7));
}

#[test]
fn records_in_another_order_are_named() {
    check(|lines| lines.swap(8, 10), Fault::Reordered(8));
    check(|lines| lines.swap(2, 3), Fault::Reordered(2));
}

#[test]
fn a_record_that_is_added_is_named() {
    check(|lines| lines.insert(9, br#"[0.5,"o","rm -rf /"]"#.to_vec()), Fault::Added(9));
    let end = recording("ann-1").len();
    check(|lines| lines.push(br#"[99.0,"o","more"]"#.to_vec()), Fault::Added(end as u64));
}

#[test]
fn a_recording_is_truncated_wherever_it_is_cut() {
    let whole = recording("ann-1");
    let signed = signed(&whole);
    for length in 0..whole.len() {
        let lines = whole[..length].to_vec();
        assert_eq!(
            verify(&lines, "ann-1", signed.clone()).unwrap_err(),
            Fault::Truncated(length as u64)
        );
    }
}

#[test]
fn a_recording_written_anew_with_fitting_seals_does_not_fit_the_signed_head() {
    let signed = signed(&recording("ann-1"));
    let mut forged = Recording::start("ann-1", &header("ann-1"));
    for n in 0..20_u64 {
        forged.output(n, Lane::Io, n * 8, format!("LINE {n:02}\n").as_bytes(), "");
        if n % 5 == 4 {
            // Sealed at the same places, so it has as many records.
            let _ = forged.waiting();
        }
    }
    forged.end(20, "the program ended");
    let forged = lines(&forged.take(20));
    assert!(verify(&forged, "ann-1", vec![]).is_ok(), "the seals alone cannot tell");
    let fault = verify(&forged, "ann-1", signed).unwrap_err();
    assert!(matches!(fault, Fault::Rewritten { .. } | Fault::Truncated(_)), "{fault}");
}

#[test]
fn a_signed_head_in_the_middle_narrows_down_what_was_written_anew() {
    let whole = recording("ann-1");
    let middle = verify(&whole[..13].to_vec(), "ann-1", vec![]).unwrap();
    let fault =
        verify(&whole, "ann-1", vec![(13, middle.head), (19, Digest([0; 32]))]).unwrap_err();
    assert_eq!(fault, Fault::Rewritten { from: 13, signed: 19 });
}

#[test]
fn the_recording_of_another_session_is_named() {
    let fault = verify(&recording("bob-1"), "ann-1", vec![]).unwrap_err();
    assert_eq!(fault, Fault::OtherSession { wanted: "ann-1".into(), found: "bob-1".into() });
}

// ---- the node's chain and the set
// ---------------------------------------------------------------------------------

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

/// Two sessions, checkpoints after each.
fn node(key: &SigningKey) -> Lines {
    let mut chain = NodeChain::new("gw");
    let mut lines =
        vec![chain.push(1, What::Start { node: "gw".into(), key: key.public().to_string() })];
    for session in ["ann-1", "bob-1"] {
        let recording = recording(session);
        let sealed = verify(&recording, session, vec![]).unwrap();
        lines.push(chain.push(2, What::Open { session: session.into() }));
        let progress = verify(&recording[..7].to_vec(), session, vec![]).unwrap();
        lines.push(
            chain
                .push(3, What::Progress { session: session.into(), lines: 7, head: progress.head }),
        );
        lines.push(chain.checkpoint(3, key));
        let bytes = recording.concat();
        lines.push(chain.push(
            4,
            What::End {
                session: session.into(),
                lines: sealed.lines,
                head: sealed.head,
                gaps: 0,
                object: format!("{session}.cast.gz"),
                sha256: Digest::of(&[&bytes]),
                bytes: bytes.len() as u64,
            },
        ));
        lines.push(chain.checkpoint(5, key));
    }
    lines.into_iter().map(String::into_bytes).collect()
}

fn proven(lines: &Lines, key: PublicKey) -> Result<ProvenChain, NodeFault> {
    let mut verifier = NodeVerifier::new(key);
    for line in lines {
        verifier.line(line)?;
    }
    verifier.finish()
}

#[track_caller]
fn check_node(change: impl FnOnce(&mut Lines), fault: NodeFault) {
    let key = key();
    let mut lines = node(&key);
    change(&mut lines);
    assert_eq!(proven(&lines, key.public()).unwrap_err(), fault);
}

#[test]
fn an_untouched_chain_holds_and_names_its_objects() {
    let key = key();
    let chain = proven(&node(&key), key.public()).unwrap();
    assert_eq!(chain.objects.keys().collect::<Vec<_>>(), ["ann-1.cast.gz", "bob-1.cast.gz"]);
    assert_eq!(chain.last_checkpoint.unwrap().n, 10);
    assert!(chain.open.is_empty());
}

#[test]
fn each_record_of_the_chain_that_is_altered_is_named() {
    let key = key();
    let whole = node(&key);
    for at in 0..whole.len() {
        let text = String::from_utf8(whole[at].clone()).unwrap();
        for (from, to) in [("\"at\":", "\"at\":9"), ("\"prev\":\"", "\"prev\":\"0"), ("ann", "eve")]
        {
            let altered = text.replacen(from, to, 1);
            if altered == text {
                continue;
            }
            let mut lines = whole.clone();
            lines[at] = altered.into_bytes();
            let fault = proven(&lines, key.public()).unwrap_err();
            let checkpoint = [3, 5, 8, 10].contains(&at);
            let named = matches!(fault, NodeFault::Altered(n) if n == at as u64)
                || checkpoint && fault == NodeFault::BadSignature(at as u64);
            assert!(named, "record {at}, {from}: {fault}");
        }
    }
}

#[test]
fn records_of_the_chain_that_are_dropped_or_moved_are_named() {
    check_node(|lines| drop(lines.remove(4)), NodeFault::Missing(4));
    check_node(|lines| drop(lines.drain(..3)), NodeFault::Missing(0));
    check_node(|lines| lines.swap(4, 6), NodeFault::Missing(4));
    check_node(
        |lines| lines.insert(5, lines[2].clone()),
        NodeFault::Reordered { expected: 5, found: 2 },
    );
}

#[test]
fn a_chain_without_its_last_checkpoint_is_truncated() {
    check_node(|lines| drop(lines.pop()), NodeFault::Truncated(9));
    check_node(Vec::clear, NodeFault::Empty);
}

#[test]
fn a_checkpoint_of_another_key_is_named() {
    let forger = key();
    check_node(|lines| *lines = node(&forger), NodeFault::BadSignature(3));
}

#[test]
fn a_checkpoint_that_is_replaced_by_an_older_one_is_named() {
    check_node(
        |lines| {
            let older = String::from_utf8(lines[3].clone()).unwrap();
            let signature = older.split_once("\"signature\":").unwrap().1.to_owned();
            let newer = String::from_utf8(lines[10].clone()).unwrap();
            lines[10] = (newer.split_once("\"signature\":").unwrap().0.to_owned()
                + "\"signature\":"
                + &signature)
                .into_bytes();
        },
        NodeFault::BadSignature(10),
    );
}

#[test]
fn two_sessions_that_are_swapped_are_named() {
    let key = key();
    let chain = proven(&node(&key), key.public()).unwrap();
    let bob = recording("bob-1");
    let told = verify(&bob, "ann-1", chain.heads("ann-1.cast.gz"));
    let fault =
        chain.check("ann-1.cast.gz", Digest::of(&[&bob.concat()]), Some(&told)).unwrap_err();
    assert_eq!(fault, SetFault::Swapped { wanted: "ann-1".into(), found: "bob-1".into() });
}

#[test]
fn recordings_that_are_missing_or_were_never_made_are_named() {
    let key = key();
    let chain = proven(&node(&key), key.public()).unwrap();
    let present = BTreeSet::from(["bob-1.cast.gz".to_owned()]);
    assert_eq!(chain.missing(&present).collect::<Vec<_>>(), ["ann-1.cast.gz"]);
    assert_eq!(chain.check("eve-1.cast.gz", Digest([0; 32]), None), Err(SetFault::Unknown));
}

#[test]
fn an_object_with_other_bytes_is_named_even_if_its_lines_read_the_same() {
    let key = key();
    let chain = proven(&node(&key), key.public()).unwrap();
    let ann = recording("ann-1");
    let told = verify(&ann, "ann-1", chain.heads("ann-1.cast.gz"));
    assert_eq!(chain.check("ann-1.cast.gz", Digest::of(&[&ann.concat()]), Some(&told)), Ok(()));
    assert_eq!(chain.check("ann-1.cast.gz", Digest([1; 32]), Some(&told)), Err(SetFault::Bytes));
}
