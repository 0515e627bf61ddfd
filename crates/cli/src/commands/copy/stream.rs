//! Streams as sources: a FIFO, `/dev/stdin`, `<(program)`, a device node.
//!
//! # Invariants
//! - Nothing is known of a stream before it ends: neither its size nor its digest. A copy that
//!   breaks off keeps nothing of it.
//! - A read that waits for another program holds up neither signals nor the session.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Read as _};
use std::path::Path;

use ring::digest::{Context, SHA256};
use towline_files::bytes_of;
use towline_wire::copy::Kind;

use super::job::Job;
use crate::limits::FILE_READ;
use crate::session::{Copier, CopyError};

/// Copies a stream to the device until it ends.
pub(super) async fn put(
    copier: &mut Copier<'_>,
    source: &Path,
    path: &str,
    there: Kind,
    job: &mut Job,
) -> Result<(), CopyError> {
    let local = |why: io::Error| CopyError::Local { path: source.to_owned(), why: why.into() };
    if there == Kind::Folder {
        let why = "it is a stream and has no name: name the file on the device";
        return Err(local(io::Error::other(why)));
    }
    let opened = {
        let source = source.to_owned();
        // A FIFO waits here for its writer.
        tokio::task::spawn_blocking(move || File::open(source))
    };
    let opened = copier.meanwhile(opened).await?;
    let mut file = opened.map_err(io::Error::other).and_then(|file| file).map_err(local)?;
    copier.write(path, 0o666 & !job.umask, 0, nobodys_digest()).await?;
    job.progress.file(&source.display().to_string(), 0, 0);
    let (mut digest, mut at, mut buffer) = (Context::new(&SHA256), 0_u64, vec![0; FILE_READ]);
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let result = file.read(&mut buffer);
            (file, buffer, result)
        });
        let read = copier.meanwhile(read).await?.map_err(|why| local(io::Error::other(why)))?;
        let result;
        (file, buffer, result) = read;
        let n = match result {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(local(error)),
        };
        digest.update(&buffer[..n]);
        copier.content(path, at, &buffer[..n]).await?;
        at += n as u64;
        job.progress.more(n);
    }
    copier.whole(path, bytes_of(digest)).await?;
    job.progress.done();
    Ok(())
}

/// A value in place of the digest that is not known yet: no earlier copy has it.
fn nobodys_digest() -> [u8; 32] {
    let mut digest = [0; 32];
    for part in digest.chunks_mut(8) {
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        part.copy_from_slice(&random.to_be_bytes());
    }
    digest
}
