//! The form of a backup: a line with a name, a line with the list, a line with its seal, then the
//! bytes of all entries.
//!
//! ```text
//! towline-backup 1
//! {"made":1764374400000,"node":"gateway","entries":[{"name":"towline.db","length":9,"sha256":"…"},…]}
//! <HMAC-SHA256 of the list under a key made of store.key, hex>
//! <bytes of the first entry><bytes of the second>…
//! ```
//!
//! # Invariants
//! - A file that was cut, extended or altered is refused: the list has the digest of each entry,
//!   and the seal is that of the list.
//! - No name leads out of the folder that is unpacked into.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use ring::digest::{Context, SHA256};
use ring::hmac;
use serde::{Deserialize, Serialize};
use towline_host::files;

use crate::config;

/// First line of a file.
const FORM: &str = "towline-backup 1";
/// Longest list, bytes: some 300,000 entries.
const MAX_LIST: u64 = 64 * 1024 * 1024;
/// What the key of the seal is made for.
const PURPOSE: &[u8] = b"towline backup 1";
/// Bytes that are copied at once.
const BLOCK: usize = 64 * 1024;

/// Why a file is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is something else.
    #[error("this is not a backup of a Towline gateway: it begins with something else")]
    NotABackup,
    /// It is not what was written.
    #[error("the backup was cut or altered ({0}): nothing of it was restored. Use another copy")]
    Damaged(String),
    /// The key that it needs is missing.
    #[error("the backup has no {0}: name the folder with the keys of the gateway (--keys FOLDER)")]
    NoKey(&'static str),
    /// A file.
    #[error("{0}")]
    File(#[from] files::FileError),
    /// The disk.
    #[error("{doing} {}: {source}", path.display())]
    Disk {
        /// What failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

pub(super) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Disk { doing, path, source }
}

/// The list of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct List {
    /// When it was made, ms since 1970.
    pub made: i64,
    /// Version of the program that made it.
    pub version: String,
    /// Its entries, in their order.
    pub entries: Vec<Entry>,
}

/// One file of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Path in the gateway's directory.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// Writes a backup of these files (name, place).
///
/// # Errors
/// [`BackupError`].
pub fn write(
    to: &mut impl Write,
    made: i64,
    files: &[(String, PathBuf)],
    store_key: &[u8],
) -> Result<List, BackupError> {
    let mut entries = Vec::with_capacity(files.len());
    for (name, path) in files {
        let (length, sha256) = digest(path).map_err(disk("cannot read", path))?;
        entries.push(Entry { name: name.clone(), length, sha256 });
    }
    let list = List { made, version: env!("CARGO_PKG_VERSION").to_owned(), entries };
    let text =
        serde_json::to_string(&list).map_err(|error| BackupError::Damaged(error.to_string()))?;
    let seal = hex(hmac::sign(&sealing(store_key), text.as_bytes()).as_ref());
    let out = Path::new("the backup");
    writeln!(to, "{FORM}\n{text}\n{seal}").map_err(disk("cannot write", out))?;
    for ((_, path), entry) in files.iter().zip(&list.entries) {
        let file = File::open(path).map_err(disk("cannot read", path))?;
        let copied =
            io::copy(&mut file.take(entry.length), to).map_err(disk("cannot write", out))?;
        if copied != entry.length {
            return Err(BackupError::Damaged(format!("{} became shorter meanwhile", entry.name)));
        }
    }
    Ok(list)
}

/// Unpacks a backup into a folder that is there and empty, and checks all of it. `store_key`: the
/// key where the backup has none. On an error the folder holds nothing to be used.
///
/// # Errors
/// [`BackupError`].
pub fn unpack(
    from: impl Read,
    folder: &Path,
    store_key: Option<&[u8]>,
) -> Result<List, BackupError> {
    let mut from = BufReader::with_capacity(BLOCK, from);
    if line(&mut from, FORM.len() as u64 + 1)?.as_deref() != Some(FORM) {
        return Err(BackupError::NotABackup);
    }
    let damaged = |what: &str| BackupError::Damaged(what.to_owned());
    let text = line(&mut from, MAX_LIST)?.ok_or_else(|| damaged("its list"))?;
    let seal = line(&mut from, 65)?.ok_or_else(|| damaged("its seal"))?;
    let list: List = serde_json::from_str(&text).map_err(|_| damaged("its list"))?;
    for entry in &list.entries {
        unpack_one(&mut from, folder, entry)?;
    }
    if !from.fill_buf().map_err(unreadable)?.is_empty() {
        return Err(damaged("bytes behind its end"));
    }
    let own = folder.join(config::STORE_KEY);
    let key =
        if own.exists() { Some(files::read(&own, 4096)?) } else { store_key.map(<[u8]>::to_vec) };
    let key = zeroize::Zeroizing::new(key.ok_or(BackupError::NoKey(config::STORE_KEY))?);
    let seal = unhex(&seal).ok_or_else(|| damaged("its seal"))?;
    hmac::verify(&sealing(&key), text.as_bytes(), &seal)
        .map_err(|_| damaged("its seal is not that of this store.key"))?;
    Ok(list)
}

fn unreadable(source: io::Error) -> BackupError {
    // What decrypts the file says here that it was altered.
    if source.kind() == io::ErrorKind::InvalidData {
        return BackupError::Damaged(source.to_string());
    }
    BackupError::Disk { doing: "cannot read", path: PathBuf::from("the backup"), source }
}

/// A line of at most so many bytes, without its end; `None` when it does not end.
fn line(from: &mut impl BufRead, most: u64) -> Result<Option<String>, BackupError> {
    let mut bytes = Vec::new();
    from.take(most).read_until(b'\n', &mut bytes).map_err(unreadable)?;
    let ended = bytes.pop() == Some(b'\n');
    Ok(String::from_utf8(bytes).ok().filter(|_| ended))
}

fn unpack_one(from: &mut impl Read, folder: &Path, entry: &Entry) -> Result<(), BackupError> {
    let path = Path::new(&entry.name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || entry.name.is_empty() {
        return Err(BackupError::Damaged("a name that leads elsewhere".to_owned()));
    }
    let target = folder.join(path);
    if let Some(parent) = target.parent() {
        files::private_dir(parent)?;
    }
    let failed = || disk("cannot write", &target);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&target)
        .map_err(failed())?;
    let (mut left, mut context, mut block) = (entry.length, Context::new(&SHA256), vec![0; BLOCK]);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let n = from.read(&mut block[..most]).map_err(unreadable)?;
        if n == 0 {
            return Err(BackupError::Damaged(format!("it ends within {}", entry.name)));
        }
        context.update(&block[..n]);
        file.write_all(&block[..n]).map_err(failed())?;
        left -= n as u64;
    }
    file.sync_all().map_err(failed())?;
    if hex(context.finish().as_ref()) != entry.sha256 {
        return Err(BackupError::Damaged(entry.name.clone()));
    }
    Ok(())
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut context) = (File::open(path)?, Context::new(&SHA256));
    let (mut block, mut length) = (vec![0; BLOCK], 0);
    loop {
        match file.read(&mut block)? {
            0 => return Ok((length, hex(context.finish().as_ref()))),
            n => {
                context.update(&block[..n]);
                length += n as u64;
            }
        }
    }
}

