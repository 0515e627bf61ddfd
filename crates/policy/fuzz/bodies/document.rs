//! Any bytes as a policy document: parsed or refused with a place, then stored, evaluated and
//! explained without a panic.
//!
//! Run by the fuzzer (`fuzz_targets/document.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use std::sync::Arc;
use towline_policy::{Context, NamedPolicy, Policy, PolicySet, Request, Use, explain};

/// One run.
pub(crate) fn run(data: &str) {
    let policy = match Policy::parse(data) {
        Ok(policy) => policy,
        Err(error) => {
            assert!(error.path().starts_with('$'));
            return;
        }
    };
    let _ = policy.validate_for_storage(Use::Managed, &[]);
    let context = Context::new().with("aws:username", ["alice"]).with("aws:TagKeys", ["a", "b"]);
    let request = Request::new(
        "arn:aws:iam::123456789012:user/alice",
        "ssm:StartSession",
        "arn:aws:s3:::x",
        context,
    );
    let identity = vec![NamedPolicy::new("fuzz", Arc::new(policy))];
    let account = explain(&PolicySet { identity, ..PolicySet::default() }, &request);
    assert!(!account.to_string().is_empty());
}
