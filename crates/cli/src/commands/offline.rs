//! Commands that need no gateway: completions, the manual, policies to be checked.

use clap::CommandFactory;
use towline_policy::{Policy, Use};

use super::read_document;
use crate::args::{Cli, Command, PolicyCommand};
use crate::exit::Failure;
use crate::output::Output;

/// Runs the command if it is one of these.
pub(super) fn run(command: &Command, output: Output) -> Option<Result<(), Failure>> {
    match command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "towline", &mut text);
            Some(output.text(&String::from_utf8_lossy(&text)))
        }
        Command::Man => Some(manual(output)),
        Command::Policy(PolicyCommand::Check { file }) => {
            Some(read_document(file).and_then(|text| check(&text, output)))
        }
        Command::Verify(args) => Some(super::verify::run(args, output)),
        _ => None,
    }
}

fn manual(output: Output) -> Result<(), Failure> {
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut text);
    rendered.map_err(|why| Failure::Local { what: "cannot make the manual".to_owned(), why })?;
    output.text(&String::from_utf8_lossy(&text))
}

fn check(text: &str, output: Output) -> Result<(), Failure> {
    let policy = Policy::parse(text).map_err(|error| Failure::BadDocument(error.to_string()))?;
    policy.validate_for_storage(Use::Managed, &[]).map_err(|error| Failure::BadDocument(error.to_string()))?;
    let answer = serde_json::json!({ "Valid": true, "Statements": policy.statement_count() });
    let statements = if policy.statement_count() == 1 { "statement" } else { "statements" };
    output.answer(&answer, |_| format!("the policy is valid: {} {statements}\n", policy.statement_count()))
}
