//! A second factor, proved just now: asked for when a policy wants it, and by `mfa`.
//!
//! Data flow: a refusal that names it -> a person at a terminal proves it (`login --fresh`, or a
//! code) -> new credentials for this process -> the same request again.
//!
//! # Invariants
//! - Nobody is asked anything without a terminal: the refusal stands, and says what to do. Where
//!   standard input is data (a copy, `ssh` through `proxy`), the terminal behind it is asked.
//! - What was refused was not done: the request alone is made again, once, never the whole command.
//! - A code need not be an argument: other users of the machine could read it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use tokio::sync::oneshot;
use towline_ssm::error::ErrorCode;
use towline_ssm::ids::SecretAccessKey;

use super::login;
use super::login_renewal::{self, identity_of};
use crate::api::{CallError, Client};
use crate::config::{Environment, Identity, Settings};
use crate::exit::{Failure, HasExitCode};
use crate::output::{complain, new_line, prompt};
use crate::platform::{self, Signals, is_terminal};
use crate::session::{Begin, MayBeRefusal, Person, Proof};

/// Longest line with a code.
const MAX_LINE: u64 = 64;
const PROMPT: &str = "code of your authenticator: ";

/// Runs a session; where a policy wants a second factor that was proved just now, once more after
/// its proof. Gives the settings of the client that ran, too.
pub(super) async fn proved<T, E>(
    client: Client,
    env: &Environment,
    begin: &Begin,
    mut run: impl AsyncFnMut(Client) -> Result<T, E>,
) -> Result<(T, Settings), Failure>
where
    E: MayBeRefusal + HasExitCode + 'static,
{
    let settings = client.settings().clone();
    match run(client).await {
        Err(error) if error.ends_by_second_factor(begin) => {
            let mut client = Client::new(settings);
            if !Box::pin(prove(&mut client, env)).await? {
                return Err(error.into());
            }
            let settings = client.settings().clone();
            Ok((run(client).await?, settings))
        }
        ended => Ok((ended?, settings)),
    }
}

/// Has the person at the terminal prove a second factor, for the further requests of this client.
/// `false`: there is nobody to ask, or no way.
///
/// # Errors
/// It was not proved.
pub(super) async fn prove(client: &mut Client, env: &Environment) -> Result<bool, Failure> {
    let Some(keyboard) = Keyboard::of_a_person() else { return Ok(false) };
    let signed_in = login_renewal::used(client.settings(), env)?.is_some();
    let key = client.settings().identity.clone();
    let identity = if signed_in {
        complain("a policy wants a second factor that was proved just now: sign in again");
        let arn = client.caller_identity().await?.arn;
        let role = arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split('/').next());
        identity_of(unless_interrupted(Box::pin(login::again(client, env, role))).await?)
    } else {
        if key.is_none_or(|key| key.session_token.is_some()) {
            return Ok(false);
        }
        complain("a policy wants a second factor that was proved just now");
        let who = client.caller_identity().await?;
        let Some((_, name)) = who.arn.split_once(":user/") else { return Ok(false) };
        let serial = format!("arn:aws:iam::{}:mfa/{name}", who.account);
        let code = unless_interrupted(typed(keyboard)).await?;
        let given = client.session_token(&serial, &code).await?;
        Identity {
            access_key: given.access_key_id,
            secret: SecretAccessKey::new(given.secret_access_key),
            session_token: Some(given.session_token),
        }
    };
    client.sign_as(identity);
    Ok(true)
}

/// The person at the terminal of a forward, between its sessions.
pub(super) struct AtTerminal<'a> {
    pub(super) env: &'a Environment,
    /// The settings that the forward was started with: only an access key itself gets credentials
    /// that prove a second factor.
    pub(super) original: Settings,
    /// They have the credentials of `towline login`.
    pub(super) signed_in: bool,
}

impl AtTerminal<'_> {
    /// The settings with the credentials of the sign-in as they are now.
    async fn of_sign_in(&self) -> Result<Settings, Failure> {
        let mut settings = self.original.clone();
        let kept = login_renewal::current(&settings, self.env).await?;
        let kept = kept.ok_or_else(|| {
            Failure::Usage("nobody is signed in any more: run `towline login`".to_owned())
        })?;
        settings.identity = Some(identity_of(kept));
        Ok(settings)
    }
}

