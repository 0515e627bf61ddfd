//! Commands that need no gateway: completions, the manual, policies, recordings to be verified.

use clap::CommandFactory;

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
        Command::Man => Some(manual(output).map(|()| 0)),
        Command::Policy(command) => Some(super::policy::run(command, output)),
        Command::Verify(args) => Some(super::verify::run(args, output).map(|()| 0)),
        _ => None,
    }
}

fn manual(output: Output) -> Result<(), Failure> {
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut text);
    rendered.map_err(|why| Failure::Local { what: "cannot make the manual".to_owned(), why })?;
    output.text(&String::from_utf8_lossy(&text))
}
