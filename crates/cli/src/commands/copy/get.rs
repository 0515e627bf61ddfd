//! Copies from the device to this machine.

use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use towline_files::{Fault, Wish, bytes_of};
use towline_wire::copy::{Entry, Kind, mark_of};

use super::itself::Marker;
use super::job::{Failed, Job, Left};
use super::sink::Sink;
use crate::platform::Names;
use crate::session::{Copier, CopyError};
use crate::terminal::printable;

/// Something on the device, and where it goes.
struct Item {
    path: String,
    target: PathBuf,
    entry: Entry,
}

/// Copies a file, or a directory with all that is in it.
pub(super) async fn all(
    copier: &mut Copier<'_>,
    path: &str,
    destination: &Path,
    job: &mut Job,
) -> Result<(), CopyError> {
    let there = copier.look(path).await?;
    let refuse = |why: &str| CopyError::Device { path: path.to_owned(), why: why.to_owned() };
    match there.kind {
        Kind::File => {}
        Kind::Folder if job.recursive => {}
        Kind::Folder => return Err(refuse("is a directory: use --recursive to copy it")),
        Kind::Nothing => return Err(refuse("no such file or directory")),
        Kind::Other => return Err(refuse("not a file or directory")),
    }
    if there.kind == Kind::File && job.into_directory && !destination.is_dir() {
        let why = std::io::Error::from(std::io::ErrorKind::NotADirectory).into();
        return Err(CopyError::Local { path: destination.to_owned(), why });
    }
    job.root = match destination.parent() {
        Some(parent) if !destination.is_dir() => parent.to_owned(),
        _ => destination.to_owned(),
    };
    let target = if destination.is_dir() {
        let name = last_name(path);
        Names::default().admit(name).map_err(|why| refuse(&why))?;
        destination.join(name)
    } else {
        destination.to_owned()
    };
    let root = Item { path: path.to_owned(), target, entry: there };
    let marker = match there.kind {
        Kind::Folder => match folder(&root, job) {
            Ok(()) => Marker::set(&root.target, job),
            Err(failed) => return job.judge(failed, true),
        },
        _ => None,
    };
    let mut todo = vec![root];
    let mut is_root = true;
    while let Some(item) = todo.pop() {
        if let Err(failed) = one(copier, &item, marker.as_ref(), &mut todo, job).await {
            job.judge(failed, is_root)?;
        }
        is_root = false;
    }
    Ok(())
}

async fn one(
    copier: &mut Copier<'_>,
    item: &Item,
    marker: Option<&Marker>,
    todo: &mut Vec<Item>,
    job: &mut Job,
) -> Result<(), Failed> {
    match item.entry.kind {
        Kind::File => file(copier, item, job).await,
        Kind::Folder => {
            let (found, unnamed) = copier.list(&item.path).await?;
            if marker.is_some_and(|marker| found.iter().any(|(name, _)| marker.is(name))) {
                let why = "it is the directory that this copy writes into".to_owned();
                return Err(CopyError::Device { path: item.path.clone(), why }.into());
            }
            folder(item, job)?;
            if unnamed > 0 {
                let path = printable(&item.path);
                job.skip(&format!("{unnamed} entries of {path}: their names are not UTF-8"));
                job.left_out += unnamed as usize - 1;
            }
            let mut names = Names::default();
            for (name, entry) in found.into_iter().rev() {
                if let Err(why) = names.admit(&name) {
                    job.skip(&format!("{}/{}: {why}", printable(&item.path), printable(&name)));
                    continue;
                }
                let target = item.target.join(&name);
                let path = format!("{}/{name}", item.path.trim_end_matches('/'));
                todo.push(Item { path, target, entry });
            }
            Ok(())
        }
        Kind::Nothing => {
            job.skip(&format!("{}: it vanished", printable(&item.path)));
            Ok(())
        }
        Kind::Other => {
            let links = if job.follow { "" } else { " (--follow follows links)" };
            job.skip(&format!("{}: not a file or directory{links}", printable(&item.path)));
            Ok(())
        }
    }
}

/// The last name of a path on a device, where `/` alone divides.
fn last_name(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit('/').next() {
        None | Some("" | "." | "..") => "device",
        Some(name) => name,
    }
}

/// Makes a directory. One that is a link is none: it could lead anywhere.
fn folder(item: &Item, job: &Job) -> Result<(), Failed> {
    // Its owner fills it.
    let mode = item.entry.mode & 0o777 | 0o700;
    job.place(&item.target)
        .and_then(|place| place.make_directory(mode))
        .map_err(Failed::here(&item.target))
}

async fn file(copier: &mut Copier<'_>, item: &Item, job: &mut Job) -> Result<(), Failed> {
    let Item { path, target, entry } = item;
    let mut wish = Wish {
        mode: entry.mode & 0o777 & !job.umask,
        // Files of /proc say 0 and have content.
        size: Some(entry.size).filter(|&size| size > 0),
        mark: &source_mark(&job.device, path),
    };
    loop {
        let mut sink = Sink::open(target, job, &wish).map_err(Failed::here(target))?;
        let have = sink.have().map_err(Failed::here(target))?;
        job.partial = sink.resumable().map(|name| Left::Here(target.with_file_name(name)));
        job.progress.file(path, entry.size, have);
        let told = copier.read(path, have, async |data| {
            job.progress.more(data.len());
            let written = sink.write(data).await;
            written.map_err(|why| CopyError::Local { path: target.clone(), why })
        });
        let told = told.await.map_err(|error| match error {
            // The device is still sending.
            CopyError::Local { .. } => Failed::All(error),
            error => error.into(),
        })?;
        match sink.finish(&told) {
            // What an earlier copy left was of another content: once more, with nothing of it.
            Err(Fault::Damaged) if have > 0 => wish.size = None,
            finished => {
                finished.map_err(Failed::here(target))?;
                job.partial = None;
                job.progress.done();
                return Ok(());
            }
        }
    }
}

/// Tells partial files of different sources apart.
fn source_mark(device: &str, path: &str) -> String {
    let mut digest = Context::new(&SHA256);
    for part in [device, "\0", path] {
        digest.update(part.as_bytes());
    }
    let (mut mark, digest) = ([0; 8], bytes_of(digest));
    mark.copy_from_slice(&digest[..8]);
    mark_of(mark)
}
