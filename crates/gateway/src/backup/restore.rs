//! A directory made from a backup.
//!
//! Data flow: the file -> a folder beside the directory -> checked, keys added, the past ended in
//! the store, the chain's new part named -> the store copied to its server, if it has one -> the
//! folder takes the directory's name.
//!
//! # Invariants
//! - A backup goes back in time. What may have been used up, ended or revoked since then cannot be
//!   used: activations, access requests, temporary credentials, sessions; commands that were open
//!   are not run again.
//! - Until all of that is done there is no directory that a gateway could start in.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use towline_archive::{KEY as EVIDENCE_KEY, PUBLIC_KEY, Part};
use towline_host::clock::{Clock, UnixMillis};
use towline_host::files;
use towline_store::{Store, StoreError, Voided, copy_to_server, void};
use towline_wire::text::plain;

use super::file::{self, BackupError, List, disk};
use super::snapshot::EVIDENCE;
use crate::audit::{AuditLog, Event};
use crate::config::{self, Config, ConfigError, StorePlace};
use crate::run_command::StepState;

/// Largest key file, bytes.
const MAX_KEY: u64 = 64 * 1024;

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is something.
    #[error("{} is not empty: a backup is restored into a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A file.
    #[error(transparent)]
    File(#[from] files::FileError),
    /// The configuration in the backup.
    #[error("the backup's configuration does not hold: {0}")]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The backup's list.
    pub list: List,
    /// What was ended, and who is to be checked.
    pub voided: Voided,
    /// The chain's new part.
    pub part: Part,
    /// Its name.
    pub node: String,
}

/// Where the store goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// Where the `gateway.toml` of the backup says.
    AsBefore,
    /// Into a file in the directory.
    File,
    /// Into this database, which holds nothing; with the file of its password.
    Server(String, Option<PathBuf>),
}

/// Restores a backup into `dir`. `keys`: the folder with the keys that the backup does not have.
///
/// # Errors
/// [`RestoreError`]; `dir` is as it was.
pub async fn restore(
    from: impl Read,
    dir: &Path,
    keys: Option<&Path>,
    target: &Target,
    clock: &Clock,
) -> Result<Restored, RestoreError> {
    let owner = match fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(RestoreError::NotEmpty(dir.to_owned()));
            }
            let meta = fs::metadata(dir).map_err(disk("cannot read", dir))?;
            Some((meta.uid(), meta.gid()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(disk("cannot read", dir)(error).into()),
    };
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".restoring-{}", std::process::id()));
    let folder = dir.with_file_name(name);
    files::private_dir(&folder)?;
    let made = prepare(from, &folder, keys, target, clock).await;
    let made = made.and_then(|made| {
        if let Some(owner) = owner {
            own(&folder, owner).map_err(disk("cannot set the owner of", &folder))?;
        }
        // Over an empty directory, or over nothing.
        fs::rename(&folder, dir).map_err(disk("cannot make", dir))?;
        Ok(made)
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&folder); // the error is what matters
    }
    made
}

async fn prepare(
    from: impl Read,
    folder: &Path,
    keys: Option<&Path>,
    target: &Target,
    clock: &Clock,
) -> Result<Restored, RestoreError> {
    let given = |name: &str| keys.map(|keys| keys.join(name)).filter(|path| path.exists());
    let store_key = given(config::STORE_KEY).map(|path| files::read(&path, MAX_KEY)).transpose()?;
    let list = file::unpack(from, folder, store_key.as_deref())?;
    name_the_store(&folder.join(config::FILE), target)?;
    let config = Config::load(folder)?;
    let mut needed = vec![config::STORE_KEY, config::AUTHORITY_KEY];
    if folder.join(PUBLIC_KEY).exists() {
        needed.push(EVIDENCE_KEY);
    }
    for name in needed {
        if !folder.join(name).exists() {
            copy_key(&given(name).ok_or(BackupError::NoKey(name))?, &folder.join(name))?;
        }
    }
    for name in [config::CA_KEY, config::SERVER_KEY] {
        if let Some(path) = given(name).filter(|_| !folder.join(name).exists()) {
            copy_key(&path, &folder.join(name))?;
        }
    }
    if config.tls_key.starts_with(folder) && !config.tls_key.exists() {
        return Err(BackupError::NoKey(config::SERVER_KEY).into());
    }
    let home = folder.join(EVIDENCE);
    let node = config.evidence.configured_node();
    let part =
        Part::after(&home, node, list.made).map_err(disk("cannot read the chain in", &home))?;
    // What was closed of the old chain is in the sink, or waits in the outbox.
    fs::remove_dir_all(home.join("chain")).map_err(disk("cannot clear", &home))?;
    part.write(&home).map_err(disk("cannot write to", &home))?;
    let store = Store::open_existing(&folder.join(config::STORE)).await?;
    let now = clock.now();
    let voided = void(&store, now, |steps, why| not_known(steps, why, now)).await?;
    note(&store, clock, &list, &voided).await;
    store.close().await;
    if let StorePlace::Server(address) = &config.store {
        let file = folder.join(config::STORE);
        copy_to_server(&file, address).await?;
        fs::remove_file(&file).map_err(disk("cannot remove", &file))?;
        for log in ["towline.db-wal", "towline.db-shm"] {
            let _ = fs::remove_file(folder.join(log)); // SQLite has removed it, as a rule
        }
    }
    Ok(Restored { list, voided, node: part.name(node), part })
}

