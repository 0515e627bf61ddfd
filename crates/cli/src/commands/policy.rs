//! `policy`: documents checked, requests judged and explained, without a gateway.
//!
//! Way of a batch: a line -> [`towline_policy::batch`] -> a word. Way of one request: arguments and
//! files -> [`towline_policy::explain`] -> the decision, and how each statement stands to it.
//!
//! # Invariants
//! - The gateway's own evaluation answers: there is no second one here.
//! - A batch answers line by line as it reads, so it may be a pipe that stays open; a line that is
//!   not understood gets [`INVALID`], so that answers and lines still belong together.
//! - One line at a time is held, at most [`MAX_BATCH_LINE_BYTES`] of it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use towline_policy::batch::evaluate_line;
use towline_policy::limits::MAX_BATCH_LINE_BYTES;
use towline_policy::{
    Context, Effect, Explanation, NamedPolicy, Policy, PolicySet, Request, StatementReport, Use,
    Vocabulary, Warning, explain, fold,
};
use towline_ssm::Operation;
use towline_ssm::documents::BUILT_IN;
use towline_ssm::ids::{ARN_FORMS, OF_NO_ACCOUNT};
use towline_ssm::operation::{TAKE_OVER_SESSION, USE_RESERVED_SESSION, WATCH_SESSION_UNSEEN};

use super::context::read_document;
use crate::args::policy::{PolicyCommand, TestArgs};
use crate::exit::{self, Failure};
use crate::limits::{BATCH_ANSWERS, BATCH_REASONS};
use crate::output::{Output, complain};

/// The answer to an invalid line: not a decision, so that no test passes by it.
const INVALID: &str = "Invalid";
/// Actions that are no operations: parts of AssumeRole that a policy allows by themselves.
const SESSION_ACTIONS: [&str; 2] = ["sts:TagSession", "sts:SetSourceIdentity"];

