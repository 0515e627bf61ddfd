//! Any messages of a network process, one after another: one signature at most, over the form of a
//! client's handshake; one link at most, and none without a signature; nothing once it is over;
//! texts within bounds.
//!
//! Run by the fuzzer (`fuzz_targets/network.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_agent::separation::turns::{Turn, Turns};
use towline_wire::message::decode;
use towline_wire::separation::transcript_hash;

/// One run.
pub(crate) fn run(messages: Vec<Vec<u8>>) {
    let (mut turns, mut signed, mut over) = (Turns::default(), 0, false);
    for message in messages.iter().filter_map(|bytes| decode(bytes).ok()) {
        let turn = turns.take(message);
        assert!(!over || turn == Turn::Broken, "{turn:?} after the end");
        match turn {
            Turn::Sign(form) => {
                signed += 1;
                assert!(signed == 1 && transcript_hash(&form).is_some());
            }
            Turn::Linked { local, .. } => {
                over = true;
                assert!(signed == 1 && is_plain(&local));
            }
            Turn::Failed { text, note } => {
                over = true;
                assert!(is_plain(&text) && is_plain(&note));
            }
            Turn::Broken => over = true,
        }
    }
}

fn is_plain(text: &str) -> bool {
    text.chars().count() <= 400 && !text.chars().any(char::is_control)
}
