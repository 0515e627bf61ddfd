//! Copies from this machine to the device.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use towline_wire::copy::Kind;

use super::progress::Progress;
use crate::exit::Failure;
use crate::limits::FILE_READ;
use crate::output::complain;
use crate::session::{Copier, CopyError};

fn local(path: &Path) -> impl FnOnce(std::io::Error) -> CopyError {
    let path = path.to_owned();
    |why| CopyError::Local { path, why }
}

/// What can be said before there is a session.
pub(super) fn check(source: &Path, recursive: bool) -> Result<(), Failure> {
    let what = fs::metadata(source)
        .map_err(|why| Failure::Local { what: source.display().to_string(), why })?;
    match (what.is_dir(), recursive) {
        (true, false) => Err(Failure::Usage(format!(
            "{} is a directory: use --recursive to copy it",
            source.display()
        ))),
        _ => Ok(()),
    }
}

/// Copies a file, or a folder with all that is in it. How many things were left out.
pub(super) async fn all(
    copier: &mut Copier<'_>,
    source: &Path,
    path: &str,
    progress: &mut Progress,
) -> Result<usize, CopyError> {
    // Into a folder that is there, under its own name; else as that.
    let there = copier.look(path).await?;
    let target = match (there.kind, source.file_name().and_then(|name| name.to_str())) {
        (Kind::Folder, Some(name)) => below(path, name),
        _ => path.to_owned(),
    };
    let mut left_out = 0;
    let mut todo: Vec<(PathBuf, String)> = vec![(source.to_owned(), target)];
    while let Some((source, target)) = todo.pop() {
        let what = fs::metadata(&source).map_err(local(&source))?;
        if what.is_file() {
            file(copier, &source, &target, &what, progress).await?;
            continue;
        }
        copier.folder(&target, what.permissions().mode() & 0o777).await?;
        for found in fs::read_dir(&source).map_err(local(&source))? {
            let found = found.map_err(local(&source))?;
            let kind = found.file_type().map_err(local(&source))?;
            match found.file_name().to_str() {
                Some(name) if kind.is_file() || kind.is_dir() => {
                    todo.push((found.path(), below(&target, name)))
                }
                _ => {
                    complain(&format!(
                        "skipping {}: not a file or directory, or its name is not UTF-8",
                        found.path().display()
                    ));
                    left_out += 1;
                }
            }
        }
    }
    Ok(left_out)
}

fn below(path: &str, name: &str) -> String {
    format!("{}/{name}", path.trim_end_matches('/'))
}

async fn file(
    copier: &mut Copier<'_>,
    source: &Path,
    target: &str,
    what: &fs::Metadata,
    progress: &mut Progress,
) -> Result<(), CopyError> {
    let mut file = File::open(source).map_err(local(source))?;
    let (digest, size) = digest_of(&mut file, u64::MAX).map_err(local(source))?;
    let have = copier.write(target, what.permissions().mode() & 0o777, size, digest).await?;
    progress.file(&source.display().to_string(), size, have);
    file.seek(SeekFrom::Start(have)).map_err(local(source))?;
    let (mut at, mut buffer) = (have, vec![0; FILE_READ]);
    while at < size {
        let most = usize::try_from(size - at).unwrap_or(FILE_READ).min(FILE_READ);
        let n = file.read(&mut buffer[..most]).map_err(local(source))?;
        if n == 0 {
            break; // it has become shorter: the digest tells
        }
        copier.content(target, at, &buffer[..n]).await?;
        at += n as u64;
        progress.more(n);
    }
    copier.whole(target, digest).await?;
    progress.done();
    Ok(())
}

/// SHA-256 of at most so many bytes from where the file stands, and how many there were.
pub(super) fn digest_of(file: &mut File, most: u64) -> std::io::Result<([u8; 32], u64)> {
    let (mut digest, mut size, mut buffer) = (Context::new(&SHA256), 0, vec![0; FILE_READ]);
    let mut file = file.take(most);
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        digest.update(&buffer[..n]);
        size += n as u64;
    }
    Ok((bytes_of(digest), size))
}

/// A finished digest.
pub(super) fn bytes_of(digest: Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref()); // SHA-256 has 32
    bytes
}
