//! `cert request`, `cert sign` and `cert install`: certificates for gateways that have not the key
//! of the private CA.
//!
//! Data flow: a request of the gateway that lacks the key -> carried by a person -> signed where
//! the key is, and written into the audit trail -> carried back -> the files that the gateway
//! serves with.
//!
//! # Invariants
//! - A certificate is given out only when the audit trail has it. Where the lock on the directory
//!   is held, the gateway that runs writes the line; else it is written here.

use std::io::{Read as _, Write as _};
use std::path::Path;

use towline_gateway::audit::AuditLog;
use towline_gateway::certificate::{
    MAX_REQUEST, PrivateCa, Request, Signed, Signing, asked_names, install, key_to_ask_with, write,
};
use towline_gateway::config::{self, Config};
use towline_gateway::local::{self, Answer, Order};
use towline_host::clock::{Clock, UnixMillis};
use towline_host::files;
use towline_host::lock::{DirLock, LockError};

use crate::args::Cert;
use crate::{Failure, offline};

/// Does what the command line asks for.
pub(crate) async fn run(command: &Cert) -> Result<(), Failure> {
    match command {
        Cert::Request { dir, hostnames, new_key, out } => {
            refuse_taken(out.as_deref())?;
            let config = Config::load(dir)?;
            let names = asked_names(&config, hostnames);
            let key = key_to_ask_with(&config, *new_key)?;
            give(out.as_deref(), &write(&names, &key)?)
        }
        Cert::Sign { dir, request, ca, ca_key, out } => {
            refuse_taken(out.as_deref())?;
            let file = |given: &Option<_>, name: &str| given.clone().unwrap_or(dir.join(name));
            let authority = (file(ca, config::CA), file(ca_key, config::CA_KEY));
            let now = Clock::system().now();
            let (signing, signed) = match signed(request, (&authority.0, &authority.1), now) {
                Ok((names, signed)) => {
                    let until = Some(signed.http_until.0);
                    (Signing { names, until, refused: None }, Ok(signed))
                }
                Err((names, why)) => {
                    let refused = Some(why.to_string());
                    (Signing { names, until: None, refused }, Err(why))
                }
            };
            record(dir, signing).await?;
            give(out.as_deref(), &signed?.pem)
        }
        Cert::Install { dir, certificate } => {
            let done = install(&Config::load(dir)?, certificate, Clock::system().now())?;
            let mut text = format!(
                "installed, for {}\nA gateway that runs in {} takes it within five seconds.\n",
                done.names.join(", "),
                dir.display()
            );
            if done.has_new_key {
                text.push_str(&format!(
                    "The key is a new one: devices that were enrolled with --pin refuse this \
                     gateway. Its pin: {}\n",
                    done.pin
                ));
            }
            for complaint in &done.complaints {
                text.push_str(&format!("warning: {complaint}\n"));
            }
            Ok(write!(std::io::stdout(), "{text}")?)
        }
    }
}

/// Names and certificates of a request; of one that is refused, the names as far as they are known,
/// and why.
fn signed(
    request: &Path,
    (certificate, key): (&Path, &Path),
    now: UnixMillis,
) -> Result<(Vec<String>, Signed), (Vec<String>, Failure)> {
    let unknown = |why: Failure| (Vec::new(), why);
    let pem = read(request).map_err(unknown)?;
    let asked = Request::read(&pem).map_err(|error| unknown(error.into()))?;
    let names = asked.names().to_vec();
    if !key.exists() {
        let why = format!(
            "{} is not there: sign where the key of the CA is, or name its file with --ca-key",
            key.display()
        );
        return Err((names, why.into()));
    }
    match PrivateCa::read(certificate, key).and_then(|authority| authority.sign(&asked, now)) {
        Ok(signed) => Ok((names, signed)),
        Err(error) => Err((names, error.into())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path != Path::new("-") {
        return Ok(files::read(path, MAX_REQUEST)?);
    }
    let mut bytes = Vec::new();
    std::io::stdin().take(MAX_REQUEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_REQUEST {
        return Err(format!("standard input: expected at most {MAX_REQUEST} bytes").into());
    }
    Ok(bytes)
}

/// Into the audit trail, here or by the gateway that runs.
async fn record(dir: &Path, signing: Signing) -> Result<(), Failure> {
    match DirLock::take(dir) {
        Ok(_lock) => {
            let store = offline::store(&Config::load(dir)?).await?;
            let (audit, task) = AuditLog::start(store.clone(), Clock::system());
            let kept = audit.write_first(signing.event(nix::unistd::geteuid().as_raw())).await;
            drop(audit);
            let _ = task.await;
            store.close().await;
            Ok(kept?)
        }
        Err(LockError::Held(_)) => match local::ask(dir, Order::Signing(signing)).await {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::Failed(why)) => Err(why.into()),
            Ok(_) => Err("the gateway answered something else: is it of another version?".into()),
            Err(error) => {
                let path = dir.join(local::SOCKET);
                Err(format!(
                    "a gateway works in {}, but {}: {error}",
                    dir.display(),
                    path.display()
                )
                .into())
            }
        },
        Err(error) => Err(error.into()),
    }
}

fn refuse_taken(out: Option<&Path>) -> Result<(), Failure> {
    match out.filter(|path| crate::taken(path)) {
        Some(path) => Err(format!("{} is there already: name a new file", path.display()).into()),
        None => Ok(()),
    }
}

fn give(out: Option<&Path>, text: &str) -> Result<(), Failure> {
    match out {
        Some(path) => Ok(files::create_private(path, text.as_bytes())?),
        None => Ok(write!(std::io::stdout(), "{text}")?),
    }
}
