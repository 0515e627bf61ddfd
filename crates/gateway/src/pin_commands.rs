//! `pin add`, `pin remove` and `pin list`.
//!
//! Data flow: the lock on the directory -> free: the statement is signed here, and devices get it
//! when a gateway runs again; held: the gateway that runs is asked by its local socket.

use std::io::Write as _;
use std::path::Path;

use towline_gateway::authority::Authority;
use towline_gateway::config::{self, Config};
use towline_gateway::limits::MAX_CONFIG_FILE;
use towline_gateway::listener::tls::TlsConfigs;
use towline_gateway::local::{self, Answer, Order};
use towline_gateway::server_pins::{self, PinReport, ServerPins};
use towline_host::clock::Clock;
use towline_host::files;
use towline_host::lock::{DirLock, LockError};

use crate::args::Pin;
use crate::{Failure, offline};

/// Does what the command line asks for.
pub(crate) async fn run(command: &Pin) -> Result<(), Failure> {
    let (dir, order) = match command {
        Pin::Add { dir, pin, certificate } => {
            let text = match (pin, certificate) {
                (Some(pin), _) => pin.clone(),
                (None, Some(certificate)) => TlsConfigs::pin(certificate)?,
                (None, None) => return Err("name a pin or a certificate".into()),
            };
            let pin = server_pins::parse(&text)
                .ok_or("a pin is the SHA-256 of the key's SubjectPublicKeyInfo: 64 hex digits")?;
            (dir, Order::NextPin(Some(pin)))
        }
        Pin::Remove { dir } => (dir, Order::NextPin(None)),
        Pin::List { dir } => (dir, Order::Pins),
    };
    let report = match DirLock::take(dir) {
        Ok(_lock) => alone(dir, order).await?,
        Err(LockError::Held(_)) => asked(dir, order).await?,
        Err(error) => return Err(error.into()),
    };
    write!(std::io::stdout(), "{}", text(&report))?;
    Ok(())
}

async fn alone(dir: &Path, order: Order) -> Result<PinReport, Failure> {
    let key = files::read(&dir.join(config::AUTHORITY_KEY), MAX_CONFIG_FILE)?;
    let authority = Authority::from_pkcs8(&zeroize::Zeroizing::new(key))?;
    let store = offline::store(&Config::load(dir)?).await?;
    let pins = ServerPins::load(&store).await?;
    if let Order::NextPin(pin) = order {
        pins.say(&store, &authority, pin, Clock::system().now()).await?;
    }
    let report = pins.report(&store).await;
    store.close().await;
    Ok(report?)
}

async fn asked(dir: &Path, order: Order) -> Result<PinReport, Failure> {
    let path = dir.join(local::SOCKET);
    let answer = local::ask(dir, order).await.map_err(|error| {
        format!("a gateway works in {}, but {}: {error}", dir.display(), path.display())
    })?;
    match answer {
        Answer::Pins(report) => Ok(report),
        Answer::Failed(why) => Err(why.into()),
        _ => Err("the gateway answered something else: is it of another version?".into()),
    }
}

fn text(report: &PinReport) -> String {
    let Some(pin) = &report.pin else { return "no next pin\n".to_owned() };
    let mut text = format!(
        "next pin {pin}\n{} of {} devices have it, or trust by certificates\n",
        report.confirmed, report.devices
    );
    for device in &report.missing {
        text.push_str(&format!("  not yet: {device}\n"));
    }
    let named = i64::try_from(report.missing.len()).unwrap_or(i64::MAX);
    let more = report.devices.saturating_sub(report.confirmed).saturating_sub(named);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    text
}
