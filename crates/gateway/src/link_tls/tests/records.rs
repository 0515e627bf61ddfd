//! TLS without a socket: every cut, every size, and what no honest device sends.

use std::io::{Read as _, Write as _};

use proptest::prelude::*;
use rustls::{AlertDescription, Error, PeerMisbehaved};

use super::device::{Configs, answer, flight, give};
use crate::limits::LINK_RECORD;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

#[test]
fn a_handshake_that_comes_in_two_parts_cut_at_any_byte_is_completed() {
    let configs = Configs::new();
    let (mut cut, mut longest) = (1, usize::MAX);
    while cut < longest {
        let (mut server, mut client) = configs.ends();
        longest = 0;
        while client.is_handshaking() || server.session().is_handshaking() {
            let bytes = flight(&mut client);
            longest = longest.max(bytes.len());
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            give(&mut server, first, usize::MAX).unwrap();
            give(&mut server, second, usize::MAX).unwrap();
            answer(&mut server, &mut client).unwrap();
        }
        assert_eq!(server.memory(), 0);
        assert!(server.session().peer_certificates().is_some());
        cut += 1;
    }
    assert!(longest > 200, "{longest}");
}

#[test]
fn records_of_any_size_that_come_split_and_joined_are_read_and_nothing_is_held_afterwards() {
    let configs = Configs::new();
    let sent: Vec<u8> = (0..40_000_u32).map(|n| n.to_be_bytes()[3]).collect();
    for piece in [1, 2, 3, 4, 5, 6, 21, 22, 23, 4096, 16_405, 16_406, 16_407, 30_000, 100_000] {
        let (mut server, mut client) = configs.linked(piece);
        for size in [1, 2, 300, 16_383, 16_384, 16_385, 40_000] {
            client.writer().write_all(&sent[..size]).unwrap();
            let read = give(&mut server, &flight(&mut client), piece).unwrap();
            assert!(read == sent[..size], "{size} bytes, {piece} at a time");
            assert_eq!(server.memory(), 0);
            server.say(&sent[..size]).unwrap();
            let back = answer(&mut server, &mut client).unwrap();
            assert!(back == sent[..size], "{size} bytes back");
            assert_eq!(server.memory(), 0);
        }
    }
}

#[test]
fn keys_are_changed_as_often_as_the_device_asks_for_it() {
    let (mut server, mut client) = Configs::new().linked(usize::MAX);
    for round in 0..20_u8 {
        client.refresh_traffic_keys().unwrap();
        client.writer().write_all(&[round]).unwrap();
        assert_eq!(give(&mut server, &flight(&mut client), 1).unwrap(), [round]);
        server.say(&[round]).unwrap();
        assert!(server.to_send().len() > 30, "the answer goes before the next bytes");
        assert_eq!(answer(&mut server, &mut client).unwrap(), [round]);
        assert_eq!(server.memory(), 0);
    }
}

#[test]
fn bytes_sent_while_a_record_or_a_change_of_keys_has_come_in_part_change_nothing_of_it() {
    let (configs, mut cut, mut length) = (Configs::new(), 1, usize::MAX);
    while cut < length {
        let (mut server, mut client) = configs.linked(usize::MAX);
        client.refresh_traffic_keys().unwrap();
        client.writer().write_all(b"after it").unwrap();
        let bytes = flight(&mut client);
        length = bytes.len();
        let mut read = give(&mut server, &bytes[..cut], usize::MAX).unwrap();
        server.say(b"meanwhile").unwrap();
        assert_eq!(answer(&mut server, &mut client).unwrap(), b"meanwhile", "cut at {cut}");
        assert!(server.memory() < 60, "what came of it is held, {} bytes", server.memory());
        read.extend(give(&mut server, &bytes[cut..], usize::MAX).unwrap());
        assert_eq!((&read[..], server.memory()), (&b"after it"[..], 0), "cut at {cut}");
        cut += 1;
    }
}

#[test]
fn what_stands_behind_the_devices_last_word_is_nothing_and_we_may_still_speak() {
    let (mut server, mut client) = Configs::new().linked(usize::MAX);
    client.writer().write_all(b"last").unwrap();
    client.send_close_notify();
    let bytes = [flight(&mut client), b"rubbish".to_vec()].concat();
    assert_eq!(give(&mut server, &bytes, usize::MAX).unwrap(), b"last");
    assert!(server.is_closed_by_device());
    assert_eq!(server.memory(), 0);
    server.say(b"and ours").unwrap();
    server.close().unwrap();
    assert_eq!(answer(&mut server, &mut client).unwrap(), b"and ours");
    assert_eq!(client.reader().read(&mut [0]).unwrap(), 0); // without notice it is an error
    assert!(server.say(b"more").is_err());
}

#[test]
fn a_flood_of_empty_records_ends_the_link_and_tiny_ones_cost_what_they_hold() {
    let (mut server, mut liar) = Configs::new().linked_to_a_liar();
    let tiny: Vec<u8> = (0..1000).flat_map(|_| liar.record(DATA, b"x")).collect();
    assert_eq!(give(&mut server, &tiny, usize::MAX).unwrap(), [b'x'; 1000]);
    assert_eq!(server.memory(), 0);
    let empty: Vec<u8> = (0..40).flat_map(|_| liar.record(DATA, b"")).collect();
    let error = give(&mut server, &empty, 7).unwrap_err();
    assert_eq!(error, Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments));
    assert!(give(&mut server, &liar.record(DATA, b"x"), 9).is_err(), "it has failed for good");
    assert!(server.say(b"x").is_err());
}

