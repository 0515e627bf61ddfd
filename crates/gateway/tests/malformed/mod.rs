//! Malformed members: each operation gets each member that requests here have, with each value that
//! a broken or hostile client may send. None of them is answered as a fault of the gateway.
//!
//! The names of the members come from the sources of `towline-ssm`: a new one is tried without a
//! word here.
#![allow(clippy::unwrap_used)] // a test that cannot read its sources has failed

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use towline_ssm::operation::{Operation, Service};

use super::{KEY, SECRET, Template, World, row_of};

/// What a fault of the gateway is called, in JSON and in STS's XML.
const FAULTS: [&str; 2] = ["InternalServerError", "InternalFailure"];

/// What an operation answers to a member of another type.
const OTHER_TYPE: &str = "SerializationException";

/// The members of all requests, as they are sent.
fn members() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ssm/src/api");
    let mut names = BTreeSet::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for line in text.lines().map(str::trim) {
                let field = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": "));
                if let Some((field, _)) = field.filter(|(name, _)| is_field(name)) {
                    names.insert(pascal(field));
                }
                let renamed = line.split_once("rename = \"").and_then(|(_, r)| r.split_once('"'));
                names.extend(renamed.map(|(name, _)| name.to_owned()));
            }
        }
    }
    names
}

fn is_field(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn pascal(field: &str) -> String {
    let words = field.split('_').map(|word| {
        let (first, rest) = word.split_at(1.min(word.len()));
        first.to_uppercase() + rest
    });
    words.collect()
}

/// Values of no use, and such as may break what is behind the form.
fn values() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "\0",
        "a\0b",
        "\u{202e}",
        "ü",
        "../..",
        "%00",
        "9999999999999999999",
        "-1",
        "{}",
        "[]",
        "null",
        "arn:aws:iam::0:role/",
        "oi-",
        "mi-",
        "1 2",
        "$LATEST",
        "*",
    ];
    let mut all: Vec<Value> = texts.iter().map(|text| json!(text)).collect();
    all.extend([json!("x".repeat(5000)), json!("{".repeat(5000)), Value::Null, json!(true)]);
    all.extend([json!(-1), json!(0), json!(1.5), json!(1e300), json!(-1e300), json!(u64::MAX)]);
    all.extend([json!(i64::MAX), json!(i64::MIN), json!([]), json!({}), json!([[]]), json!([{}])]);
    all.extend([json!([null]), json!(vec![""; 2]), json!(["\0"]), json!({ "": "" })]);
    for text in ["", "tag:\0"] {
        all.push(json!({ text: [text] }));
        all.push(json!([{ "Key": text, "Value": text }]));
        all.push(json!([{ "Key": text, "Values": [text] }]));
        all.push(json!([{ "key": text, "value": text, "valueSet": [text] }]));
        all.push(json!([{ "Group": text, "Role": text, "Claim": text, "Key": text }]));
        all.push(json!([{ "AttributeKey": text, "AttributeValue": text }]));
    }
    all
}

/// The members of these that the operation reads: what it does not know, it skips. Halves that hold
/// none are not looked at further.
async fn read_of(world: &World, operation: Operation, members: &[String]) -> Vec<String> {
    let (mut open, mut found) = (vec![members], Vec::new());
    while let Some(members) = open.pop() {
        let mut body = row_of(operation).body;
        for member in members {
            body = with(&body, member, json!({ "x": [1, { "x": null }] }));
        }
        let answer = world.ask(operation, &body, KEY, Some(SECRET)).await;
        match members {
            _ if answer != OTHER_TYPE => {}
            [one] => found.push(one.clone()),
            more => {
                let (front, back) = more.split_at(more.len() / 2);
                open.extend([front, back]);
            }
        }
    }
    found
}

/// What JSON tells apart; lists by what is in them.
fn type_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) => format!("number {}", number.is_f64()),
        Value::String(_) => "text".to_owned(),
        Value::Array(all) => format!("list of {}", all.first().map(type_of).unwrap_or_default()),
        Value::Object(all) => format!("object of {:?}", all.keys().next()),
    }
}

fn with(body: &Value, member: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[member] = value;
    body
}

/// Tries every second operation, from this one on.
async fn no_member_is_a_fault(first: usize) {
    let (members, values) = (Vec::from_iter(members()), values());
    assert!(members.iter().any(|one| one == "PrincipalName") && members.len() > 100);
    let (mut faults, mut tried) = (Vec::new(), 0);
    let template = Template::new().await;
    let json = Operation::ALL.iter().copied().filter(|one| one.service() != Service::Sts);
    for operation in json.skip(first).step_by(2) {
        let world = template.world().await;
        world.permit(operation, None).await;
        for member in read_of(&world, operation, &members).await {
            tried += 1;
            let mut of_other_types = BTreeSet::new();
            for value in values.iter().filter(|value| !value.is_null()) {
                if of_other_types.contains(&type_of(value)) {
                    continue;
                }
                let body = with(&row_of(operation).body, &member, value.clone());
                let answer = world.ask(operation, &body, KEY, Some(SECRET)).await;
                if answer == OTHER_TYPE {
                    of_other_types.insert(type_of(value));
                } else if FAULTS.contains(&&*answer) {
                    let text: String = body.to_string().chars().take(200).collect();
                    faults.push(format!("{} {text}: {answer}", operation.name()));
                }
            }
        }
    }
    assert!(tried > 100, "{tried} members of requests are read");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_member_of_a_request_is_a_fault_of_the_gateway() {
    no_member_is_a_fault(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_member_of_another_request_is_a_fault_of_the_gateway() {
    no_member_is_a_fault(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_of_a_form_is_a_fault_of_the_gateway() {
    let fields = [
        "RoleArn",
        "RoleSessionName",
        "DurationSeconds",
        "Policy",
        "SerialNumber",
        "TokenCode",
        "SourceIdentity",
        "ExternalId",
        "WebIdentityToken",
        "ProviderId",
        "Tags.member.1.Key",
        "Tags.member.1.Value",
        "TransitiveTagKeys.member.1",
        "PolicyArns.member.1.arn",
    ];
    let texts = [
        "",
        "-1",
        "0",
        "1e300",
        "99999999999999999999",
        "%00",
        "a%00b",
        "%E2%80%AE",
        "%FF",
        "{}",
        "arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2F",
        "..%2F..",
        "*",
        "a.b.c",
        "%",
    ];
    let mut faults = Vec::new();
    let template = Template::new().await;
    for operation in Operation::ALL.iter().copied().filter(|one| one.service() == Service::Sts) {
        let world = template.world().await;
        world.permit(operation, None).await;
        let body = row_of(operation).body;
        for field in fields {
            for text in texts {
                let body = with(&body, field, json!(text));
                let answer = world.ask(operation, &body, KEY, Some(SECRET)).await;
                if FAULTS.contains(&&*answer) {
                    faults.push(format!("{} {body}: {answer}", operation.name()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
