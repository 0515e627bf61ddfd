//! The agent's program: arguments, the log, the one-threaded runtime, the exit status.

use std::io::Write as _;
use std::process::ExitCode;
use towline_agent::agent::Outcome;
use towline_agent::arguments::{Arguments, Command, HELP, parse};
use towline_agent::command_log::local;
use towline_agent::config::Config;
use towline_agent::handover::Predecessor;
use towline_agent::handover::exchange::restart;
use towline_agent::handover::form::FORM;
use towline_agent::handover::preflight::OTHER_FORM;
use towline_agent::sys::memory::keep_nothing_large;
use towline_agent::{enroll, limits, logger, platform, run, signals, status, would_run};

/// Of sysexits.h: the configuration cannot be used.
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let mut predecessor = match Predecessor::find(|name| std::env::var(name).ok()) {
        Ok(predecessor) => predecessor,
        Err(error) => return fail(1, &error.to_string()),
    };
    let code = begin(&mut predecessor);
    if let Some(predecessor) = predecessor {
        // This program did not resume the sessions. Their own program may.
        let error = predecessor.take_back();
        fail(1, &format!("the sessions of the previous program are lost: {error}"));
    }
    code
}

fn begin(predecessor: &mut Option<Predecessor>) -> ExitCode {
    let arguments = match parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(text) => return fail(2, &text),
    };
    let _ = signals::outlive();
    if matches!(arguments.command, Command::Run) {
        let _ = signals::hold(); // until somebody listens
    }
    match &arguments.command {
        Command::Help => return print(HELP),
        Command::Version => {
            return print(&format!("towline-agent {} ({})\n", platform::VERSION, platform::TARGET));
        }
        Command::Copy(granted) => return towline_agent::copy::serve(granted),
        Command::Network => return towline_agent::separation::network::serve(),
        Command::Run
        | Command::Enroll(_)
        | Command::Status { .. }
        | Command::Log { .. }
        | Command::ConfigCheck => {}
    }
    let (config, findings) = Config::of(&arguments);
    let unusable = findings.iter().any(|finding| finding.fatal);
    for finding in &findings {
        let _ = writeln!(std::io::stderr(), "{finding}");
    }
    match arguments.command {
        Command::ConfigCheck if unusable => ExitCode::from(EX_CONFIG),
        Command::ConfigCheck => {
            let (count, s) = (findings.len(), if findings.len() == 1 { "" } else { "s" });
            print(&format!("the configuration is valid, {count} warning{s}\n"))
        }
        _ if unusable => fail(EX_CONFIG, "the configuration is not valid, see the errors above"),
        _ => act(&arguments, config, predecessor),
    }
}

fn act(arguments: &Arguments, config: Config, predecessor: &mut Option<Predecessor>) -> ExitCode {
    logger::start(config.log);
    keep_nothing_large();
    if let Some(form) = arguments.takes_over {
        return match would_run(&config) {
            Ok(()) if form == FORM => ExitCode::SUCCESS,
            Ok(()) => fail(
                OTHER_FORM,
                &format!("this program reads session state in form {FORM}, not {form}"),
            ),
            Err(error) => fail(error.exit_code(), &format!("cannot take over sessions: {error}")),
        };
    }
    match &arguments.command {
        Command::Status { json } => match status::report(&config, *json) {
            Ok(text) => print(&text),
            Err(error) => fail(EX_CONFIG, &error.to_string()),
        },
        Command::Log { json } => match local::report(&config.spool_dir(), *json) {
            Ok(text) => print(&text),
            Err(error) => fail(1, &format!("cannot read the spool: {error}")),
        },
        Command::Enroll(wanted) => match in_runtime(enroll::enroll(wanted, &config)) {
            Ok(Ok(enrolled)) => print(&enrolled.to_string()),
            Ok(Err(error)) => fail(error.exit_code(), &error.to_string()),
            Err(error) => fail(1, &error.to_string()),
        },
        Command::Run => match in_runtime(run(config, predecessor)) {
            Ok(Ok(Outcome::Stopped)) => ExitCode::SUCCESS,
            Ok(Ok(Outcome::Renew)) => renew(),
            Ok(Err(error)) => fail(error.exit_code(), &error.to_string()),
            Err(error) => fail(1, &error.to_string()),
        },
        Command::ConfigCheck
        | Command::Copy(_)
        | Command::Network
        | Command::Version
        | Command::Help => ExitCode::SUCCESS,
    }
}

/// One thread.
fn in_runtime<F: Future>(work: F) -> std::io::Result<F::Output> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_io_events_per_tick(limits::IO_EVENTS).build()?;
    Ok(runtime.block_on(work))
}

/// Becomes the program that is installed now, in the same process: its manager sees no restart.
fn renew() -> ExitCode {
    fail(1, &format!("cannot restart: {}", restart()))
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(code: u8, text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "towline-agent: {text}");
    ExitCode::from(code)
}
