//! The plugin's work: a session that AWS's tools have started.
//!
//! Data flow: `aws ssm start-session` asks the gateway for a session and calls us with the answer
//! ([`call`]) -> the session's stream, in our own dialect where the gateway knows it, else in AWS's
//! ([`crate::session`]) -> the terminal of the caller.
//!
//! # Invariants
//! - However the session ended, if it was told to us the exit code is 0, as the tools expect; what
//!   went wrong has a line on standard error and another code, and never hangs.
//! - The line with the session's id is on standard output before the first byte of the session:
//!   other tools wait for it.

use std::ffi::OsStr;
use std::path::Path;

use super::call::{self, BadCall, Call, Kind};
use crate::api::Client;
use crate::config::{Endpoint, Environment, Flags, Settings};
use crate::exit::Failure;
use crate::output::{Format, Output, complain};
use crate::session::{self, Begin, Forward, Listener, Manner, Nobody, Token};
use crate::terminal::escape;

/// Under which name the tools look for it.
const NAME: &str = "session-manager-plugin";
/// The version that is told: the tools want four numbers, and warn below 1.2.764.0. What 1.2.835.0
/// takes, we take.
const VERSION: &str = session::CLIENT_VERSION;

/// The plugin's arguments, when this is a call of the plugin: by the program's name, or by the
/// first word behind it.
#[must_use]
pub(crate) fn arguments(
    mut words: impl Iterator<Item = std::ffi::OsString>,
) -> Option<Vec<String>> {
    let program = words.next()?;
    let linked = Path::new(&program).file_stem() == Some(OsStr::new(NAME));
    if !linked && words.next()? != NAME {
        return None;
    }
    Some(words.map(|word| word.to_string_lossy().into_owned()).collect())
}

/// Does what the tools ask for. Returns the exit code.
///
/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(arguments: &[String]) -> Result<u8, Failure> {
    let env = Environment::of_process();
    let output = Output::new(Format::Table, true);
    match Call::parse(arguments, |name| env.text(name))? {
        Call::Greeting => output.text(&format!(
            "towline {} is installed as {NAME}. Use `aws ssm start-session`, or towline itself.\n",
            env!("CARGO_PKG_VERSION")
        ))?,
        Call::Version => output.text(&format!("{VERSION}\n"))?,
        Call::Session(session) => serve(*session, &env, output).await?,
    }
    Ok(0)
}

async fn serve(session: call::Session, env: &Environment, output: Output) -> Result<(), Failure> {
    let settings = Settings::resolve_keyless(&flags(&session, env)?, env)?;
    let id = session.answer.session_id;
    output.text(&format!("\nStarting session with SessionId: {id}\n"))?;
    let begin = Begin::Given {
        session: id.clone(),
        stream_url: session.answer.stream_url,
        token: Token(session.answer.token_value),
    };
    let ending = match session.kind {
        Kind::Port(listen) => {
            let mut ready = |listener: &Listener, id: &str| {
                let place = match listener.port() {
                    Some(port) => format!("Port {port}"),
                    None => format!("Unix socket {}", listener.shown()),
                };
                // Nobody reading this is no reason to end a forward that others use.
                let _ = output.text(&format!(
                    "{place} opened for sessionId {id}.\nWaiting for connections...\n"
                ));
            };
            let say = &mut |line: &str| complain(line);
            let task = Forward {
                settings,
                begin,
                listen,
                guest: true,
                ready: &mut ready,
                say,
                person: Nobody,
            };
            Box::pin(session::forward(task)).await?
        }
        kind => {
            let ending =
                Box::pin(session::run(Client::new(settings), begin, manner(&kind))).await?;
            if let (Kind::Command { input: false, apart: true, .. }, None) = (&kind, &ending.line) {
                // As the official one writes it; scripts look for it.
                output.text(&format!("EXIT_CODE: {}", ending.code))?;
            }
            ending
        }
    };
    output.text("\n")?;
    if let Some(line) = ending.line {
        complain(&line);
    }
    output.text(&format!("\nExiting session with sessionId: {id}.\n\n"))
}

/// Where the gateway is: what the tool asked, or where the stream is.
fn flags(session: &call::Session, env: &Environment) -> Result<Flags, Failure> {
    let of_stream = || {
        let stream = Endpoint::parse(&session.answer.stream_url);
        let stream = stream.map_err(|why| BadCall::Answer(format!("StreamUrl: {why}")))?;
        Ok::<_, BadCall>(format!("https://{}", stream.authority()))
    };
    let endpoint = match &session.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => of_stream()?,
    };
    // Named by the environment, it has the rank of the environment: an exported key goes before it,
    // as in the tools.
    let profile =
        session.profile.clone().filter(|name| env.text("AWS_PROFILE").as_ref() != Some(name));
    Ok(Flags { endpoint: Some(endpoint), ca: None, region: Some(session.region.clone()), profile })
}

fn manner(kind: &Kind) -> Manner {
    match *kind {
        Kind::Terminal => Manner { guest: true, ..Manner::on_screen(Some(escape::DEFAULT)) },
        Kind::Command { input, apart, prefixes } => {
            Manner { guest: true, joined: !apart, prefixes, ..Manner::command(input) }
        }
        Kind::Stdio | Kind::Port(_) => Manner::proxy(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments_of(words: &[&str]) -> Option<Vec<String>> {
        arguments(words.iter().map(std::ffi::OsString::from))
    }

    #[test]
    fn it_is_the_plugin_by_its_name_or_by_the_first_word() {
        assert_eq!(
            arguments_of(&["/usr/bin/session-manager-plugin", "--version"]),
            Some(vec!["--version".into()])
        );
        assert_eq!(arguments_of(&["session-manager-plugin.exe"]), Some(vec![]));
        assert_eq!(
            arguments_of(&["towline", "session-manager-plugin", "a"]),
            Some(vec!["a".into()])
        );
        assert_eq!(arguments_of(&["towline", "shell", "session-manager-plugin"]), None);
        assert_eq!(arguments_of(&["towline"]), None);
    }

    #[test]
    fn the_version_is_above_the_one_below_which_the_tools_warn() {
        let numbers: Vec<u32> = VERSION.split('.').map(|number| number.parse().unwrap()).collect();
        assert!(numbers.len() == 4 && numbers > vec![1, 2, 764, 0]);
    }
}