#[test]
fn a_message_of_the_handshake_without_end_is_held_up_to_the_length_of_a_record() {
    for piece in [1000, usize::MAX] {
        let (mut server, mut liar) = Configs::new().linked_to_a_liar();
        let begun = [24, 0, 0xff, 0xf0]; // a change of keys of 64 KiB
        let mut failed = give(&mut server, &liar.record(HANDSHAKE, &begun), piece).is_err();
        for _ in 0..70 {
            failed =
                failed || give(&mut server, &liar.record(HANDSHAKE, &[0; 900]), piece).is_err();
            assert!(server.memory() <= LINK_RECORD + 2 * 1000, "{}", server.memory());
        }
        assert!(failed);
    }
}

#[test]
fn an_alert_of_the_device_is_the_reason_and_a_wrong_record_is_answered_with_one() {
    let configs = Configs::new();
    let (mut server, mut liar) = configs.linked_to_a_liar();
    let error = give(&mut server, &liar.record(ALERT, &[2, 49]), 1).unwrap_err();
    assert_eq!(error, Error::AlertReceived(AlertDescription::AccessDenied));
    assert_eq!(server.to_send(), b"");

    let (mut server, mut client) = configs.linked(usize::MAX);
    client.writer().write_all(b"text").unwrap();
    let mut bytes = flight(&mut client);
    bytes[7] ^= 1;
    assert_eq!(give(&mut server, &bytes, 5).unwrap_err(), Error::DecryptError);
    let told = answer(&mut server, &mut client).unwrap_err();
    assert_eq!(told, Error::AlertReceived(AlertDescription::BadRecordMac));
    assert!(server.close().is_err());
}

#[test]
fn records_that_no_device_sends_are_refused() {
    for (content_type, body) in [
        (0, vec![b'x']),
        (20, vec![1]),                     // a change of ciphers after the handshake
        (ALERT, vec![1]),                  // half an alert
        (ALERT, vec![1, 90, 1]),           // more than one
        (HANDSHAKE, vec![1, 0, 0, 0]),     // a second hello
        (HANDSHAKE, vec![24, 0, 0, 1, 7]), // a change of keys of no kind
        (HANDSHAKE, vec![24, 0xff, 0xff, 0xff]),
        (DATA, vec![b'x'; 16_385]),
        (99, vec![b'x']),
    ] {
        for piece in [1, 6, usize::MAX] {
            let (mut server, mut liar) = Configs::new().linked_to_a_liar();
            let mut bytes = liar.record(content_type, &body);
            bytes.extend(liar.record(DATA, b"after it"));
            let given = give(&mut server, &bytes, piece);
            assert!(given.is_err(), "{content_type} {body:?}: {given:?}");
            assert!(server.memory() < 3 * LINK_RECORD);
        }
    }
}

#[test]
fn a_handshake_with_any_byte_changed_is_refused_or_goes_nowhere() {
    let configs = Configs::new();
    let length = flight(&mut configs.ends().1).len();
    for at in 0..length {
        let (mut server, mut client) = configs.ends();
        let mut bytes = flight(&mut client);
        *bytes.get_mut(at).unwrap() ^= 0x55;
        if give(&mut server, &bytes, usize::MAX).is_ok() {
            let _ = answer(&mut server, &mut client); // it may have been a byte that says nothing
        }
        assert!(server.session().is_handshaking());
        assert!(server.memory() < 3 * LINK_RECORD);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_changed_left_out_or_added_no_link_holds_more_than_it_may(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..5),
        piece in 1_usize..3000,
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..40),
        gone in 0_usize..40,
    ) {
        let (mut server, mut client) = Configs::new().linked(usize::MAX);
        for text in &texts {
            client.writer().write_all(text).unwrap();
        }
        let mut bytes = flight(&mut client);
        let at = at.index(bytes.len().max(1)).min(bytes.len());
        let end = (at + gone).min(bytes.len());
        drop(bytes.splice(at..end, with));
        if let Ok(read) = give(&mut server, &bytes, piece) {
            prop_assert!(texts.concat().starts_with(&read), "nothing else is read");
        }
        prop_assert!(server.memory() <= 3 * LINK_RECORD);
    }

    #[test]
    fn whatever_records_a_device_makes_the_link_ends_or_goes_on_and_holds_no_more_than_it_may(
        records in prop::collection::vec(
            (
                prop_oneof![Just(ALERT), Just(HANDSHAKE), Just(DATA), any::<u8>()],
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..40),
                    (0_u8..30, 0_u8..30).prop_map(|(kind, length)| vec![kind, 0, 0, length]),
                ],
            ),
            1..20,
        ),
        piece in 1_usize..200,
    ) {
        let (mut server, mut liar) = Configs::new().linked_to_a_liar();
        for (content_type, body) in &records {
            let given = give(&mut server, &liar.record(*content_type, body), piece);
            prop_assert!(server.memory() <= 3 * LINK_RECORD);
            prop_assert!(given.is_err() || server.say(b"meanwhile").is_ok());
        }
    }
}
