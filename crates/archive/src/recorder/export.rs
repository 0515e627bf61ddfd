//! Files of the gateway's own records (audit trail, command log), and indexes of recordings, on
//! their way to the sink.
//!
//! # Invariants
//! - The file is in the outbox before the node's chain names it. A crash in between leaves a file
//!   that the next export writes again, with the same bytes under the same key.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use towline_evidence::digest::{Digest, Running};
use towline_evidence::node::What;

use super::gzip;
use super::recorder::{Recorder, lock};
use crate::delivery::put_into_outbox;

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
            let mut file = File::create(&temporary)?;
            file.write_all(&compressed)?;
            file.sync_all()?;
            self.put(object, &temporary)?;
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
        self.record(What::File { object: object.to_owned(), sha256, bytes, records })?;
        self.put(object, file)?;
        self.checkpoint()
    }

    /// Puts a file into the outbox, and syncs its name.
    fn put(&self, object: &str, file: &Path) -> io::Result<()> {
        let outbox = self.outbox_folder();
        put_into_outbox(&outbox, object, file)?;
        match File::open(outbox.join(object).parent().unwrap_or(&outbox)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // it was sent
            folder => folder?.sync_all(),
        }
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