impl Person for AtTerminal<'_> {
    async fn settings(&mut self, before: &Settings) -> Result<Settings, Failure> {
        if self.signed_in { self.of_sign_in().await } else { Ok(before.clone()) }
    }

    async fn prove(&mut self, refusal: &CallError) -> Result<Proof, Failure> {
        if !self.signed_in && refusal.is(ErrorCode::ExpiredTokenException.as_str()) {
            let own = self.original.identity.as_ref();
            let is_key = own.is_some_and(|own| own.session_token.is_none());
            // Nobody renews temporary credentials of the environment.
            let again = || Proof::Again(Box::new(self.original.clone()));
            return Ok(if is_key { again() } else { Proof::Over });
        }
        if !refusal.wants_second_factor() {
            return Ok(Proof::Refused);
        }
        let settings =
            if self.signed_in { self.of_sign_in().await? } else { self.original.clone() };
        let mut client = Client::new(settings);
        if Box::pin(prove(&mut client, self.env)).await? {
            return Ok(Proof::Again(Box::new(client.settings().clone())));
        }
        // A sign-in is read anew for the next connection; an environment is not.
        Ok(if self.signed_in { Proof::Refused } else { Proof::Over })
    }
}

/// Waits, and heeds the signals that end a program: a session that listened to them keeps the
/// system from ending this program by itself.
pub(super) async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut signals = Signals::listen(false, false)
        .map_err(|why| Failure::Local { what: "cannot listen to signals".to_owned(), why })?;
    tokio::select! {
        done = work => done,
        signal = signals.next() => {
            new_line();
            Err(Failure::Signal(signal.number()))
        }
    }
}

/// Where a person types.
enum Keyboard {
    /// Standard input.
    Stdin,
    /// The terminal behind it, where standard input is data.
    Terminal(File),
}

impl Keyboard {
    /// That of a person who reads standard error; nothing without one.
    fn of_a_person() -> Option<Self> {
        if !is_terminal(io::stderr()) {
            return None;
        }
        match is_terminal(io::stdin()) {
            true => Some(Self::Stdin),
            false => platform::keyboard().map(Self::Terminal),
        }
    }

    fn line(self) -> io::Result<String> {
        match self {
            Self::Stdin => line_of(io::stdin().lock()),
            Self::Terminal(terminal) => line_of(BufReader::new(terminal)),
        }
    }
}

/// A code that a person types.
async fn typed(keyboard: Keyboard) -> Result<String, Failure> {
    prompt(PROMPT);
    let (read, line) = oneshot::channel();
    // A read of a terminal cannot be broken off: after a signal its thread ends with this program.
    std::thread::spawn(move || read.send(keyboard.line()));
    let line = line.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()));
    code_of(
        &line.map_err(|why| Failure::Local { what: "cannot read the terminal".to_owned(), why })?,
    )
}

/// A code of an argument, or of a line of standard input.
///
/// # Errors
/// It is no code.
pub(super) fn code(argument: Option<String>) -> Result<String, Failure> {
    if let Some(text) = argument.filter(|text| text != "-") {
        return code_of(&text);
    }
    if is_terminal(io::stdin()) {
        prompt(PROMPT);
    }
    let line = line_of(io::stdin().lock());
    code_of(
        &line
            .map_err(|why| Failure::Local { what: "cannot read standard input".to_owned(), why })?,
    )
}

fn line_of(from: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(MAX_LINE).read_line(&mut line)?;
    Ok(line)
}

fn code_of(text: &str) -> Result<String, Failure> {
    let code: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::Usage("a code is six digits".to_owned()));
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits_with_or_without_a_space() {
        assert_eq!(code(Some("123 456".into())).unwrap(), "123456");
        for wrong in ["", "12345", "1234567", "12345x"] {
            assert!(code(Some(wrong.into())).is_err(), "{wrong}");
        }
    }
}
