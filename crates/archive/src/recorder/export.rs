//! Files of the gateway's own records (audit trail, command log), and indexes of recordings, on
//! their way to the sink.
//!
//! # Invariants
//! - The file is in the outbox before the node's chain names it. A crash in between leaves a file
//!   that the next export writes again, with the same bytes under the same key.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use towline_evidence::digest::{Digest, Running};
use towline_evidence::node::What;

use super::gzip;
use super::recorder::{Recorder, lock};

impl Recorder {
    /// Compresses `text`, puts it into the outbox as `object`, and signs its record in the node's
    /// chain. `records`: how many records the text holds. Waits for the disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn export(&self, object: &str, text: &[u8], records: u64) -> io::Result<()> {
        let compressed = gzip::file(text)?;
        let (sha256, bytes) = (Digest::of(&[&compressed]), compressed.len() as u64);
        {
            let _one_at_a_time = lock(&self.exporting);
            let temporary = self.settings.home.join("export.new");
            write_whole(&temporary, &self.outbox_folder().join(object), &compressed)?;
        }
        self.record(What::File { object: object.to_owned(), sha256, bytes, records })?;
        self.checkpoint()
    }

    /// Moves a whole file into the outbox as `object`, and signs its record in the node's chain. A
    /// crash in between leaves the file where it was: make it again then. Waits for the disk.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn export_file(&self, object: &str, file: &Path, records: u64) -> io::Result<()> {
        let (sha256, bytes) = digest(file)?;
        let target = self.outbox_folder().join(object);
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        self.record(What::File { object: object.to_owned(), sha256, bytes, records })?;
        fs::rename(file, &target)?;
        File::open(folder)?.sync_all()?;
        self.checkpoint()
    }

    /// The folder of everything that is under way.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.settings.home
    }

    /// What the keys of all objects begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    /// Name of this node in its chain.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.settings.node
    }

    /// Folder from which objects are sent.
    #[must_use]
    pub fn outbox_folder(&self) -> PathBuf {
        self.settings.home.join("outbox")
    }
}

/// Syncs a file; gives SHA-256 and length.
fn digest(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    file.sync_all()?;
    let (mut running, mut bytes, mut buffer) = (Running::new(), 0, vec![0; 64 * 1024]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((running.finish(), bytes));
        }
        running.update(buffer.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
}

/// Writes a file that appears whole. `temporary` is on the same file system and outside of the
/// outbox, which sends whatever it finds.
fn write_whole(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    File::open(folder)?.sync_all()
}
