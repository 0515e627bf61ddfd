//! `enroll`: makes this device known to a gateway, once.
//!
//! Data flow: check the arguments -> make the key if there is none -> dial ->
//! [`FromAgent::Enroll`] -> the answer -> store.
//!
//! # Invariants
//! - An enrolled device enrolls elsewhere only with `--reenroll`, which makes a new key: the old
//!   gateway cannot recognise the device at the new one.
//! - Where the authority's fingerprint is given, no other authority is believed: a wrong gateway
//!   with a good certificate gains no shell.
//! - The activation code is never stored, logged or shown.

use crate::arguments::{CodeSource, Enroll};
use crate::config::Config;
use crate::limits;
use crate::link::dial::{DialError, Target, dial};
use crate::link::driver::{Link, LinkError};
use crate::link::tls::{self, Pins, SignedSeconds, TlsError};
use crate::logger;
use crate::platform;
use crate::separation::monitor::Separation;
use crate::state::enrollment::{Address, Enrollment, Trust, certificates};
use crate::state::key::{DeviceKey, hex, unhex32};
use crate::state::next_pin::NextPin;
use crate::state::{Dir, StateError};
use std::future::poll_fn;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::task::Poll;
use towline_wire::VERSIONS;
use towline_wire::frame::Frame;
use towline_wire::message::{self, FromAgent, RefusalCode, ToAgent, Version, decode};
use towline_wire::mux::Mux;

/// Why the device was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// Something given is wrong.
    #[error("{0}")]
    Argument(String),
    /// It belongs to somebody.
    #[error(
        "this device is enrolled at {gateway} as {device}: to move it, stop its agent and enroll \
         with --reenroll"
    )]
    Taken {
        /// Whose it is.
        gateway: Address,
        /// Its name there.
        device: String,
    },
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// What was given for TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The gateway cannot be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It can, but the talk failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It names another authority than the activation does.
    #[error(
        "the gateway names another authority ({found}) than --authority: nothing was stored; \
         compare it with what the activation shows"
    )]
    Authority {
        /// SHA-256 of the key that the gateway named, in hexadecimal digits.
        found: String,
    },
    /// It says no.
    #[error("the gateway refuses to enroll this device ({code:?}): {text}")]
    Refused {
        /// Class.
        code: RefusalCode,
        /// In words.
        text: String,
    },
}

impl EnrollError {
    /// The program's exit status. No `_` arm: a new error must decide.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Argument(_) => 2,
            Self::Dial(_) | Self::Link(_) => 69,
            Self::Taken { .. } | Self::Refused { .. } | Self::Authority { .. } => 77,
            Self::State(_) | Self::Tls(_) => 78,
        }
    }
}

/// What the device is now.
#[derive(Debug)]
pub struct Enrolled {
    /// Its name.
    pub device: String,
    /// A person has to approve it before it may connect.
    pub pending: bool,
    /// Of its key, for that person.
    pub fingerprint: String,
}

impl std::fmt::Display for Enrolled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "enrolled as {}\nkey fingerprint {}", self.device, self.fingerprint)?;
        if self.pending {
            writeln!(
                f,
                "pending: approve the device at the gateway after you have compared the fingerprint"
            )?;
        }
        Ok(())
    }
}