/// Runs it. Returns the exit code.
pub(super) fn run(command: &PolicyCommand, output: Output) -> Result<u8, Failure> {
    match command {
        PolicyCommand::Check { file } => check(&read_document(file)?, output).map(|()| 0),
        PolicyCommand::Test(args) => match &args.batch {
            Some(path) if path == Path::new("-") => {
                batch(BufReader::new(io::stdin().lock()), output).map(|()| 0)
            }
            Some(path) => {
                let file = File::open(path).map_err(unreadable(path))?;
                batch(BufReader::new(file), output).map(|()| 0)
            }
            None => one(args, output),
        },
        PolicyCommand::Who { .. } => Err(Failure::Usage("policy who needs a gateway".to_owned())),
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |why| Failure::Local { what: format!("cannot read {}", path.display()), why }
}

/// Whether the gateway would store it, and which of its parts do nothing there.
fn check(text: &str, output: Output) -> Result<(), Failure> {
    let policy = Policy::parse(text).map_err(|error| Failure::BadDocument(error.to_string()))?;
    policy
        .validate_for_storage(Use::Managed, &[])
        .map_err(|error| Failure::BadDocument(error.to_string()))?;
    let warnings: Vec<String> = warnings(&policy).iter().map(ToString::to_string).collect();
    let answer = json!({
        "Valid": true,
        "Statements": policy.statement_count(),
        "Warnings": warnings,
    });
    let statements = if policy.statement_count() == 1 { "statement" } else { "statements" };
    output.answer(&answer, |_| {
        let mut text = format!("the policy is valid: {} {statements}\n", policy.statement_count());
        for warning in &warnings {
            text.push_str(&format!("warning: {warning}\n"));
        }
        text
    })
}

/// Parameters of which a Deny of values does not reach every form.
const EVASIVE_PARAMETERS: &[(&str, &str)] = &[
    (
        "runAsUser",
        "a session without the parameter runs as the device's default user and is not denied: deny \
         it with Null, too, or close the account on the device",
    ),
    ("path", BELOW_HOME),
    ("workingDirectory", BELOW_HOME),
];
const BELOW_HOME: &str = "a path below the home directory is written ~/… and is not denied: deny \
                          that form, too";

fn warnings(policy: &Policy) -> Vec<Warning> {
    let own = [USE_RESERVED_SESSION, WATCH_SESSION_UNSEEN, TAKE_OVER_SESSION];
    let operations = Operation::ALL.iter().map(|operation| operation.iam_action()).chain(own);
    let actions: Vec<&str> = operations.chain(SESSION_ACTIONS).collect();
    let parameters = BUILT_IN.iter().flat_map(|document| document.parameters);
    let single: Vec<&str> = parameters.filter(|p| !p.list).map(|p| p.name).collect();
    policy.warnings(&Vocabulary {
        actions: &actions,
        resources: ARN_FORMS,
        single_parameters: &single,
        without_account: OF_NO_ACCOUNT,
        evasive_parameters: EVASIVE_PARAMETERS,
        own_keys: &[],
    })
}

/// A line of a batch.
enum Line {
    Text(String),
    /// Unreadable, and why.
    Bad(&'static str),
}

fn batch(mut lines: BufReader<impl Read>, output: Output) -> Result<(), Failure> {
    let (mut number, mut bad, mut answers) = (0_u64, 0_u64, String::new());
    let failed = |number: u64, why: &str, bad: &mut u64| {
        *bad += 1;
        if *bad <= BATCH_REASONS {
            complain(&format!("line {number}: {why}"));
        }
        INVALID.to_owned()
    };
    while let Some(line) = next_line(&mut lines).map_err(unreadable(Path::new("the batch")))? {
        number += 1;
        let word = match line {
            // An empty line asks nothing.
            Line::Text(text) if text.trim().is_empty() => continue,
            Line::Text(text) => match evaluate_line(&text) {
                Ok(word) => word.to_string(),
                Err(error) => failed(number, &error.to_string(), &mut bad),
            },
            Line::Bad(why) => failed(number, why, &mut bad),
        };
        answers.push_str(&word);
        answers.push('\n');
        // A program that writes one line and waits gets its answer.
        if lines.buffer().is_empty() || answers.len() >= BATCH_ANSWERS {
            output.text(&answers)?;
            answers.clear();
        }
    }
    output.text(&answers)?;
    match bad {
        0 => Ok(()),
        _ => Err(Failure::BadDocument(format!("{bad} of {number} lines are invalid"))),
    }
}

/// The next line without its end; nothing at the end of the input. Of a line that is too long,
/// nothing is kept.
fn next_line(lines: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    let most = MAX_BATCH_LINE_BYTES as u64 + 1;
    if lines.by_ref().take(most).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.len() as u64 == most && bytes.last() != Some(&b'\n') {
        skip_line(lines)?;
        return Ok(Some(Line::Bad("the line is too long")));
    }
    Ok(Some(String::from_utf8(bytes).map_or(Line::Bad("not UTF-8"), Line::Text)))
}

fn skip_line(lines: &mut impl BufRead) -> io::Result<()> {
    loop {
        let waiting = lines.fill_buf()?;
        if waiting.is_empty() {
            return Ok(());
        }
        let end = waiting.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(waiting.len(), |at| at + 1);
        lines.consume(taken);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn one(args: &TestArgs, output: Output) -> Result<u8, Failure> {
    let named = |path: &std::path::PathBuf| -> Result<NamedPolicy, Failure> {
        let name = path.display().to_string();
        let policy = Policy::parse(read_document(path)?.trim());
        let policy = policy.map_err(|error| Failure::BadDocument(format!("{name}: {error}")))?;
        Ok(NamedPolicy::new(&name, Arc::new(policy)))
    };
    let policies = PolicySet {
        identity: args.policy.iter().map(named).collect::<Result<_, _>>()?,
        boundary: args.boundary.as_ref().map(named).transpose()?,
        ..PolicySet::default()
    };
    // The command line has seen to it that they are there.
    let text = |of: &Option<String>| of.clone().unwrap_or_default();
    let (principal, action, resource) =
        (text(&args.principal), text(&args.action), text(&args.resource));
    let request = Request::new(&principal, &action, &resource, context(&args.context));
    let explanation = explain(&policies, &request);
    output.answer(&as_json(&explanation), |_| explanation.to_string())?;
    Ok(if explanation.decision.is_allowed() { 0 } else { exit::DENIED })
}

fn context(pairs: &[(String, String)]) -> Context {
    let mut context = Context::new();
    for (key, _) in pairs {
        let values = pairs
            .iter()
            .filter(|(other, _)| fold(other) == fold(key))
            .map(|(_, value)| value.as_str());
        context.set(key, values);
    }
    context
}

fn as_json(explanation: &Explanation) -> Value {
    json!({
        "Decision": explanation.decision.effect.to_string(),
        "Why": explanation.decision.why.to_string(),
        "Statements": explanation.statements.iter().map(statement_as_json).collect::<Vec<_>>(),
    })
}

fn statement_as_json(report: &StatementReport) -> Value {
    let conditions = report.conditions.iter().map(|condition| {
        json!({
            "Operator": condition.operator,
            "Key": condition.key,
            "Wanted": condition.wanted,
            "Given": condition.given,
            "Unresolved": condition.unresolved,
            "Met": condition.met,
        })
    });
    json!({
        "Policy": &*report.statement.policy,
        "Scope": report.statement.scope.to_string(),
        "Index": report.statement.index,
        "Sid": report.statement.sid.as_deref(),
        "Effect": match report.effect { Effect::Allow => "Allow", Effect::Deny => "Deny" },
        "Applies": report.applies(),
        "Principal": report.principal,
        "Action": report.action,
        "Resource": report.resource,
        "Conditions": conditions.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_beyond_the_bound_is_passed_over_and_the_next_one_read() {
        let long = format!("{}\nnext\nlast", "x".repeat(MAX_BATCH_LINE_BYTES + 70_000));
        let mut lines = BufReader::new(long.as_bytes());
        assert!(matches!(next_line(&mut lines).unwrap(), Some(Line::Bad(_))));
        assert!(
            matches!(next_line(&mut lines).unwrap(), Some(Line::Text(text)) if text == "next\n")
        );
        assert!(matches!(next_line(&mut lines).unwrap(), Some(Line::Text(text)) if text == "last"));
        assert!(next_line(&mut lines).unwrap().is_none());
    }

    #[test]
    fn a_key_given_twice_has_both_values() {
        let pairs = [("a".to_owned(), "1".to_owned()), ("A".to_owned(), "2".to_owned())];
        assert_eq!(context(&pairs).values("a"), ["1", "2"]);
    }
}
