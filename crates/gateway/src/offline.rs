//! Commands of root on the server: `admin-key`, `config check`, `index-recordings` and
//! `remove-tag`; and the store of a gateway that does not run, for these and others.
//!
//! Data flow: the lock on the directory -> free: the store is opened here; held: the gateway that
//! runs is asked by its local socket.
//!
//! # Invariants
//! - A secret goes to a new file of mode 0600 or to a terminal, nowhere else; where it goes is
//!   settled before it is made.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use towline_gateway::audit::AuditLog;
use towline_gateway::checkup;
use towline_gateway::config::{self, Config};
use towline_gateway::local::{self, Answer, Order};
use towline_gateway::rescue::{self, RescueKey};
use towline_gateway::vault::Vault;
use towline_host::clock::Clock;
use towline_host::files;
use towline_host::lock::{DirLock, LockError};
use towline_store::{Store, remove_tag_in};

use crate::Failure;
use crate::args::{AdminKey, RemoveTag};

/// Makes a rescue key and shows it, or writes it.
pub(crate) async fn admin_key(options: &AdminKey) -> Result<(), Failure> {
    match &options.out {
        Some(path) if crate::taken(path) => {
            return Err(format!("{} is there already: name a new file", path.display()).into());
        }
        None if !std::io::stdout().is_terminal() => {
            return Err("standard output is not a terminal: name a new file with --out".into());
        }
        _ => {}
    }
    let key = match DirLock::take(&options.dir) {
        Ok(_lock) => alone(&options.dir).await?,
        Err(LockError::Held(_)) => asked(&options.dir).await?,
        Err(error) => return Err(error.into()),
    };
    match &options.out {
        Some(path) => {
            let text = serde_json::to_string(&key)?;
            files::create_private(path, format!("{text}\n").as_bytes())?;
        }
        None => writeln!(
            std::io::stdout(),
            "The new administrator {}, shown this once:\n\nexport AWS_ACCESS_KEY_ID={}\n\
             export AWS_SECRET_ACCESS_KEY={}\n\nIt counts now. Delete the user when it is no \
             longer \
             needed.",
            key.principal_name,
            key.access_key_id,
            key.secret_access_key
        )?,
    }
    Ok(())
}

/// The store of a directory in which no gateway runs.
///
/// # Errors
/// The store's. One that several gateways share is not opened: from here it would take this gateway
/// for one that works alone, and the sessions of all with it.
pub(crate) async fn store(config: &Config) -> Result<Store, Failure> {
    if config.cluster.is_some() {
        let why = "several gateways share the store: start this directory's gateway, which does \
                   it, and try again";
        return Err(why.into());
    }
    Ok(config.store.open().await?)
}

/// No gateway runs: the store is ours.
async fn alone(dir: &Path) -> Result<RescueKey, Failure> {
    let sealing = zeroize::Zeroizing::new(files::read(
        &dir.join(config::STORE_KEY),
        towline_gateway::limits::MAX_CONFIG_FILE,
    )?);
    let vault = Vault::new(&sealing)?;
    let store = store(&Config::load(dir)?).await?;
    let clock = Clock::system();
    let (audit, task) = AuditLog::start(store.clone(), clock.clone());
    let uid = nix::unistd::geteuid().as_raw();
    let made = rescue::make(&store, &vault, &audit, clock.now(), uid).await;
    drop(audit);
    let _ = task.await;
    store.close().await;
    Ok(made?)
}

/// A gateway runs and has the store.
async fn asked(dir: &Path) -> Result<RescueKey, Failure> {
    let path = dir.join(local::SOCKET);
    let answer = local::ask(dir, Order::AdminKey).await.map_err(|error| {
        format!("a gateway works in {}, but {}: {error}", dir.display(), path.display())
    })?;
    match answer {
        Answer::Key(key) => Ok(key),
        Answer::Failed(why) => Err(why.into()),
        _ => Err("the gateway answered something else: is it of another version?".into()),
    }
}

/// Has the gateway that runs make the indexes of recordings that have none.
pub(crate) async fn index_recordings(dir: &Path) -> Result<(), Failure> {
    let answer = local::ask(dir, Order::IndexRecordings).await.map_err(|error| {
        let path = dir.join(local::SOCKET);
        format!(
            "index-recordings needs a running gateway in {}, but {}: {error}",
            dir.display(),
            path.display()
        )
    })?;
    let text = match answer {
        Answer::Queued(queued, true) => format!("{queued} recordings without an index were queued"),
        Answer::Queued(queued, false) => format!(
            "{queued} recordings without an index were queued, and there are more: run this again \
             later"
        ),
        Answer::Failed(why) => return Err(why.into()),
        _ => {
            return Err("the gateway answered something else: is it of another version?".into());
        }
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

/// Says what was found in the directory; fails when a gateway would not start.
pub(crate) async fn check(dir: &Path) -> Result<(), Failure> {
    let report = checkup::look(dir, Clock::system().now()).await;
    let mut stdout = std::io::stdout();
    for fault in &report.faults {
        writeln!(stdout, "fault: {fault}")?;
    }
    for warning in &report.warnings {
        writeln!(stdout, "warning: {warning}")?;
    }
    if report.faults.is_empty() {
        writeln!(stdout, "a gateway would start in {}", dir.display())?;
        return Ok(());
    }
    Err(format!("a gateway would not start in {}", dir.display()).into())
}

/// Removes one tag from the store of a gateway that does not run.
pub(crate) async fn remove_tag(options: &RemoveTag) -> Result<(), Failure> {
    let _lock = DirLock::take(&options.dir)?;
    let RemoveTag { dir, kind, id, key } = options;
    let place = Config::load(dir)?.store;
    if remove_tag_in(place.file()?, kind, id, key).await? {
        writeln!(std::io::stdout(), "removed")?;
        return Ok(());
    }
    Err(format!("{kind} {id} has no tag {key:?}: keys are compared in their exact letters here")
        .into())
}
