//! `towline`, the operator's command line: devices, shells and commands on them, sessions,
//! administration.
//!
//! Data flow: arguments ([`args`]) -> settings ([`config`]) -> requests ([`api`]) -> answers
//! ([`output`]) or a session ([`session`]) between the device and the local terminal ([`terminal`],
//! [`platform`]) -> an exit code ([`exit`]). AWS's tools call this program under the name of their
//! plugin: [`plugin`].
//!
//! # Invariants
//! - One thread, one connection.
//! - Only `aws-config --write`, `cp`, `login` and `man --dir` write files.
//! - The terminal is restored on every exit.
//!
//! # Not here
//! - Knowledge of the gateway's internals: this program is a client of the API.
#![cfg_attr(not(windows), forbid(unsafe_code))]

mod api;
mod args;
mod commands;
mod config;
mod exit;
mod limits;
mod output;
mod picture;
mod platform;
mod plugin;
mod session;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::Cli;
use exit::Failure;

fn main() -> ExitCode {
    platform::prepare();
    if let Some(arguments) = plugin::arguments(std::env::args_os()) {
        return finish(run(|| plugin::run(&arguments)));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors of clap, too. A closed pipe is not an error.
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
        Err(failure @ Failure::ReaderGone) => ExitCode::from(failure.code()),
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
    let result = runtime.block_on(async {
        platform::outlive_file_limit();
        work().await
    });
    // An abandoned name look-up may still be in the system's resolver: do not wait for it.
    runtime.shutdown_background();
    result
}
