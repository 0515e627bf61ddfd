//! The bodies of the fuzz targets, as property tests: they compile, and hold for as many inputs as
//! a test run has time for.
//!
//! The fuzzer searches for longer (`cargo xtask fuzz`, `fuzz/`). Beside any bytes this tries nearly
//! right ones: those get past the first check.
// the bodies take what the fuzzer gives
#![allow(missing_docs, clippy::needless_pass_by_value, clippy::type_complexity)]

#[path = "../fuzz/bodies/layout.rs"]
mod layout;
#[path = "../fuzz/bodies/node.rs"]
mod node;
#[path = "../fuzz/bodies/recording.rs"]
mod recording;
#[path = "../fuzz/bodies/sanitise.rs"]
mod sanitise;
#[path = "../fuzz/bodies/signed_chain.rs"]
mod signed_chain;
#[path = "../fuzz/bodies/tampering.rs"]
mod tampering;
#[path = "../fuzz/bodies/text.rs"]
mod text;
#[path = "../fuzz/bodies/trail.rs"]
mod trail;
#[path = "../fuzz/bodies/typed.rs"]
mod typed;

use proptest::collection::vec;
use proptest::prelude::*;

/// A finished recording, one that goes on, and one whose seal counts from the end of all numbers.
const RECORDINGS: &[&[u8]] = &[
    include_bytes!("../fuzz/seeds/recording/ended"),
    include_bytes!("../fuzz/seeds/recording/open"),
    include_bytes!("../fuzz/seeds/recording/far_seal"),
];
const CHAINS: &[&[u8]] = &[include_bytes!("../fuzz/seeds/node/segment")];
const EVENTS: &[&[u8]] = &[include_bytes!("../fuzz/seeds/trail/start_session")];

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

/// One of `right`, with up to four bytes changed and its end cut or grown.
fn nearly(right: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(right), edits, any::<prop::sample::Index>(), bytes(8)).prop_map(
        |(one, edits, cut, more)| {
            let mut one = one.to_vec();
            for (at, byte) in edits {
                let at = at.index(one.len());
                one[at] = byte;
            }
            one.truncate(cut.index(one.len() + 1).max(one.len() / 2));
            one.extend(more);
            one
        },
    )
}

/// Text with what terminals act on.
fn screens() -> impl Strategy<Value = String> {
    let sequence = "\u{1b}[\\[\\]PX^_(78DEMc][?0-9;:\u{7}\u{18}\u{1a}\n\u{1b}\\\\a-zA-Z]{0,8}";
    vec(prop_oneof![sequence, any::<String>(), "[\u{80}-\u{9f}\r\n\u{8}é ]{0,4}"], 0..12)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_a_recording_that_goes_on_and_holds_or_none(
        input in prop_oneof![bytes(300), nearly(RECORDINGS), prop::sample::select(RECORDINGS).prop_map(<[u8]>::to_vec)],
    ) {
        recording::run(&input);
    }

    #[test]
    fn each_change_of_a_recording_is_noticed(
        events in vec((any::<u8>(), any::<u16>(), bytes(40)), 0..60), change in any::<[u16; 3]>(),
    ) {
        tampering::run((events, change));
    }

    #[test]
    fn any_bytes_are_no_chain_that_is_believed(input in prop_oneof![bytes(300), nearly(CHAINS)]) {
        node::run(&input);
    }

    #[test]
    fn each_change_of_a_signed_chain_is_noticed(
        records in vec((any::<u8>(), any::<u8>()), 0..40), change in any::<[u16; 3]>(),
    ) {
        signed_chain::run((records, change));
    }

    #[test]
    fn what_a_player_draws_only_draws(text in screens(), cut in any::<u16>()) {
        sanitise::run((text, cut));
    }

    #[test]
    fn text_is_the_same_however_it_is_cut(input in prop_oneof![bytes(60), any::<String>().prop_map(String::into_bytes)], cuts in bytes(8)) {
        text::run((input, cuts));
    }

    #[test]
    fn an_event_of_the_trail_is_written_as_it_was_read(input in prop_oneof![bytes(100), nearly(EVENTS)]) {
        trail::run(&input);
    }

    #[test]
    fn what_is_given_out_as_input_was_shown_and_was_no_secret(
        steps in vec((any::<u8>(), any::<u8>(), prop_oneof![bytes(6), "[a-bé\r]{0,4}".prop_map(String::into_bytes)]), 0..60),
    ) {
        typed::run(steps);
    }

    #[test]
    fn no_key_leaves_its_folder(prefix in "[a./:é]{0,8}", name in any::<String>(), folder in "[a./:]{0,8}", number in any::<u32>()) {
        layout::run((prefix, name, folder, number));
    }
}