/// Enrolls this device.
///
/// # Errors
/// [`EnrollError`]; nothing is changed then, except that a key may have been made.
pub async fn enroll(arguments: &Enroll, config: &Config) -> Result<Enrolled, EnrollError> {
    let wrong = |text: &str| EnrollError::Argument(text.to_owned());
    let gateway = Address::parse(&arguments.gateway).ok_or_else(|| {
        wrong("--gateway must be HOST or HOST:PORT (1 to 65535), without https://")
    })?;
    let trust = trust(arguments.ca.as_deref(), arguments.pin.as_deref())?;
    let expected = expected_authority(arguments.authority.as_deref())?;
    let code = activation_code(&arguments.code)?;
    let dir = Dir::at(&config.state_dir);
    let key = own_key(&dir, arguments.reenroll)?;
    let (signed, pins) = (SignedSeconds::default(), Pins::default());
    let certified = key.for_tls().map_err(TlsError::from)?;
    let tls = tls::client_config(&trust, certified, &signed, &pins)?;
    let target = Target {
        proxy: config.proxy_for(&gateway),
        gateway: gateway.clone(),
        tls,
        patience: limits::DIAL,
        separation: Separation::of(
            config.separation(),
            &config.runtime_dir,
            &trust,
            &pins,
            &signed,
        ),
    };
    let mut link = Link::new(dial(&target).await?);
    let request = message::Enroll {
        activation_id: arguments.activation_id.clone(),
        activation_code: code,
        name: arguments.name.clone(),
        tags: arguments.tags.clone(),
        platform: platform::describe(link.local_address()),
    };
    let answer = tokio::time::timeout(limits::HANDSHAKE, ask(&mut link, request)).await;
    let (device, authority, pending) =
        answer.map_err(|_| EnrollError::Link(LinkError::NoHandshake))??;
    judge_authority(expected, &authority)?;
    Enrollment { gateway, trust, device: device.clone(), authority }.store(&dir)?;
    if NextPin::load(&dir) != NextPin::default() {
        NextPin::default().store(&dir)?; // it was another authority's word
    }
    Ok(Enrolled { device, pending, fingerprint: key.fingerprint() })
}

/// The key to enroll with. A new one for a device that leaves another gateway.
fn own_key(dir: &Dir, reenroll: bool) -> Result<DeviceKey, EnrollError> {
    dir.prepare()?;
    let _unused_by_others = match dir.lock() {
        Err(StateError::NotEnrolled(_)) => None, // no key yet
        other => Some(other?),
    };
    match Enrollment::load(dir) {
        Err(StateError::NotEnrolled(_)) => Ok(DeviceKey::load_or_make(dir)?),
        Ok(enrollment) if !reenroll => {
            Err(EnrollError::Taken { gateway: enrollment.gateway, device: enrollment.device })
        }
        Ok(enrollment) => {
            logger::warning!(
                "leaving {}, which knew this device as {}",
                enrollment.gateway,
                enrollment.device
            );
            Ok(DeviceKey::make(dir)?)
        }
        Err(_) if reenroll => Ok(DeviceKey::make(dir)?),
        Err(error) => Err(error.into()),
    }
}

fn trust(ca: Option<&Path>, pin: Option<&str>) -> Result<Trust, EnrollError> {
    if let Some(pin) = pin {
        let pin = unhex32(pin).ok_or("--pin must be a SHA-256 in 64 hexadecimal digits");
        return pin.map(Trust::Pin).map_err(|text| EnrollError::Argument(text.to_owned()));
    }
    let Some(path) = ca else { return Ok(Trust::Public) };
    let wrong = |why: String| EnrollError::Argument(format!("--ca {}: {why}", path.display()));
    let pem = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    certificates(&pem).map_err(wrong)?;
    Ok(Trust::Ca(pem))
}

fn expected_authority(given: Option<&str>) -> Result<Option<[u8; 32]>, EnrollError> {
    let Some(given) = given else { return Ok(None) };
    let wrong = "--authority must be a SHA-256 in 64 hexadecimal digits";
    unhex32(given).map(Some).ok_or_else(|| EnrollError::Argument(wrong.to_owned()))
}

/// `expected`: SHA-256 of the only key that is believed.
fn judge_authority(expected: Option<[u8; 32]>, key: &[u8; 32]) -> Result<(), EnrollError> {
    let found = ring::digest::digest(&ring::digest::SHA256, key);
    match expected {
        Some(expected) if found.as_ref() != expected => {
            Err(EnrollError::Authority { found: hex(found.as_ref()) })
        }
        _ => Ok(()),
    }
}

