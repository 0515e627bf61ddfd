//! Any claims and any path to groups: bounded, sorted, each once.

use towline_oidc::limits::MAX_GROUPS;
use towline_oidc::{ClaimPath, groups};

pub(crate) fn run((claims, path, separator): (Vec<u8>, String, Option<char>)) {
    let Ok(claims) = serde_json::from_slice(&claims) else { return };
    let Ok(path) = ClaimPath::parse(&path) else { return };
    let _ = path.text(&claims);
    if let Some(found) = groups(&claims, &path, separator) {
        assert!(found.len() <= MAX_GROUPS);
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(found.iter().all(|group| !group.is_empty()));
    }
}
