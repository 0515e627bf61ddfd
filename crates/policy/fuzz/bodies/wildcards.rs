//! A pattern and a text, split at the first line feed: matching ends, and a lone star matches
//! whatever there is.
//!
//! Run by the fuzzer (`fuzz_targets/wildcards.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use std::sync::Arc;
use towline_policy::{Context, NamedPolicy, Policy, PolicySet, Request, evaluate};

/// One run.
pub(crate) fn run(data: &str) {
    let Some((pattern, text)) = data.split_once('\n') else { return };
    if pattern.contains(['"', '\\']) || pattern.chars().any(char::is_control) {
        return;
    }
    let policy = Policy::parse(&format!(
        r#"{{"Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"StringLike":{{"a:b":"{pattern}"}}}}}}}}"#
    ));
    let Ok(policy) = policy else { return };
    let identity = vec![NamedPolicy::new("fuzz", Arc::new(policy))];
    let request = Request::new("p", "a:b", "r", Context::new().with("a:b", [text]));
    let decision = evaluate(&PolicySet { identity, ..PolicySet::default() }, &request);
    assert!(
        decision.is_allowed()
            || pattern != "*"
            || text.len() > towline_policy::limits::MAX_VALUE_BYTES
    );
}
