//! Copies from this machine to the device.
//!
//! # Invariants
//! - Directories and the digests of long files are read on another thread: the session goes on
//!   while a large or slow source is read.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use towline_files::{Fault, bytes_of, partial_name};
use towline_wire::copy::{Kind, mark_of};

use super::itself::Before;
use super::job::{Failed, Job, Left, Reach};
use super::stream;
use crate::exit::Failure;
use crate::limits::FILE_READ;
use crate::platform::{self, Source};
use crate::session::{Copier, CopyError};

/// Something here, and where it goes.
struct Item {
    source: PathBuf,
    target: String,
    /// The directories that it is in, where links are followed.
    above: Vec<platform::Identity>,
    is_folder: bool,
}

/// A directory, as it was read.
struct Listed {
    /// Names, and what stands there.
    entries: Vec<(OsString, io::Result<fs::FileType>)>,
    mode: u32,
    /// Asked for where links are followed.
    identity: Option<platform::Identity>,
}

/// Files up to so many bytes are read for their digest at once.
const SHORT: u64 = 1024 * 1024;

/// Work on another thread, while the session goes on.
async fn aside<T: Send + 'static>(
    copier: &mut Copier<'_>,
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CopyError> {
    let done = copier.meanwhile(tokio::task::spawn_blocking(work)).await?;
    done.map_err(|why| CopyError::Local {
        path: path.to_owned(),
        why: io::Error::other(why).into(),
    })
}

/// What can be said before there is a session.
pub(super) fn check(source: &Path, recursive: bool) -> Result<(), Failure> {
    let local = |why| Failure::Local { what: source.display().to_string(), why };
    let what = fs::metadata(source).map_err(local)?;
    if what.is_dir() && !recursive {
        return Err(Failure::Usage(format!(
            "{} is a directory: use --recursive to copy it",
            source.display()
        )));
    }
    if platform::is_socket(&what) {
        return Err(local(io::Error::other("it is a socket: it has no content to copy")));
    }
    Ok(())
}

/// Copies a file, a stream, or a directory with all that is in it.
pub(super) async fn all(
    copier: &mut Copier<'_>,
    source: &Path,
    path: &str,
    job: &mut Job,
) -> Result<(), CopyError> {
    let there = copier.look(path).await?;
    let what = fs::metadata(source)
        .map_err(|why| CopyError::Local { path: source.to_owned(), why: why.into() })?;
    if there.kind == Kind::Other && !copier.is_careful() {
        let why = "not a file or directory, and its agent is too old to write into it".to_owned();
        return Err(CopyError::Device { path: path.to_owned(), why });
    }
    if !what.is_dir() && job.into_directory && there.kind != Kind::Folder {
        let why = "not a directory".to_owned();
        return Err(CopyError::Device { path: path.to_owned(), why });
    }
    if !what.is_file() && !what.is_dir() {
        return stream::put(copier, source, path, there.kind, job).await;
    }
    source.clone_into(&mut job.root);
    // Into a directory that is there, under its own name; else as that.
    let target = match (there.kind, source.file_name().and_then(|name| name.to_str())) {
        (Kind::Folder, Some(name)) => below(path, name),
        _ => path.to_owned(),
    };
    // An older agent gives an existing file the mode that it is told.
    let mode = (there.kind == Kind::File && !copier.is_careful()).then_some(there.mode);
    let before = {
        let (source, follow) = (source.to_owned(), job.follow);
        aside(copier, &job.root, move || Before::read(&source, follow)).await?
    };
    let is_folder = what.is_dir();
    let mut todo = vec![Item { source: source.to_owned(), target, above: Vec::new(), is_folder }];
    let mut is_root = true;
    while let Some(item) = todo.pop() {
        if let Err(failed) = one(copier, &item, (mode, &before), &mut todo, job).await {
            job.judge(failed, is_root)?;
        }
        is_root = false;
    }
    Ok(())
}

async fn one(
    copier: &mut Copier<'_>,
    item: &Item,
    (mode, before): (Option<u32>, &Before),
    todo: &mut Vec<Item>,
    job: &mut Job,
) -> Result<(), Failed> {
    let source = &item.source;
    let reach = job.reach();
    // Read first: a directory that cannot be read is not made there.
    let read = if item.is_folder {
        let source = source.clone();
        aside(copier, &item.source, move || read(&reach, &source)).await?
    } else {
        read(&reach, source)
    };
    let found = match read.map_err(Failed::here(source))? {
        There::File(opened) => return file(copier, item, opened, mode, job).await,
        There::Folder(found) => found,
    };
    if !before.has(source) {
        job.skip(&format!(
            "{}: it was made while the copy ran, perhaps by the copy itself",
            source.display()
        ));
        return Ok(());
    }
    let mut above = item.above.clone();
    if let Some(identity) = found.identity {
        if above.contains(&identity) {
            job.skip(&format!("{}: it is a link to a directory above it", source.display()));
            return Ok(());
        }
        above.push(identity);
    }
    // Its owner fills it.
    copier.folder(&item.target, (found.mode | 0o700) & !job.umask).await?;
    for (name, kind) in found.entries.into_iter().rev() {
        let path = source.join(&name);
        match (name.to_str(), kind) {
            (Some(name), Ok(kind)) if kind.is_file() || kind.is_dir() => {
                let (target, is_folder) = (below(&item.target, name), kind.is_dir());
                todo.push(Item { source: path, target, above: above.clone(), is_folder });
            }
            (Some(_), Ok(kind)) if kind.is_symlink() => {
                job.skip(&format!("{}: a symbolic link (--follow follows links)", path.display()));
            }
            (_, Err(why)) => job.skip(&format!("{}: {why}", path.display())),
            _ => job.skip(&format!(
                "{}: not a file or directory, or its name is not UTF-8",
                path.display()
            )),
        }
    }
    Ok(())
}

