//! Any bytes as what a stranger sends before anything is known of him: target, authorization, body,
//! form.
//!
//! Run by the fuzzer (`fuzz_targets/request.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_ssm::Operation;
use towline_ssm::api::{activation, admin, device, parse, session, sts, tags};
use towline_ssm::documents::resolve;
use towline_ssm::sigv4::Authorization;

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(text) = core::str::from_utf8(bytes) {
        let _ = Operation::parse(text);
        let _ = Authorization::parse(text);
        let _ = activation::parse_cidr(text);
    }
    if let Ok(request) = parse::<session::StartSessionRequest>(bytes) {
        let _ = resolve(request.document_name.as_deref(), &request.parameters);
    }
    if let Ok(request) = parse::<device::DescribeInstanceInformationRequest>(bytes) {
        let _ = request.conditions();
    }
    let _ = parse::<session::DescribeSessionsRequest>(bytes);
    let _ = parse::<activation::CreateActivationRequest>(bytes);
    let _ = parse::<tags::AddTagsToResourceRequest>(bytes);
    let _ = parse::<admin::PutPrincipalPolicyRequest>(bytes);
    let _ = sts::StsRequest::parse(bytes);
}
