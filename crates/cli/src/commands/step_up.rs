//! A second factor, proved just now: asked for when a policy wants it, and by `mfa`.
//!
//! Data flow: a refusal that names it -> a person at a terminal proves it (`login --fresh`, or a code) ->
//! new credentials for this process -> the same request again.
//!
//! # Invariants
//! - Nobody is asked anything without a terminal: the refusal stands, and says what to do.
//! - What was refused was not done: the request alone is made again, once, never the whole command.
//! - A code need not be an argument: other users of the machine could read it.

use std::io::{self, BufRead as _, Read as _};

use towline_ssm::Operation;
use towline_ssm::error::SECOND_FACTOR_WANTED;
use towline_ssm::ids::SecretAccessKey;

use super::login;
use super::login_renewal;
use crate::api::{CallError, Client};
use crate::config::login::Kept;
use crate::config::{Environment, Identity};
use crate::exit::Failure;
use crate::output::{complain, prompt};
use crate::platform::is_terminal;
use crate::session::Begin;

/// Longest line with a code.
const MAX_LINE: u64 = 64;

/// Whether a second factor would help.
pub(super) fn would_help(error: &CallError) -> bool {
    matches!(error, CallError::Refused { message, .. } if message.contains(SECOND_FACTOR_WANTED))
}

/// Whether a second factor would help to begin this session. One that began and was lost is not
/// begun anew.
pub(super) fn begins_again(begin: &Begin, error: &CallError) -> bool {
    let starts = || error.to_string().contains(Operation::StartSession.iam_action());
    would_help(error) && (!matches!(begin, Begin::Start(_)) || starts())
}

/// Has the person at the terminal prove a second factor, for the further requests of this client.
/// `false`: there is nobody to ask, or no way.
///
/// # Errors
/// It was not proved.
pub(super) async fn prove(client: &mut Client, env: &Environment) -> Result<bool, Failure> {
    if !is_terminal(io::stdin()) || !is_terminal(io::stderr()) {
        return Ok(false);
    }
    let signed_in = login_renewal::used(client.settings(), env)?.is_some();
    let key = client.settings().identity.clone();
    let identity = if signed_in {
        complain("a policy wants a second factor that was proved just now: sign in again");
        let arn = client.caller_identity().await?.arn;
        let role = arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split('/').next());
        identity_of(login::again(client, env, role).await?)
    } else {
        if key.is_none_or(|key| key.session_token.is_some()) {
            return Ok(false);
        }
        complain("a policy wants a second factor that was proved just now");
        let who = client.caller_identity().await?;
        let Some((_, name)) = who.arn.split_once(":user/") else { return Ok(false) };
        let serial = format!("arn:aws:iam::{}:mfa/{name}", who.account);
        let given = client.session_token(&serial, &code(None)?).await?;
        Identity {
            access_key: given.access_key_id,
            secret: SecretAccessKey::new(given.secret_access_key),
            session_token: Some(given.session_token),
        }
    };
    client.sign_as(identity);
    Ok(true)
}

fn identity_of(kept: Kept) -> Identity {
    Identity {
        access_key: kept.access_key_id,
        secret: SecretAccessKey::new(kept.secret_access_key),
        session_token: Some(kept.session_token),
    }
}

/// A code of an argument, or of a line of standard input.
///
/// # Errors
/// It is no code.
pub(super) fn code(argument: Option<String>) -> Result<String, Failure> {
    let text = match argument.filter(|text| text != "-") {
        Some(text) => text,
        None => {
            if is_terminal(io::stdin()) {
                prompt("code of your authenticator: ");
            }
            let mut line = String::new();
            let read = io::stdin().lock().take(MAX_LINE).read_line(&mut line);
            read.map_err(|why| Failure::Local {
                what: "cannot read standard input".to_owned(),
                why,
            })?;
            line
        }
    };
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

    #[test]
    fn only_a_refusal_that_names_it_asks_for_a_second_factor() {
        let refused = |message: &str| CallError::Refused {
            code: "AccessDeniedException".into(),
            message: message.into(),
        };
        assert!(would_help(&refused(&format!("not allowed; {SECOND_FACTOR_WANTED}: sign in"))));
        assert!(!would_help(&refused("not allowed")) && !would_help(&CallError::NoKey));
    }
}
