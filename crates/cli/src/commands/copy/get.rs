//! Copies from the device to this machine.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use towline_wire::copy::{Entry, Kind};

use super::progress::Progress;
use super::put::bytes_of;
use crate::limits::FILE_READ;
use crate::output::complain;
use crate::session::{Copier, CopyError};
use crate::terminal::printable;

fn local(path: &Path) -> impl FnOnce(std::io::Error) -> CopyError {
    let path = path.to_owned();
    |why| CopyError::Local { path, why }
}

/// Copies a file, or a folder with all that is in it. How many things were left out.
pub(super) async fn all(
    copier: &mut Copier<'_>,
    path: &str,
    destination: &Path,
    recursive: bool,
    progress: &mut Progress,
) -> Result<usize, CopyError> {
    let there = copier.look(path).await?;
    let refuse = |why: &str| CopyError::Device { path: path.to_owned(), why: why.to_owned() };
    match there.kind {
        Kind::File => {}
        Kind::Folder if recursive => {}
        Kind::Folder => return Err(refuse("is a directory: use --recursive to copy it")),
        Kind::Nothing => return Err(refuse("no such file or directory")),
        Kind::Other => return Err(refuse("not a file or directory")),
    }
    let name = Path::new(path).file_name().unwrap_or_else(|| "device".as_ref());
    let target = if destination.is_dir() { destination.join(name) } else { destination.to_owned() };
    let mut left_out = 0;
    let mut todo: Vec<(String, PathBuf, Entry)> = vec![(path.to_owned(), target, there)];
    while let Some((path, target, entry)) = todo.pop() {
        match entry.kind {
            Kind::File => file(copier, &path, &target, entry, progress).await?,
            Kind::Folder => {
                folder(&target, entry.mode)?;
                let (found, unnamed) = copier.list(&path).await?;
                if unnamed > 0 {
                    complain(&format!(
                        "skipping {unnamed} entries of {path}: their names are not UTF-8"
                    ));
                    left_out += unnamed as usize;
                }
                for (name, entry) in found.into_iter().rev() {
                    todo.push((
                        format!("{}/{name}", path.trim_end_matches('/')),
                        target.join(&name),
                        entry,
                    ));
                }
            }
            Kind::Nothing | Kind::Other => {
                let shown = printable(&path);
                complain(&format!("skipping {shown}: not a file or directory"));
                left_out += 1;
            }
        }
    }
    Ok(left_out)
}

/// Makes a folder. One that is a link is none: it could lead anywhere.
fn folder(target: &Path, mode: u32) -> Result<(), CopyError> {
    match fs::symlink_metadata(target) {
        Ok(what) if what.is_dir() => return Ok(()),
        Ok(_) => {
            let why = std::io::Error::other("exists and is not a directory");
            return Err(CopyError::Local { path: target.to_owned(), why });
        }
        Err(_) => fs::create_dir(target).map_err(local(target))?,
    }
    fs::set_permissions(target, fs::Permissions::from_mode(mode & 0o777 | 0o700))
        .map_err(local(target))
}

async fn file(
    copier: &mut Copier<'_>,
    path: &str,
    target: &Path,
    entry: Entry,
    progress: &mut Progress,
) -> Result<(), CopyError> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let part = target.with_file_name(format!(".{name}.towline-part"));
    // What an earlier copy left may be of another content: then the digest is wrong, and it begins
    // anew, once.
    for fresh in [false, true] {
        let (mut out, mut digest, have) = open(&part, fresh, entry.size)?;
        progress.file(path, entry.size, have);
        let told = copier.read(path, have, |data| {
            digest.update(data);
            progress.more(data.len());
            out.write_all(data).map_err(local(&part))
        });
        let told = told.await?;
        if told == bytes_of(digest) {
            out.set_permissions(fs::Permissions::from_mode(entry.mode & 0o777))
                .map_err(local(&part))?;
            out.sync_all().map_err(local(&part))?;
            fs::rename(&part, target).map_err(local(target))?;
            progress.done();
            return Ok(());
        }
        if have == 0 {
            break;
        }
    }
    let _ = fs::remove_file(&part);
    let why = "digest mismatch: the received content was discarded".to_owned();
    Err(CopyError::Device { path: path.to_owned(), why })
}

/// The partial file, the digest of what is in it, and how much that is.
fn open(part: &Path, fresh: bool, size: u64) -> Result<(File, Context, u64), CopyError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(fresh).mode(0o600);
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    let mut file = options.open(part).map_err(local(part))?;
    if file.metadata().map_err(local(part))?.len() > size {
        file.set_len(0).map_err(local(part))?;
    }
    let (mut digest, mut have, mut buffer) = (Context::new(&SHA256), 0, vec![0; FILE_READ]);
    loop {
        let n = file.read(&mut buffer).map_err(local(part))?;
        if n == 0 {
            return Ok((file, digest, have));
        }
        digest.update(&buffer[..n]);
        have += n as u64;
    }
}
