//! Any bytes as what the two ends of a copy say, and any paths: what decodes must encode to
//! something that decodes to the same, and no path below a root leads out of it.
//!
//! Run by the fuzzer (`fuzz_targets/copy.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_wire::copy::{Answer, Ask, is_below, is_name};
use towline_wire::message::{decode, encode};

fn round<M: serde::Serialize + serde::de::DeserializeOwned + PartialEq>(bytes: &[u8]) {
    if let Ok(message) = decode::<M>(bytes)
        && let Ok(again) = encode(&message)
    {
        assert!(decode::<M>(&again).is_ok_and(|same| same == message));
    }
}

/// One run.
pub(crate) fn run(input: (Vec<u8>, String, String)) {
    let (bytes, root, path) = input;
    round::<Ask>(&bytes);
    round::<Answer>(&bytes);
    stays_below(&root, &path);
    stays_below(&root, &format!("{root}/{path}"));
    if is_name(&path) {
        assert!(is_below(&root, &format!("{}/{path}", root.trim_end_matches('/'))));
    }
}

/// Walks the path component by component, as a kernel does.
fn stays_below(root: &str, path: &str) {
    if !is_below(root, path) {
        return;
    }
    let root = root.trim_end_matches('/');
    let rest = path.strip_prefix(root);
    let mut depth = 0_i32;
    for part in rest.unwrap_or("/..").split('/') {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        assert!(depth >= 0, "{path:?} leads out of {root:?}");
        assert!(!part.contains('\0'));
    }
}