/// What stands at a place of the source.
enum There {
    File(File),
    Folder(Listed),
}

fn read(reach: &Reach, source: &Path) -> Result<There, Fault> {
    let (mut names, mode) = match reach.source(source)? {
        Source::File(opened) => return Ok(There::File(opened)),
        Source::Folder(names, mode) => (names, mode),
    };
    let identity = match reach.follow {
        true => Some(platform::identity(source, &fs::metadata(source)?)?),
        false => None,
    };
    names.sort();
    let kind = |name: OsString| {
        let kind = kind(&source.join(&name), reach.follow);
        (name, kind)
    };
    let entries = names.into_iter().map(kind).collect();
    Ok(There::Folder(Listed { entries, mode, identity }))
}

fn kind(path: &Path, follow: bool) -> io::Result<fs::FileType> {
    let what = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    what.map(|what| what.file_type())
}

fn below(path: &str, name: &str) -> String {
    format!("{}/{name}", path.trim_end_matches('/'))
}

async fn file(
    copier: &mut Copier<'_>,
    item: &Item,
    mut file: File,
    mode: Option<u32>,
    job: &mut Job,
) -> Result<(), Failed> {
    let Item { source, target, .. } = item;
    let before = file.metadata().map_err(Failed::here(source))?;
    let bytes = before.len();
    let (digest, size) = if (1..=SHORT).contains(&bytes) {
        digest_of(&file, bytes).map_err(Failed::here(source))?
    } else {
        let read = aside(copier, source, move || (digest_of(&file, bytes), file)).await?;
        file = read.1;
        read.0.map_err(Failed::here(source))?
    };
    let mode = mode.unwrap_or(platform::mode(&before) & !job.umask);
    let have = copier.write(target, mode, size, digest).await?;
    job.partial = (size > 0).then(|| Left::Device(partial_on_device(target, digest)));
    job.progress.file(&source.display().to_string(), size, have);
    file.seek(SeekFrom::Start(have)).map_err(Failed::here(source))?;
    let sent = content(copier, item, &mut file, have, size, job).await;
    let done = match sent {
        Ok(()) => copier.whole(target, digest).await.map_err(Failed::from),
        failed => failed,
    };
    match done {
        Err(Failed::One(CopyError::Device { .. })) if has_changed(&file, &before) => {
            let why = io::Error::other("it changed while it was copied: copy it again");
            job.partial = None;
            Err(Failed::here(source)(why))
        }
        // What the device says of the next file would be taken for more about this one.
        Err(Failed::One(error @ CopyError::Device { .. })) if !copier.is_careful() => {
            Err(Failed::All(error))
        }
        Err(Failed::One(error @ CopyError::Device { .. })) => {
            job.partial = None; // the device has said what stays
            Err(Failed::One(error))
        }
        Err(failed) => Err(failed),
        Ok(()) => {
            job.partial = None;
            job.progress.done();
            Ok(())
        }
    }
}

async fn content(
    copier: &mut Copier<'_>,
    item: &Item,
    file: &mut File,
    have: u64,
    size: u64,
    job: &mut Job,
) -> Result<(), Failed> {
    let (mut at, mut buffer) = (have, vec![0; FILE_READ]);
    while at < size {
        let most = usize::try_from(size - at).unwrap_or(FILE_READ).min(FILE_READ);
        let n = file.read(&mut buffer[..most]).map_err(Failed::here(&item.source))?;
        if n == 0 {
            break; // it has become shorter: the digest tells
        }
        copier.content(&item.target, at, &buffer[..n]).await?;
        at += n as u64;
        job.progress.more(n);
    }
    Ok(())
}

fn has_changed(file: &File, before: &fs::Metadata) -> bool {
    file.metadata().is_ok_and(|now| platform::stamp(&now) != platform::stamp(before))
}

/// SHA-256 of a file, and its length. What is appended meanwhile is no part of it; files of /proc
/// say that they have no bytes, and have some.
fn digest_of(file: &File, bytes: u64) -> io::Result<([u8; 32], u64)> {
    let mut file = file.take(if bytes > 0 { bytes } else { u64::MAX });
    let (mut digest, mut size, mut buffer) = (Context::new(&SHA256), 0, vec![0; FILE_READ]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes_of(digest), size)),
            n => {
                digest.update(&buffer[..n]);
                size += n as u64;
            }
        }
    }
}

/// Where the device keeps what has arrived of a file.
fn partial_on_device(target: &str, digest: [u8; 32]) -> String {
    let mut mark = [0; 8];
    mark.copy_from_slice(&digest[..8]);
    let (folder, name) = match target.rfind('/') {
        Some(at) => target.split_at(at + 1),
        None => ("", target),
    };
    format!("{folder}{}", partial_name(name.as_ref(), &mark_of(mark)).display())
}
