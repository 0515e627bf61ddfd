//! `login`, `logout` and `credentials`: an identity provider in place of an access key.
//!
//! Data flow: without a browser: [`super::login_request`]. Else a listener on loopback
//! ([`super::login_listener`]) -> the browser at the gateway, which sends it to the provider and
//! back here with a code or a refusal -> the code and the verifier (PKCE) to the gateway ->
//! credentials in the cache ([`crate::config::login`]).
//!
//! # Invariants
//! - The browser gets a code that is of use with this process's verifier alone.
//! - A refusal ends the wait at once, with its reason.
//! - Credentials go to the cache file, and with `credentials` to standard output; nowhere else.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use tokio::net::TcpListener;

use super::login_listener::answer;
use super::login_renewal::{self, identity_of, patiently};
use super::login_request::by_request;
use crate::api::Client;
use crate::args::Global;
use crate::args::identity::LoginArgs;
use crate::config::login::{self, Kept};
use crate::config::{Environment, Settings};
use crate::exit::Failure;
use crate::output::{Output, complain};

/// How long a person may take: as long as the gateway waits.
const PATIENCE: Duration = Duration::from_secs(600);

fn usage(why: impl Into<String>) -> Failure {
    Failure::Usage(why.into())
}

fn local(what: &str) -> impl FnOnce(io::Error) -> Failure + use<'_> {
    move |why| Failure::Local { what: what.to_owned(), why }
}

pub(super) fn random() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| usage("the system gave no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The challenge of a verifier (PKCE, S256).
pub(super) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// Percent-encoding for a query.
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// `login`.
pub(super) async fn login(
    global: &Global,
    args: &LoginArgs,
    env: &Environment,
    output: Output,
) -> Result<(), Failure> {
    let settings = Settings::resolve_keyless(&global.flags(), env)?;
    let path = login::path(env, &settings.endpoint)
        .ok_or_else(|| usage("no place for credentials: set HOME or XDG_CACHE_HOME"))?;
    let mut client = Client::new(settings);
    let kept = if args.no_browser {
        by_request(&mut client, args).await?
    } else {
        by_browser(&mut client, args).await?
    };
    login::write(&path, &kept).map_err(local("cannot keep the credentials"))?;
    let until = kept.expiration.clone();
    client.sign_as(identity_of(kept));
    // A person with several accounts sees at once which one it became.
    match client.caller_identity().await {
        Ok(who) => output.text(&format!("signed in until {until} as {}\n", who.arn)),
        Err(error) => {
            complain(&format!("the gateway does not say who that is: {error}"));
            output.text(&format!("signed in until {until}\n"))
        }
    }
}

/// Signs in once more, as this role: the provider asks the person again.
pub(super) async fn again(
    client: &mut Client,
    env: &Environment,
    role: Option<&str>,
) -> Result<Kept, Failure> {
    let args =
        LoginArgs { provider: None, role: role.map(str::to_owned), no_browser: false, fresh: true };
    let kept = by_browser(client, &args).await?;
    if let Some(path) = login::path(env, &client.settings().endpoint) {
        login::write(&path, &kept).map_err(local("cannot keep the credentials"))?;
    }
    Ok(kept)
}

/// By a browser on this machine.
async fn by_browser(client: &mut Client, args: &LoginArgs) -> Result<Kept, Failure> {
    let (verifier, state) = (random()?, random()?);
    let challenge = challenge_of(&verifier);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(local("cannot listen"))?;
    let port = listener.local_addr().map_err(local("cannot listen"))?.port();
    let mut url = format!(
        "https://{}/sign-in/start?redirect={}&challenge={challenge}&state={state}",
        client.settings().endpoint.authority(),
        encoded(&format!("http://127.0.0.1:{port}/callback")),
    );
    for (name, value) in [("provider", &args.provider), ("role", &args.role)] {
        if let Some(value) = value {
            url.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    if args.fresh {
        url.push_str("&fresh=true");
    }
    complain("open this address in a browser on this machine:");
    complain(&url);
    complain("waiting for the browser, for ten minutes at most; Ctrl-C gives up");
    open_browser(&url);
    let code = tokio::time::timeout(PATIENCE, answer(&listener, &state))
        .await
        .map_err(|_| usage("nobody signed in within ten minutes: run `towline login` again"))?
        .map_err(local("cannot read the browser's answer"))??;
    let body = json!({ "Code": code, "Verifier": verifier });
    Ok(patiently(client, "/sign-in/token", &body).await?)
}

/// Starts the desktop's browser. Without one, the address was printed.
fn open_browser(url: &str) {
    for program in ["xdg-open", "open"] {
        let mut command = std::process::Command::new(program);
        command.arg(url).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        if command.stderr(std::process::Stdio::null()).spawn().is_ok() {
            return;
        }
    }
}

/// `logout`.
pub(super) async fn logout(
    global: &Global,
    env: &Environment,
    output: Output,
) -> Result<(), Failure> {
    let settings = Settings::resolve_keyless(&global.flags(), env)?;
    let kept = login::read(env, &settings.endpoint).ok().flatten();
    let path = login::path(env, &settings.endpoint);
    match path.map(std::fs::remove_file) {
        Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::Local {
                what: "cannot remove the credentials".to_owned(),
                why: error,
            });
        }
        _ => {}
    }
    if let Some(refresh_token) = kept.and_then(|kept| kept.refresh_token) {
        let body = json!({ "RefreshToken": refresh_token });
        let told: Result<serde_json::Value, _> =
            Client::new(settings).post_unsigned("/sign-in/logout", &body).await;
        if let Err(error) = told {
            complain(&format!("the gateway was not told: {error}"));
        }
    }
    output.text("signed out\n")
}

/// `credentials`: what AWS's tools read from a credential process.
pub(super) async fn credentials(
    global: &Global,
    env: &Environment,
    output: Output,
) -> Result<(), Failure> {
    let settings = Settings::resolve_keyless(&global.flags(), env)?;
    let kept = login_renewal::current(&settings, env).await?;
    let kept = kept.ok_or_else(|| usage("not signed in: run `towline login`"))?;
    // The secret that renews them is for this program alone.
    let given = Kept { refresh_token: None, second_factor: None, ..kept };
    let text = serde_json::to_string(&given).map_err(|error| usage(error.to_string()))?;
    output.text(&format!("{text}\n"))
}
