//! Commands that need no gateway: completions, the manual, policies, recordings to be verified.

use std::path::Path;

use clap::CommandFactory;

use crate::args::policy::PolicyCommand;
use crate::args::{Cli, Command};
use crate::exit::Failure;
use crate::output::Output;

/// Runs the command if it is one of these. Returns the exit code.
pub(super) fn run(command: &Command, output: Output) -> Option<Result<u8, Failure>> {
    match command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "towline", &mut text);
            Some(output.text(&String::from_utf8_lossy(&text)).map(|()| 0))
        }
        Command::Man { dir } => Some(manual(dir.as_deref(), output).map(|()| 0)),
        // Questions to the stored policies are the gateway's to answer.
        Command::Policy(PolicyCommand::Who { .. }) => None,
        Command::Policy(PolicyCommand::Test(args)) if args.asks_gateway() => None,
        Command::Policy(command) => Some(super::policy::run(command, output)),
        // What is no path may be a session.
        Command::Verify(args) if super::verify::is_session(&args.path) => None,
        Command::Verify(args) => Some(super::verify::run(args, output).map(|()| 0)),
        _ => None,
    }
}

fn manual(folder: Option<&Path>, output: Output) -> Result<(), Failure> {
    let local = |why| Failure::Local { what: "cannot write the manual".to_owned(), why };
    if let Some(folder) = folder {
        return clap_mangen::generate_to(Cli::command(), folder).map_err(local);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(local)?;
    output.text(&String::from_utf8_lossy(&text))
}
