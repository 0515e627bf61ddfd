//! `backup` and `restore`.
//!
//! Data flow of a backup: the lock on the directory -> free: a snapshot is made here; held: by the
//! gateway that runs, asked by its local socket -> one new file -> the snapshot is removed.
//!
//! # Invariants
//! - The file appears under its name when it is whole and on the disk; it is readable by its owner
//!   only.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use towline_gateway::backup::file::{self, List};
use towline_gateway::backup::restore::{self as restoring, Target};
use towline_gateway::backup::sealed::{self, Opening, Sealing};
use towline_gateway::backup::snapshot;
use towline_gateway::config::{self, Config};
use towline_gateway::local::{self, Answer, Order};
use towline_host::clock::Clock;
use towline_host::files;
use towline_host::lock::{DirLock, LockError};

use crate::Failure;
use crate::args::{Backup, Restore};

/// Name of the file with what `restore` had to say.
const REPORT: &str = "restore-report.txt";
/// Largest key file, bytes.
const MAX_KEY: u64 = 64 * 1024;

/// Writes a backup.
pub(crate) async fn backup(options: &Backup) -> Result<(), Failure> {
    let Backup { dir, out, with_keys, encrypt_to } = options;
    if crate::taken(out) {
        return Err(format!("{} is there already: name a new file", out.display()).into());
    }
    let key = encrypt_to.as_deref().map(key_file).transpose()?;
    let config = Config::load(dir)?;
    let made = Clock::system().now();
    let folder = match DirLock::take(dir) {
        Ok(_lock) => snapshot::of_stopped(dir).await?,
        Err(LockError::Held(_)) => asked(dir).await?,
        Err(error) => return Err(error.into()),
    };
    let written = pack(dir, &config, &folder, *with_keys)
        .and_then(|files| write(dir, out, made.0, &files, key.as_ref().map(|key| key.as_slice())));
    let _ = fs::remove_dir_all(&folder); // the next backup or start removes what stays
    let list = written?;
    let bytes: u64 = list.entries.iter().map(|entry| entry.length).sum();
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}: {} files, {bytes} bytes", out.display(), list.entries.len())?;
    if *with_keys {
        writeln!(stdout, "It holds the keys of the gateway: who reads it owns the fleet.")?;
    } else {
        writeln!(
            stdout,
            "It holds no keys. Keep copies of {}, {}, {} and the server's key elsewhere: without \
             them it \
             cannot be restored.",
            config::STORE_KEY,
            config::AUTHORITY_KEY,
            towline_archive::KEY
        )?;
    }
    Ok(())
}

async fn asked(dir: &Path) -> Result<PathBuf, Failure> {
    let path = dir.join(local::SOCKET);
    let answer = local::ask(dir, Order::Snapshot).await.map_err(|error| {
        format!("a gateway works in {}, but {}: {error}", dir.display(), path.display())
    })?;
    match answer {
        Answer::Snapshot(folder) => Ok(folder),
        Answer::Failed(why) => Err(why.into()),
        _ => Err("the gateway answered something else: is it of another version?".into()),
    }
}

/// Names and places of what goes into a backup.
fn pack(
    dir: &Path,
    config: &Config,
    folder: &Path,
    with_keys: bool,
) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut names = vec![
        config::FILE.to_owned(),
        config::CA.to_owned(),
        towline_archive::PUBLIC_KEY.to_owned(),
    ];
    let inside = |path: &Path| path.strip_prefix(dir).ok().map(|name| name.display().to_string());
    names.extend(inside(&config.tls_certificate));
    names.extend(config.outbound.ca.as_deref().and_then(inside));
    if with_keys {
        names.extend(
            [config::STORE_KEY, config::AUTHORITY_KEY, towline_archive::KEY, config::CA_KEY]
                .map(str::to_owned),
        );
        names.extend(inside(&config.tls_key));
    }
    names.sort_unstable();
    names.dedup();
    let mut files: Vec<(String, PathBuf)> = names
        .into_iter()
        .map(|name| (name.clone(), dir.join(name)))
        .filter(|(_, path)| path.is_file())
        .collect();
    files.extend(file::below(folder, "")?);
    Ok(files)
}

fn write(
    dir: &Path,
    out: &Path,
    made: i64,
    files: &[(String, PathBuf)],
    key: Option<&[u8]>,
) -> Result<List, Failure> {
    let store_key = zeroize::Zeroizing::new(files::read(&dir.join(config::STORE_KEY), MAX_KEY)?);
    let mut name = out.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let temporary = PathBuf::from(name);
    let written = create(&temporary)
        .map_err(Failure::from)
        .and_then(|file| fill(file, made, files, &store_key, key))
        // A hard link, because a rename would replace a file that came meanwhile.
        .and_then(|list| Ok(fs::hard_link(&temporary, out).map(|()| list)?));
    let _ = fs::remove_file(&temporary);
    written.map_err(|error| format!("cannot write {}: {error}", out.display()).into())
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn fill(
    file: File,
    made: i64,
    files: &[(String, PathBuf)],
    store_key: &[u8],
    key: Option<&[u8]>,
) -> Result<List, Failure> {
    let mut to = BufWriter::new(file);
    let list = match key {
        None => file::write(&mut to, made, files, store_key)?,
        Some(key) => {
            let mut sealing = Sealing::new(&mut to, key)?;
            let list = file::write(&mut sealing, made, files, store_key)?;
            sealing.finish()?;
            list
        }
    };
    to.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(list)
}

/// The bytes of a key file.
fn key_file(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, Failure> {
    let key = zeroize::Zeroizing::new(files::read(path, MAX_KEY)?);
    if key.len() < sealed::LEAST_KEY {
        let (path, least) = (path.display(), sealed::LEAST_KEY);
        return Err(format!(
            "{path} has fewer than {least} bytes: make a key with `head -c 32 /dev/urandom > FILE`"
        )
        .into());
    }
    Ok(key)
}

/// Makes a directory from a backup.
pub(crate) async fn restore(options: &Restore) -> Result<(), Failure> {
    let Restore { dir, from, keys, decrypt_with, store, store_password_file } = options;
    let password = store_password_file.as_deref().map(std::path::absolute).transpose()?;
    let target = match store.as_deref() {
        None => Target::AsBefore,
        Some("file") => Target::File,
        Some(url) => Target::Server(url.to_owned(), password),
    };
    let unreadable = |error| format!("cannot read {}: {error}", from.display());
    let mut file = BufReader::new(File::open(from).map_err(unreadable)?);
    let is_sealed = file.fill_buf().map_err(unreadable)?.starts_with(sealed::FORM);
    let (clock, keys) = (Clock::system(), keys.as_deref());
    let restored = match (is_sealed, decrypt_with) {
        (true, Some(key)) => {
            file.consume(sealed::FORM.len());
            let opening = Opening::new(file, &key_file(key)?).map_err(unreadable)?;
            restoring::restore(opening, dir, keys, &target, &clock).await?
        }
        (true, None) => {
            return Err("the backup is encrypted: name its key file (--decrypt-with)".into());
        }
        (false, Some(_)) => {
            return Err("the backup is not encrypted: leave --decrypt-with out".into());
        }
        (false, None) => restoring::restore(file, dir, keys, &target, &clock).await?,
    };
    let report = restored.report();
    files::create_private(&dir.join(REPORT), report.as_bytes())?;
    writeln!(
        std::io::stdout(),
        "{report}\nThe same is in {}. Start the gateway: towline-gateway serve --dir {}",
        dir.join(REPORT).display(),
        dir.display()
    )?;
    Ok(())
}
