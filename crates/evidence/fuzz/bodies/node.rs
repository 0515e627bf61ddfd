//! Any bytes as the lines of a node's chain: verified or refused without a panic.
//!
//! Run by the fuzzer (`fuzz_targets/node.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_evidence::node::{NodeChain, Record, What};
use towline_evidence::verify::NodeVerifier;

/// Of nobody; a chain is read up to its first checkpoint all the same.
const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(key) = KEY.parse() else { return };
    let mut verifier = NodeVerifier::new(key);
    let mut faulty = false;
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        read(line);
        faulty = faulty || verifier.line(line).is_err();
    }
    assert!(faulty || verifier.finish().is_err(), "a chain was believed that nobody signed");
}

fn read(line: &[u8]) {
    let after = NodeChain::after("gw", line);
    let Ok(record) = serde_json::from_slice::<Record>(line) else {
        return assert!(after.is_err(), "a line that is none was gone on with");
    };
    let text = serde_json::to_string(&record).unwrap_or_default();
    assert!(serde_json::from_str(&text).is_ok_and(|same: Record| same == record), "{text}");
    if let Ok(mut chain) = after {
        let next = chain.next();
        let _ = chain.push(1, What::Open { session: "ann-1".into() });
        assert!(next > record.n && chain.next() >= next);
    }
}
