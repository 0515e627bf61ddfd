//! What one decision costs: 1,000 statements and a request, on one core; and what hostile policies
//! cost as they grow: twice the statements, the list or the text must be about twice the time.
//!
//! The promise (issue 3): under 100 microseconds. Run with the gateway's profile, since the agent's
//! is made for size: `cargo bench -p towline-policy --profile server`.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use towline_policy::{
    Context, NamedPolicy, Policy, PolicySet, Request, device_aliases, evaluate, explain,
};

const STATEMENTS: usize = 1_000;

/// Statements as people write them: an action or two, a device pattern, a tag. `{n}` is replaced by
/// a number.
fn thousand(statement: &str) -> PolicySet {
    let per_policy = 100;
    let policies = (0..STATEMENTS / per_policy).map(|policy| {
        let statements: Vec<String> = (0..per_policy)
            .map(|n| statement.replace("{n}", &(policy * per_policy + n).to_string()))
            .collect();
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
        #[allow(clippy::expect_used, reason = "a bench that cannot start has nothing to say")]
        let parsed = Policy::parse(&text).expect("the bench's own policy");
        NamedPolicy::new("bench", Arc::new(parsed))
    });
    PolicySet { identity: policies.collect(), ..PolicySet::default() }
}

fn request() -> Request {
    let mut context = Context::new()
        .with("aws:SourceIp", ["203.0.113.9"])
        .with("aws:CurrentTime", ["2026-11-23T12:00:00Z"])
        .with("aws:SecureTransport", ["true"])
        .with("aws:MultiFactorAuthPresent", ["true"]);
    let tags: Vec<(String, String)> =
        (0..10).map(|n| (format!("tag{n}"), format!("value{n}"))).collect();
    context.set_resource_tags(tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let mut request =
        Request::new("arn:aws:iam::123456789012:user/alice", "ssm:StartSession", "", context);
    request.resources = device_aliases("eu-central-1", "123456789012", "mi-0123456789abcdef0");
    request
}

fn decide(c: &mut Criterion) {
    let request = request();
    let kinds = [
        (
            "another action",
            r#"{"Effect":"Allow","Action":["ec2:Start*","s3:Get{n}*"],"Resource":"*"}"#,
        ),
        (
            "another device",
            r#"{"Effect":"Allow","Action":"ssm:Start*","Resource":"arn:aws:ec2:*:*:instance/mi-x{n}*"}"#,
        ),
        (
            "another tag",
            r#"{"Effect":"Allow","Action":"ssm:Start*","Resource":"arn:aws:ec2:*:*:instance/*",
               "Condition":{"StringLike":{"ssm:resourceTag/tag3":["x{n}*","y{n}"]}}}"#,
        ),
        (
            "a variable",
            r#"{"Effect":"Allow","Action":"ssm:*","Resource":"arn:aws:ssm:*:*:session/${aws:username}-{n}*"}"#,
        ),
    ];
    for (name, statement) in kinds {
        let policies = thousand(statement);
        c.bench_function(&format!("1000 statements, {name}"), |b| {
            b.iter(|| evaluate(black_box(&policies), black_box(&request)));
        });
    }
    let policies = thousand(kinds[2].1);
    c.bench_function("1000 statements, explained", |b| {
        b.iter(|| explain(black_box(&policies), black_box(&request)))
    });
}

/// A policy with one statement, from its text.
fn single(statement: &str) -> PolicySet {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
    #[allow(clippy::expect_used, reason = "a bench that cannot start has nothing to say")]
    let parsed = Policy::parse(&text).expect("the bench's own policy");
    PolicySet {
        identity: vec![NamedPolicy::new("bench", Arc::new(parsed))],
        ..PolicySet::default()
    }
}

fn hostile(c: &mut Criterion) {
    let mut group = c.benchmark_group("hostile");
    for size in [250, 500, 1_000] {
        // Each pattern fails only at its last character, after every star was tried.
        let nested: String = std::iter::repeat_n("*a", 20).collect();
        let values: Vec<String> = (0..size).map(|n| format!("\"{nested}*{n}b\"")).collect();
        let list = single(&format!(
            r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"StringLike":{{"aws:UserAgent":[{}]}}}}}}"#,
            values.join(",")
        ));
        let context = Context::new().with("aws:UserAgent", ["a".repeat(200).as_str()]);
        let request =
            Request::new("arn:aws:iam::123456789012:user/alice", "ssm:StartSession", "*", context);
        group.bench_function(format!("list of {size} nested wildcards"), |b| {
            b.iter(|| evaluate(black_box(&list), black_box(&request)));
        });
        let one = single(&format!(
            r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"StringLike":{{"aws:UserAgent":"{nested}*b"}}}}}}"#
        ));
        let context = Context::new().with("aws:UserAgent", ["a".repeat(size).as_str()]);
        let request =
            Request::new("arn:aws:iam::123456789012:user/alice", "ssm:StartSession", "*", context);
        group.bench_function(format!("nested wildcards against {size} characters"), |b| {
            b.iter(|| evaluate(black_box(&one), black_box(&request)));
        });
    }
    group.finish();
}

criterion_group!(benches, decide, hostile);
criterion_main!(benches);
