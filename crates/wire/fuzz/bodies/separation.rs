//! Any bytes as what the agent's two processes say: a message with one encoding or an error, and no
//! request for a signature of another form than a handshake's.
//!
//! Run by the fuzzer (`fuzz_targets/separation.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_wire::message::{decode, encode};
use towline_wire::separation::{FromNetwork, ToNetwork, certificate_verify, transcript_hash};

fn round<M: serde::Serialize + serde::de::DeserializeOwned + PartialEq>(bytes: &[u8]) {
    if let Ok(message) = decode::<M>(bytes)
        && let Ok(again) = encode(&message)
    {
        assert!(decode::<M>(&again).is_ok_and(|same| same == message));
    }
}

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    round::<ToNetwork>(bytes);
    round::<FromNetwork>(bytes);
    if let Some(form) = certificate_verify(bytes) {
        assert_eq!(transcript_hash(&form), Some(bytes));
    }
    if let Some(hash) = transcript_hash(bytes) {
        assert_eq!(certificate_verify(hash).as_deref(), Some(bytes));
    }
}