fn sealing(store_key: &[u8]) -> hmac::Key {
    let of_store = hmac::Key::new(hmac::HMAC_SHA256, store_key);
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&of_store, PURPOSE).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

/// All files below a folder, as names and places.
///
/// # Errors
/// The disk's.
pub fn below(folder: &Path, prefix: &str) -> Result<Vec<(String, PathBuf)>, BackupError> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(disk("cannot read", folder))?,
    };
    for entry in entries {
        let path = entry.map_err(disk("cannot read", folder))?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            found.extend(below(&path, &format!("{name}/"))?);
        } else {
            found.push((name, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = &[7; 32];

    /// A backup of two files.
    fn packed() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        files::create_private(&dir.path().join("a/one"), b"first").unwrap();
        files::create_private(&dir.path().join("two"), &[9; 100_000]).unwrap();
        let mut bytes = Vec::new();
        write(&mut bytes, 5, &below(dir.path(), "").unwrap(), KEY).unwrap();
        bytes
    }

    fn unpacked(bytes: &[u8], key: &[u8]) -> Result<(tempfile::TempDir, List), BackupError> {
        let dir = tempfile::tempdir().unwrap();
        let list = unpack(bytes, dir.path(), Some(key))?;
        Ok((dir, list))
    }

    #[test]
    fn a_backup_comes_back_byte_by_byte() {
        let (dir, list) = unpacked(&packed(), KEY).unwrap();
        assert_eq!((list.made, list.entries.len()), (5, 2));
        assert_eq!(fs::read(dir.path().join("a/one")).unwrap(), b"first");
        assert_eq!(fs::read(dir.path().join("two")).unwrap(), vec![9; 100_000]);
    }

    #[test]
    fn a_backup_that_was_cut_altered_or_extended_anywhere_is_refused() {
        let whole = packed();
        let head = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(2).unwrap().0 + 20;
        let places: Vec<usize> = (0..head).chain([whole.len() / 2, whole.len() - 1]).collect();
        for at in &places {
            assert!(unpacked(&whole[..*at], KEY).is_err(), "cut at {at}");
            let mut altered = whole.clone();
            altered[*at] ^= 1;
            assert!(unpacked(&altered, KEY).is_err(), "altered at {at}");
        }
        assert!(unpacked(&[&whole[..], b"x"].concat(), KEY).is_err());
        let other = unpacked(&whole, &[8; 32]).unwrap_err().to_string();
        assert!(other.contains("not that of this store.key"), "{other}");
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for name in ["../x", "/x", "a/../../x", ""] {
            let dir = tempfile::tempdir().unwrap();
            let entry = Entry { name: name.into(), length: 0, sha256: String::new() };
            let refused = unpack_one(&mut io::empty(), dir.path(), &entry).unwrap_err();
            assert!(matches!(refused, BackupError::Damaged(_)), "{name}: {refused}");
        }
    }

    #[test]
    fn another_file_is_told_from_a_damaged_backup() {
        for other in [&b"PK\x03\x04"[..], b"", b"not a backup at all, but a text\n"] {
            let refused = unpacked(other, KEY).unwrap_err();
            assert!(matches!(refused, BackupError::NotABackup), "{other:?}: {refused}");
        }
    }
}
