//! `towline`, the operator's command line: devices, shells and commands on them, sessions,
//! administration.
//!
//! Way: arguments ([`args`]) -> settings ([`config`]) -> requests ([`api`]) -> answers ([`output`])
//! or a session ([`session`]) between the device and the local terminal ([`terminal`]) -> an exit
//! code ([`exit`]). Called by AWS's tools under the name of their plugin: [`plugin`].
//!
//! # Invariants
//! - One thread, one connection; nothing is written to disk but by `aws-config --write`.
//! - The terminal is put back on every way out.
//!
//! # Not here
//! - No knowledge of the gateway's insides: it is one more client of the API.
#![forbid(unsafe_code)]

mod api;
mod args;
mod commands;
mod config;
mod exit;
mod limits;
mod output;
mod picture;
mod plugin;
mod session;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::Cli;
use exit::Failure;

fn main() -> ExitCode {
    if let Some(arguments) = plugin::arguments(std::env::args_os()) {
        return finish(run(|| plugin::run(&arguments)));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. Nobody reading them is no error.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(exit::USAGE) };
        }
    };
    finish(run(|| commands::dispatch(cli)))
}

fn finish(result: Result<u8, Failure>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output::complain(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

fn run<F: Future<Output = Result<u8, Failure>>>(work: impl FnOnce() -> F) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| Failure::Local { what: "cannot start".to_owned(), why })?;
    let result = runtime.block_on(work());
    // A name look-up that was given up may still stand in the system's resolver: nobody waits for
    // it.
    runtime.shutdown_background();
    result
}