fn activation_code(source: &CodeSource) -> Result<String, EnrollError> {
    let code = match source {
        CodeSource::Given(code) => code.clone(),
        CodeSource::Variable => std::env::var("TOWLINE_ACTIVATION_CODE").map_err(|_| {
            EnrollError::Argument(
                "the activation code is missing: --activation-code-file, - for standard input, or \
                 TOWLINE_ACTIVATION_CODE"
                    .to_owned(),
            )
        })?,
        CodeSource::File(path) => read_code(path).map_err(|error| {
            EnrollError::Argument(format!("--activation-code-file {}: {error}", path.display()))
        })?,
    };
    Ok(code.trim().to_owned())
}

fn read_code(path: &PathBuf) -> io::Result<String> {
    let mut code = String::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().take(limits::ACTIVATION_CODE).read_to_string(&mut code)?;
    } else {
        std::fs::File::open(path)?.take(limits::ACTIVATION_CODE).read_to_string(&mut code)?;
    }
    Ok(code)
}

/// Sends the request and waits for the answer.
async fn ask(
    link: &mut Link,
    request: message::Enroll,
) -> Result<(String, [u8; 32], bool), EnrollError> {
    let body = message::encode(&FromAgent::Enroll(request)).map_err(LinkError::Message)?;
    link.push(&Frame::Version { min: VERSIONS.min, max: VERSIONS.max })?;
    link.push(&Frame::Control(&body))?;
    let mut no_streams = Mux::new(0, 0);
    loop {
        poll_fn(|cx| match link.poll_send(cx, &mut no_streams) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => link.poll_receive(cx),
        })
        .await?;
        while let Some(frame) = link.next_frame()? {
            match frame {
                Frame::Version { min, max } if VERSIONS.agree(Version { min, max }).is_none() => {
                    return Err(LinkError::Version { min, max }.into());
                }
                Frame::Control(body) => match decode(body).map_err(LinkError::Message)? {
                    ToAgent::Enrolled { device, authority, pending } => {
                        return Ok((device, authority, pending));
                    }
                    ToAgent::Refuse { code, text, .. } => {
                        return Err(EnrollError::Refused { code, text });
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_belongs_to_somebody_stays_there_unless_told_locally() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::at(temp.path());
        let first = own_key(&dir, false).unwrap();
        let gateway = Address { host: "gw".into(), port: 8443 };
        let enrollment =
            Enrollment { gateway, trust: Trust::Public, device: "mi-1".into(), authority: [1; 32] };
        enrollment.store(&dir).unwrap();
        let refused = own_key(&dir, false).unwrap_err();
        assert!(refused.to_string().contains("--reenroll"), "{refused}");
        assert_eq!(refused.exit_code(), 77);
        assert_ne!(own_key(&dir, true).unwrap().fingerprint(), first.fingerprint());
    }

    #[test]
    fn a_key_that_was_made_for_a_try_that_failed_is_used_again() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::at(temp.path());
        assert_eq!(
            own_key(&dir, false).unwrap().fingerprint(),
            own_key(&dir, false).unwrap().fingerprint()
        );
    }

    #[test]
    fn another_authority_than_the_activation_names_is_refused() {
        let expected = ring::digest::digest(&ring::digest::SHA256, &[7; 32]);
        let expected = expected_authority(Some(&hex(expected.as_ref()))).unwrap();
        judge_authority(expected, &[7; 32]).unwrap();
        judge_authority(None, &[8; 32]).unwrap();
        let refused = judge_authority(expected, &[8; 32]).unwrap_err();
        assert_eq!(refused.exit_code(), 77);
        assert!(expected_authority(Some("12")).is_err());
    }

    #[test]
    fn a_code_from_a_file_has_no_line_end() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("code");
        crate::state::atomic::replace(&file, b"secret\n", 0o600).unwrap();
        assert_eq!(activation_code(&CodeSource::File(file)).unwrap(), "secret");
    }
}
