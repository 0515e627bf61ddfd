//! Any bytes through each control decoder: what decodes must encode to something that decodes to
//! the same.
//!
//! Run by the fuzzer (`fuzz_targets/message.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_wire::client::{FromClient, ToClient};
use towline_wire::grant::Grant;
use towline_wire::message::{FromAgent, Launch, ToAgent, decode, encode};

fn round<M: serde::Serialize + serde::de::DeserializeOwned + PartialEq>(bytes: &[u8]) {
    if let Ok(message) = decode::<M>(bytes)
        && let Ok(again) = encode(&message)
    {
        assert!(decode::<M>(&again).is_ok_and(|same| same == message));
    }
}

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    round::<FromAgent>(bytes);
    round::<ToAgent>(bytes);
    round::<FromClient>(bytes);
    round::<ToClient>(bytes);
    round::<Grant>(bytes);
    round::<Launch>(bytes);
}
