//! The policy that an approved request for access adds to its requester's.
//!
//! Data flow: a stored request -> [`policy_of`] -> `tokens`, which adds it to the caller.
//!
//! # Invariants
//! - Values of a request are values: none becomes a variable or a wildcard of the policy.

use serde_json::json;
use towline_ssm::api::access::Target;
use towline_ssm::error::ApiError;

use super::internal::internal;

/// The devices of a request.
pub(super) fn targets(row: &towline_store::AccessRequest) -> Result<Vec<Target>, ApiError> {
    serde_json::from_str(&row.targets).map_err(|error| internal("a stored request", &error))
}

/// Values as they are: `${` of a requester must not become a variable of the policy, which would
/// name other tags.
fn literal(values: &[String]) -> Vec<String> {
    values.iter().map(|value| value.replace('$', "${$}")).collect()
}

/// The right to her own sessions. Who asked in a role has no name of her own: the tag by which
/// AWS's documents recognise an owner's sessions is hers alone.
fn own_sessions(row: &towline_store::AccessRequest) -> serde_json::Value {
    let actions = ["ssm:ResumeSession", "ssm:TerminateSession"];
    if row.principal.starts_with("role/") {
        return json!({
            "Effect": "Allow",
            "Action": actions,
            "Resource": "arn:aws:ssm:*:*:session/*",
            "Condition": { "StringEquals": {
                "ssm:resourceTag/aws:ssmmessages:session-id": "${aws:userid}"
            } },
        });
    }
    json!({
        "Effect": "Allow",
        "Action": actions,
        "Resource": "arn:aws:ssm:*:*:session/${aws:username}-*",
    })
}

/// The policy that an approved request adds to its requester's: sessions of the built-in documents
/// on its devices, and the end of her own sessions. Own documents need a right of their own.
pub(super) fn policy_of(row: &towline_store::AccessRequest) -> Result<String, ApiError> {
    let documents = ["SSM-SessionManagerRunShell", "AWS-Start*", "Towline-Exec"]
        .map(|name| format!("arn:aws:ssm:*:*:document/{name}"));
    let mut statements = vec![
        json!({
            "Effect": "Allow",
            "Action": "ssm:StartSession",
            "Resource": documents,
        }),
        own_sessions(row),
    ];
    for target in targets(row)? {
        let names = |id: &str| {
            vec![
                format!("arn:aws:ssm:*:*:managed-instance/{id}"),
                format!("arn:aws:ec2:*:*:instance/{id}"),
            ]
        };
        let actions = ["ssm:StartSession", "ssm:GetConnectionStatus"];
        statements.push(match target.key.strip_prefix("tag:") {
            None => json!({
                "Effect": "Allow",
                "Action": actions,
                "Resource": target.values.iter().flat_map(|id| names(id)).collect::<Vec<_>>(),
            }),
            Some(key) => json!({
                "Effect": "Allow",
                "Action": actions,
                "Resource": names("*"),
                "Condition": { "StringEquals": { format!("ssm:resourceTag/{key}"): literal(&target.values) } },
            }),
        });
    }
    Ok(json!({ "Version": "2012-10-17", "Statement": statements }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_host::clock::UnixMillis;
    use towline_policy::{Context, NamedPolicy, Policy, PolicySet, Request, evaluate};

    fn allows(targets: &str, device: &str, tag: &str) -> bool {
        let row = towline_store::AccessRequest {
            id: "oi-000000000000".into(),
            principal: "ann".into(),
            principal_id: String::new(),
            principal_arn: String::new(),
            reason: String::new(),
            targets: targets.into(),
            tags: "{}".into(),
            status: "Approved".into(),
            decided_by: String::new(),
            created_at: UnixMillis(0),
            expires_at: UnixMillis(1),
            terms: towline_store::Terms::default(),
            minutes: 0,
        };
        let policy = Policy::parse(&policy_of(&row).unwrap()).unwrap();
        let identity = vec![NamedPolicy::new("request", std::sync::Arc::new(policy))];
        let mut context = Context::new();
        context.set_resource_tags([("Environment", tag)]);
        let resource = format!("arn:aws:ssm:r:000000000000:managed-instance/{device}");
        let request = Request::new(
            "arn:aws:iam::000000000000:user/ann",
            "ssm:StartSession",
            &resource,
            context,
        );
        evaluate(&PolicySet { identity, ..PolicySet::default() }, &request).is_allowed()
    }

    #[test]
    fn a_request_gives_the_devices_it_names_and_no_others() {
        let by_id = r#"[{"Key":"InstanceIds","Values":["mi-1"]}]"#;
        assert!(allows(by_id, "mi-1", "dev") && !allows(by_id, "mi-2", "dev"));
        let by_tag = r#"[{"Key":"tag:Environment","Values":["dev"]}]"#;
        assert!(allows(by_tag, "mi-1", "dev") && !allows(by_tag, "mi-1", "prod"));
    }

    #[test]
    fn a_value_that_looks_like_a_variable_or_a_wildcard_is_a_value() {
        for value in ["${ssm:resourceTag/Environment}", "*", "${*}"] {
            let by_tag = format!(r#"[{{"Key":"tag:Environment","Values":["{value}"]}}]"#);
            assert!(!allows(&by_tag, "mi-1", "dev"), "{value}");
            assert!(allows(&by_tag, "mi-1", value), "{value}");
        }
    }
}
