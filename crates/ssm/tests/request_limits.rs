//! Which requests pass and which code the others get. Every limit is shown at its last good and
//! first bad value.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use towline_ssm::ErrorCode::{self, InvalidFilterKey, SerializationException, ValidationException};
use towline_ssm::api::access::StartAccessRequestRequest;
use towline_ssm::api::admin::*;
use towline_ssm::api::command::SendCommandRequest;
use towline_ssm::api::document::CreateDocumentRequest;
use towline_ssm::api::provider::CreateIdentityProviderRequest;
use towline_ssm::api::{
    Request, activation::*, device::*, device_keys::*, parse, session::*, tags::*,
};

#[track_caller]
fn good<R: Request>(body: &str) -> R {
    parse::<R>(body.as_bytes()).unwrap_or_else(|e| panic!("{body:.200}: {e}"))
}

#[track_caller]
fn bad<R: Request + core::fmt::Debug>(body: &str, code: ErrorCode) {
    let error = parse::<R>(body.as_bytes()).expect_err(body);
    assert_eq!(error.code, code, "{body:.200}: {error}");
}

fn start(member: &str, value: &str) -> String {
    format!(r#"{{"Target":"mi-0123456789abcdef0","{member}":{value}}}"#)
}

fn quoted(c: &str, count: usize) -> String {
    format!("\"{}\"", c.repeat(count))
}

#[test]
fn unknown_members_are_ignored_and_null_counts_as_absent() {
    let request: StartSessionRequest =
        good(r#"{"Target":"t","Reason":null,"Parameters":null,"Novelty":[1,{"a":2}]}"#);
    assert_eq!(request.reason, None);
    bad::<StartSessionRequest>(r#"{"Target":null}"#, ValidationException);
}

#[test]
fn what_is_not_json_of_the_right_type_is_a_serialization_error() {
    for body in ["{", "[]", "\"x\"", "nul", r#"{"Target":5}"#, r#"{"Target":["t"]}"#, "\u{0}"] {
        bad::<StartSessionRequest>(body, SerializationException);
    }
    bad::<StartSessionRequest>(
        &start("Parameters", r#"{"a":"not a list"}"#),
        SerializationException,
    );
    bad::<StartSessionRequest>(&start("Parameters", r#"{"a":[null]}"#), SerializationException);
    bad::<DescribeSessionsRequest>(
        r#"{"State":"Active","MaxResults":"5"}"#,
        SerializationException,
    );
    bad::<CreateActivationRequest>(
        r#"{"IamRole":"r","ExpirationDate":"tomorrow"}"#,
        SerializationException,
    );
    bad::<StartSessionRequest>(&"[".repeat(100_000), SerializationException);
}

#[test]
fn start_session_keeps_the_limits_of_the_model() {
    good::<StartSessionRequest>(&format!(r#"{{"Target":{}}}"#, quoted("t", 400)));
    bad::<StartSessionRequest>(
        &format!(r#"{{"Target":{}}}"#, quoted("t", 401)),
        ValidationException,
    );
    bad::<StartSessionRequest>(r#"{"Target":""}"#, ValidationException);
    good::<StartSessionRequest>(&start("Reason", &quoted("ü", 256)));
    for reason in [quoted("ü", 257), quoted("", 0), r#""two\nlines""#.into()] {
        bad::<StartSessionRequest>(&start("Reason", &reason), ValidationException);
    }
    good::<StartSessionRequest>(&start("DocumentName", &quoted("d", 128)));
    for name in [quoted("d", 129), quoted("d", 2), r#""with space""#.into(), r#""tür-auf""#.into()]
    {
        bad::<StartSessionRequest>(&start("DocumentName", &name), ValidationException);
    }
    bad::<StartSessionRequest>(&start("Parameters", r#"{"":["v"]}"#), ValidationException);
    bad::<StartSessionRequest>(&start("Parameters", r#"{"a":[""]}"#), ValidationException);
    bad::<StartSessionRequest>(
        &start("Parameters", &format!(r#"{{"a":[{}]}}"#, quoted("v", 65_536))),
        ValidationException,
    );
}

#[test]
fn our_extensions_of_start_session_have_limits_too() {
    let exec =
        r#"{"Target":"t","DocumentName":"Towline-Exec","Parameters":{"argv":["printf",""]}}"#;
    assert_eq!(good::<StartSessionRequest>(exec).parameters["argv"], ["printf", ""]);
    let terminal =
        |term: &str, rows: u32| format!(r#"{{"Term":"{term}","Rows":{rows},"Cols":80}}"#);
    good::<StartSessionRequest>(&start("TowlineTerminal", &terminal("xterm-256color", 10_000)));
    for (term, rows) in [("", 24), ("x y", 24), ("xterm", 0), ("xterm", 10_001)] {
        bad::<StartSessionRequest>(
            &start("TowlineTerminal", &terminal(term, rows)),
            ValidationException,
        );
    }
    bad::<StartSessionRequest>(
        &start("TowlineTerminal", &terminal("xterm", 70_000)),
        SerializationException,
    );
}

#[test]
fn lists_keep_their_page_sizes_and_filters() {
    good::<DescribeSessionsRequest>(
        r#"{"State":"History","MaxResults":200,"Filters":[{"key":"Owner","value":"a"}]}"#,
    );
    for body in [
        r#"{"State":"active"}"#,
        r#"{"State":"Active","MaxResults":0}"#,
        r#"{"State":"Active","MaxResults":201}"#,
        r#"{"State":"Active","Filters":[]}"#,
        r#"{"State":"Active","Filters":[{"key":"owner","value":"a"}]}"#,
        r#"{"State":"Active","Filters":[{"key":"Owner"}]}"#,
        r#"{"State":"Active","Filters":[{"key":"Owner","value":""}]}"#,
    ] {
        bad::<DescribeSessionsRequest>(body, ValidationException);
    }
    good::<DescribeInstanceInformationRequest>(r#"{"MaxResults":50}"#);
    bad::<DescribeInstanceInformationRequest>(r#"{"MaxResults":4}"#, ValidationException);
    bad::<DescribeInstanceInformationRequest>(r#"{"MaxResults":51}"#, ValidationException);
    bad::<DescribeActivationsRequest>(r#"{"MaxResults":51}"#, ValidationException);
    bad::<DescribeActivationsRequest>(
        r#"{"Filters":[{"FilterKey":"Colour","FilterValues":["x"]}]}"#,
        ValidationException,
    );
}

#[test]
fn both_styles_of_device_filters_become_conditions() {
    let old: DescribeInstanceInformationRequest =
        good(r#"{"InstanceInformationFilterList":[{"key":"PingStatus","valueSet":["Online"]}]}"#);
    let online = ["Online".to_owned()];
    assert_eq!(old.conditions(), Ok(vec![DeviceFilter::Property("PingStatus", &online)]));
    let new: DescribeInstanceInformationRequest = good(
        r#"{"Filters":[{"Key":"tag:a:b","Values":["Online"]},{"Key":"tag-key","Values":["Online"]}]}"#,
    );
    assert_eq!(
        new.conditions(),
        Ok(vec![DeviceFilter::Tag("a:b", &online), DeviceFilter::TagKey(&online)])
    );
    for key in ["tag:", "Colour", "pingstatus", "tag"] {
        let body = format!(r#"{{"Filters":[{{"Key":"{key}","Values":["x"]}}]}}"#);
        assert_eq!(
            good::<DescribeInstanceInformationRequest>(&body).conditions().unwrap_err().code,
            InvalidFilterKey
        );
    }
    bad::<DescribeInstanceInformationRequest>(
        r#"{"Filters":[{"Key":"PingStatus","Values":[]}]}"#,
        ValidationException,
    );
}

#[test]
fn activations_keep_the_limits_of_the_model() {
    good::<CreateActivationRequest>(
        r#"{"IamRole":"r","RegistrationLimit":1000,"TowlineSourceCidr":"10.0.0.0/8"}"#,
    );
    for body in [
        r#"{"IamRole":""}"#.to_owned(),
        format!(r#"{{"IamRole":{}}}"#, quoted("r", 65)),
        r#"{"IamRole":"r","RegistrationLimit":0}"#.into(),
        r#"{"IamRole":"r","RegistrationLimit":1001}"#.into(),
        r#"{"IamRole":"r","DefaultInstanceName":"a,b"}"#.into(),
        format!(r#"{{"IamRole":"r","Description":{}}}"#, quoted("d", 257)),
        r#"{"IamRole":"r","Tags":[{"Key":"","Value":""}]}"#.into(),
        r#"{"IamRole":"r","Tags":[{"Key":"aws:x","Value":""}]}"#.into(),
        r#"{"IamRole":"r","TowlineSourceCidr":"10.0.0.0/40"}"#.into(),
    ] {
        bad::<CreateActivationRequest>(&body, ValidationException);
    }
    bad::<DeleteActivationRequest>(r#"{"ActivationId":"nonsense"}"#, ValidationException);
    bad::<DeregisterManagedInstanceRequest>(
        r#"{"InstanceId":"i-0123456789abcdef0"}"#,
        ValidationException,
    );
}

#[test]
fn tags_have_the_characters_and_lengths_of_the_model_and_hang_on_devices() {
    let add = |key: &str, value: &str| {
        format!(
            r#"{{"ResourceType":"ManagedInstance","ResourceId":"x","Tags":[{{"Key":{key},"Value":{value}}}]}}"#
        )
    };
    good::<AddTagsToResourceRequest>(&add(&quoted("ß", 128), &quoted("語", 256)));
    good::<AddTagsToResourceRequest>(&add(r#""a b_.:/=+-@9""#, r#""""#));
    for (key, value) in [
        (quoted("k", 129), "\"\"".into()),
        (quoted("k", 1), quoted("v", 257)),
        (r#""a\tb""#.into(), quoted("v", 1)),
    ] {
        bad::<AddTagsToResourceRequest>(&add(&key, &value), ValidationException);
    }
    bad::<ListTagsForResourceRequest>(
        r#"{"ResourceType":"Toaster","ResourceId":"x"}"#,
        ValidationException,
    );
    assert_eq!(resource_of("Parameter", "x").unwrap_err().code, ErrorCode::InvalidResourceType);
    assert_eq!(resource_of("ManagedInstance", "x").unwrap_err().code, ErrorCode::InvalidResourceId);
    assert!(resource_of("ManagedInstance", "mi-0123456789abcdef0").is_ok());
}

#[test]
fn administration_keeps_its_limits() {
    good::<CreatePrincipalRequest>(r#"{"PrincipalName":"a.b+c=d,e@f_g-h"}"#);
    for name in ["", "a b", "a/b", &"n".repeat(65)] {
        bad::<CreatePrincipalRequest>(
            &format!(r#"{{"PrincipalName":"{name}"}}"#),
            ValidationException,
        );
    }
    let update = |status: &str| {
        format!(
            r#"{{"PrincipalName":"a","AccessKeyId":"AKIAABCDEFGHIJKLMNOP","Status":"{status}"}}"#
        )
    };
    assert_eq!(
        good::<UpdateAccessKeyRequest>(&update("Inactive")).wanted(),
        AccessKeyStatus::Inactive
    );
    bad::<UpdateAccessKeyRequest>(&update("Paused"), ValidationException);
    bad::<DeleteAccessKeyRequest>(
        r#"{"PrincipalName":"a","AccessKeyId":"x"}"#,
        ValidationException,
    );
    bad::<PutPrincipalPolicyRequest>(
        r#"{"PrincipalName":"a","PolicyName":"p p","PolicyDocument":"{}"}"#,
        ValidationException,
    );
    bad::<DeviceRequest>(r#"{"InstanceId":"mi-1"}"#, ValidationException);
    bad::<RevokeDeviceKeyRequest>(
        r#"{"InstanceId":"mi-0123456789abcdef0","KeyFingerprint":"ab"}"#,
        ValidationException,
    );
}

#[test]
fn no_request_names_a_key_twice_in_whatever_letter_case() {
    let tags = |one: &str, other: &str| {
        format!(r#"[{{"Key":"{one}","Value":"prod"}},{{"Key":"{other}","Value":"dev"}}]"#)
    };
    let both = tags("Environment", "environment");
    let add = |tags: &str| {
        let id = "mi-0123456789abcdef0";
        format!(r#"{{"ResourceType":"ManagedInstance","ResourceId":"{id}","Tags":{tags}}}"#)
    };
    good::<AddTagsToResourceRequest>(&add(&tags("Environment", "Site")));
    for pair in [&both, &tags("Env", "Env"), &tags("STRASSE", "stra\u{df}e")] {
        bad::<AddTagsToResourceRequest>(&add(pair), ValidationException);
    }
    let remove = r#"{"ResourceType":"ManagedInstance","ResourceId":"mi-0123456789abcdef0","TagKeys":["a","A"]}"#;
    bad::<RemoveTagsFromResourceRequest>(remove, ValidationException);
    bad::<CreateActivationRequest>(
        &format!(r#"{{"IamRole":"r","Tags":{both}}}"#),
        ValidationException,
    );
    bad::<CreatePrincipalRequest>(
        &format!(r#"{{"PrincipalName":"ann","Tags":{both}}}"#),
        ValidationException,
    );
    bad::<CreateDocumentRequest>(
        &format!(r#"{{"Name":"Mine","Content":"{{}}","Tags":{both}}}"#),
        ValidationException,
    );
    let target = r#"[{"Key":"InstanceIds","Values":["mi-0123456789abcdef0"]}]"#;
    bad::<StartAccessRequestRequest>(
        &format!(r#"{{"Reason":"r","Targets":{target},"Tags":{both}}}"#),
        ValidationException,
    );
    bad::<StartSessionRequest>(
        &start("Parameters", r#"{"path":["a"],"Path":["b"]}"#),
        ValidationException,
    );
    let send = r#"{"DocumentName":"Mine","InstanceIds":["mi-0123456789abcdef0"],"Parameters":{"a":["1"],"A":["2"]}}"#;
    bad::<SendCommandRequest>(send, ValidationException);
}

#[test]
fn a_tag_key_of_aws_is_known_in_any_letters() {
    let add = |key: &str| {
        format!(
            r#"{{"ResourceType":"ManagedInstance","ResourceId":"mi-0123456789abcdef0","Tags":[{{"Key":"{key}","Value":""}}]}}"#
        )
    };
    good::<AddTagsToResourceRequest>(&add("awsome"));
    for key in ["aws:x", "AWS:x", "aw\u{17f}:x"] {
        bad::<AddTagsToResourceRequest>(&add(key), ValidationException);
    }
}

#[test]
fn keys_of_device_tags_obey_the_rules_of_tags_and_are_not_set_by_the_activation() {
    let with = |tags: &str, keys: &str| {
        format!(r#"{{"IamRole":"r","Tags":{tags},"TowlineDeviceTagKeys":{keys}}}"#)
    };
    let env = r#"[{"Key":"Env","Value":"dev"}]"#;
    good::<CreateActivationRequest>(&with(env, r#"["Site","Room"]"#));
    for keys in [r#"["env"]"#, r#"["Site","site"]"#, r#"["aws:x"]"#, r#"[""]"#, r#"["a*b"]"#] {
        bad::<CreateActivationRequest>(&with(env, keys), ValidationException);
    }
}

#[test]
fn a_prefix_of_outputs_leads_nowhere_else() {
    let send = |prefix: &str| {
        format!(
            r#"{{"DocumentName":"Mine","InstanceIds":["mi-0123456789abcdef0"],"OutputS3KeyPrefix":"{prefix}"}}"#
        )
    };
    good::<SendCommandRequest>(&send("a/b/"));
    bad::<SendCommandRequest>(&send("../other"), ValidationException);
}

/// Each text of these requests is stored and shown to others.
#[test]
fn no_text_that_is_kept_for_others_controls_their_terminals() {
    fn each<R: Request + core::fmt::Debug>(sample: &str) {
        good::<R>(sample);
        let sample: serde_json::Value = serde_json::from_str(sample).unwrap();
        for place in texts(&sample, String::new()) {
            for evil in ["a\u{1b}]52;c;aGk=\u{7}", "a\u{9b}31m", "a\u{202e}b", "a\rb"] {
                let mut body = sample.clone();
                *body.pointer_mut(&place).unwrap() = evil.into();
                bad::<R>(&body.to_string(), ValidationException);
            }
        }
    }
    each::<CreateActivationRequest>(
        r#"{"IamRole":"r","Description":"d","DefaultInstanceName":"n","TowlineSourceCidr":"::/0",
            "Tags":[{"Key":"k","Value":"v"}],"TowlineDeviceTagKeys":["b"],
            "RegistrationMetadata":[{"Key":"k","Value":"v"}]}"#,
    );
    each::<StartAccessRequestRequest>(
        r#"{"Reason":"r","Targets":[{"Key":"tag:k","Values":["v"]}],
            "Tags":[{"Key":"k","Value":"v"}]}"#,
    );
    each::<SendCommandRequest>(
        r#"{"DocumentName":"AWS-RunShellScript","Comment":"c","MaxErrors":"1","MaxConcurrency":"1",
            "Targets":[{"Key":"tag:k","Values":["v"]}],"OutputS3Region":"eu-x",
            "OutputS3BucketName":"abc","OutputS3KeyPrefix":"a/b","DocumentVersion":"1",
            "CloudWatchOutputConfig":{"CloudWatchLogGroupName":"g"}}"#,
    );
    each::<CreateDocumentRequest>(
        r#"{"Name":"abc","Content":"{}","DisplayName":"d","VersionName":"v","TargetType":"/t",
            "DocumentType":"Command","DocumentFormat":"JSON","Tags":[{"Key":"k","Value":"v"}]}"#,
    );
    each::<CreateIdentityProviderRequest>(
        r#"{"ProviderName":"p","Issuer":"https://idp.example.org","ClientId":"c","NameClaim":"n",
            "GroupsClaim":"g","Audiences":["a"],"Scopes":["s"],"SecondFactors":["f"],
            "AcrValues":["v"],"DefaultRole":"r","PrincipalTags":[{"Key":"k","Claim":"c"}],
            "GroupRoles":[{"Group":"g","Role":"r"}]}"#,
    );
}

/// JSON pointers of all texts, but for a document's content.
fn texts(value: &serde_json::Value, at: String) -> Vec<String> {
    match value {
        serde_json::Value::String(_) if at != "/Content" => vec![at],
        serde_json::Value::Array(all) => {
            all.iter().enumerate().flat_map(|(n, one)| texts(one, format!("{at}/{n}"))).collect()
        }
        serde_json::Value::Object(all) => {
            all.iter().flat_map(|(key, one)| texts(one, format!("{at}/{key}"))).collect()
        }
        _ => Vec::new(),
    }
}