/// Lets `gateway.toml` name where the store goes.
fn name_the_store(file: &Path, target: &Target) -> Result<(), RestoreError> {
    let text = fs::read_to_string(file).map_err(disk("cannot read", file))?;
    let text = match target {
        Target::AsBefore => return Ok(()),
        Target::File => config::in_file(&text),
        Target::Server(url, password) => config::on_server(&text, url, password.as_deref()),
    };
    Ok(config::replace(file, &text)?)
}

fn copy_key(from: &Path, to: &Path) -> Result<(), RestoreError> {
    let bytes = zeroize::Zeroizing::new(files::read(from, MAX_KEY)?);
    Ok(files::create_private(to, &bytes)?)
}

async fn note(store: &Store, clock: &Clock, list: &List, voided: &Voided) {
    let (audit, task) = AuditLog::start(store.clone(), clock.clone());
    audit
        .write(Event {
            source: "towline",
            name: "GatewayRestored".to_owned(),
            source_ip: "local".to_owned(),
            facts: vec![
                ("backupMade", UnixMillis(list.made).to_rfc3339()),
                ("sessionsEnded", voided.sessions.to_string()),
                ("commandsNotKnown", voided.invocations.to_string()),
                ("uid", nix::unistd::geteuid().to_string()),
            ],
            ..Event::default()
        })
        .await;
    drop(audit);
    let _ = task.await; // the row is stored, or its loss was logged
}

/// Steps that had not ended: nobody knows how they did.
fn not_known(steps: &str, why: &str, now: UnixMillis) -> String {
    let Ok(mut all) = serde_json::from_str::<Vec<StepState>>(steps) else {
        return steps.to_owned();
    };
    for step in all.iter_mut().filter(|step| step.ended.is_none()) {
        step.status = towline_ssm::api::command::CommandStatus::TimedOut;
        step.details = "ExecutionTimedOut".to_owned();
        step.reason = Some(why.to_owned());
        step.ended = Some(now.0);
    }
    serde_json::to_string(&all).unwrap_or_else(|_| steps.to_owned())
}

/// Gives all of a folder to the user that the directory belonged to.
///
/// A file that is gone needs no owner: SQLite removes its log after the last connection has closed,
/// and a thread of its own closes it.
fn own(folder: &Path, owner: (u32, u32)) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            own(&path, owner)?;
        } else {
            own_file(&path, owner)?;
        }
    }
    chown(folder, Some(owner.0), Some(owner.1))
}

fn own_file(path: &Path, (uid, gid): (u32, u32)) -> std::io::Result<()> {
    match chown(path, Some(uid), Some(gid)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

impl Restored {
    /// What an administrator has to know and to do.
    #[must_use]
    pub fn report(&self) -> String {
        let Voided { activations, access_requests, sessions, invocations, .. } = &self.voided;
        let Voided { notifications, providers, webhooks, devices, users, .. } = &self.voided;
        let mut text = format!(
            "Restored from the backup of {}.\n\nEnded, because the backup cannot know what became \
             of \
             them:\n  {activations} activations, {access_requests} access requests, {sessions} \
             sessions, \
             all temporary credentials\n  {invocations} commands on devices: their outcome is not \
             known, and they are not run again\n  {notifications} notifications: they may have \
             been \
             sent; `towline admin webhook resend` sends them\nRecords go on as {} and follow \
             those of {}.\n",
            UnixMillis(self.list.made).to_rfc3339(),
            self.node,
            self.part.node,
        );
        text.push_str(
            "\nCheck again: what was removed, disabled or revoked after the backup is there \
             again.\n",
        );
        text.push_str(&format!("\nUsers with active access keys ({}):\n", users.len()));
        for (name, keys) in users {
            text.push_str(&format!("  {name}: {keys}\n"));
        }
        text.push_str(&format!("\nIdentity providers ({}), with people:\n", providers.len()));
        for (name, people) in providers {
            text.push_str(&format!("  {name}: {people}\n"));
        }
        text.push_str(&format!("\nReceivers of notifications ({}):\n", webhooks.len()));
        for (name, host) in webhooks {
            text.push_str(&format!("  {name}: {}\n", plain(host, host.len())));
        }
        text.push_str(&format!("\nDevices ({}):\n", devices.len()));
        for (id, name, status) in devices {
            let name = plain(name, name.len());
            text.push_str(&format!("  {id} {name}: {status}\n"));
        }
        text.push_str(
            "\nDevices that were enrolled, or got a new key, after the backup must be enrolled \
             again.\n",
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_goes_while_its_owner_is_set_stops_nothing() {
        let folder = std::env::temp_dir();
        let me = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        own_file(&folder.join(format!("gone-{}", std::process::id())), me).unwrap();
        own_file(&folder.join("no/such/folder"), me).unwrap();
        assert!(own_file(Path::new("/dev/null/file"), me).is_err());
    }
}
