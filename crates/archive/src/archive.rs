//! The running archive: a recorder, and the tasks that deliver its files.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use towline_evidence::cast::Facts;
use towline_evidence::checkpoint::{KeyError, SigningKey};
use towline_evidence::layout::part_of;
use towline_host::clock::Clock;
use towline_host::files::{self, FileError};

use crate::delivery::{
    Copier, Follower, LogEvents, Outbox, OutputLogs, Queue, Sender, Sink, SinkError, header_in,
    keep_retention,
};
use crate::index::{Growing, Maker, ask_for_all};
use crate::limits::{BEGINNING, MAX_KEY_FILE};
use crate::recorder::{ChainFile, Recorder, RecordingEvents};
use crate::settings::Settings;
use crate::spool::{CLOUDWATCH, COPIES, OUTPUTS};
use crate::verification::Verifications;

/// Name of the file with the key that signs checkpoints.
pub const KEY: &str = "evidence.key";
/// Name of the file with its public half, for verification.
pub const PUBLIC_KEY: &str = "evidence.pub";

/// Why the archive could not start.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key.
    #[error("{KEY}: {0}")]
    Key(#[from] KeyError),
    /// The key is gone, and its public half is there.
    #[error(
        "{KEY} is missing, and {PUBLIC_KEY} is there: another key would break the signed chain; \
         put {KEY} back, or restore a backup"
    )]
    KeyLost,
    /// The key and the public half in the directory are of two keys.
    #[error("{KEY} and {PUBLIC_KEY} do not belong together: put back the pair of this gateway")]
    OtherKey,
    /// The sink.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The folder of files that are under way.
    #[error("cannot use the folder `evidence`: {0}")]
    Disk(#[from] std::io::Error),
}

/// A running archive.
pub struct Archive {
    /// Records sessions.
    pub recorder: Arc<Recorder>,
    /// Where finished files go.
    pub sink: Sink,
    pub(crate) verifications: Verifications,
    pub(crate) growing: Growing,
}

impl Archive {
    /// Starts recording and delivery. `dir` is the gateway's directory; the signing key is created
    /// there if there is none.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn start(
        dir: &Path,
        settings: Settings,
        clock: &Clock,
    ) -> Result<(Self, RecordingEvents), ArchiveError> {
        let home = settings.home.clone();
        for name in ["staging", "chain", "outbox", "quarantine"] {
            files::private_dir(&home.join(name))?;
        }
        for spool in [CLOUDWATCH, OUTPUTS, COPIES] {
            files::private_dir(&spool.path(&home))?;
        }
        let key = key(dir)?;
        let (outbox, quarantine) = (home.join("outbox"), home.join("quarantine"));
        let chain =
            ChainFile::open(&settings.node, key, &home.join("chain"), &outbox, &settings.prefix)?;
        let sink = Sink::open(&settings.sink, clock)?;
        let (recorder, events) = Recorder::start(settings, chain, clock.clone())?;
        let sender = Outbox::new(&outbox, &quarantine, sink.clone());
        let (own, more) = (Arc::clone(&recorder), Arc::clone(&recorder.finished));
        tokio::spawn(
            sender.run(more, move |key, why| own.record_lost(key.to_owned(), why.to_owned())),
        );
        start_queues(&recorder, clock)?;
        Maker::start(Arc::clone(&recorder), sink.clone())?;
        tokio::spawn(keep_retention(Arc::clone(&recorder), sink.clone(), clock.clone()));
        let (verifications, growing) = (Verifications::default(), Growing::default());
        Ok((Self { recorder, sink, verifications, growing }, events))
    }
}

impl Archive {
    /// Asks for an index of each recording in the sink that has none: how many, and whether those
    /// are all.
    ///
    /// # Errors
    /// The sink cannot be listed.
    pub async fn index_recordings(&self) -> Result<(usize, bool), SinkError> {
        ask_for_all(&self.recorder, &self.sink).await
    }

    /// What a session's recording says of the session, wherever the recording is; `None` without
    /// one.
    ///
    /// # Errors
    /// The recording, or the sink, cannot be read.
    pub async fn facts(&self, session: &str) -> Result<Option<Facts>, SinkError> {
        let header = match self.recorder.local(session) {
            Some(file) => header_in(BufReader::new(File::open(file)?))?,
            None => {
                let key = self.recorder.object(session);
                let Some(length) = self.sink.length(&key).await? else { return Ok(None) };
                let beginning = self.sink.read(&key, 0..length.min(BEGINNING)).await?;
                header_in(&*beginning)?
            }
        };
        Ok(header.towline.filter(|facts| facts.session == part_of(session).0))
    }
}

/// Starts the deliveries that the settings make possible.
fn start_queues(recorder: &Arc<Recorder>, clock: &Clock) -> Result<(), SinkError> {
    if let Some(logs) = &recorder.settings.cloudwatch {
        let service = LogEvents::new(logs, clock)?;
        start_queue(recorder, Follower::new(service, Arc::clone(recorder)));
        let service = LogEvents::new(logs, clock)?;
        start_queue(recorder, OutputLogs::new(&recorder.settings.home, service, clock));
    }
    if let Some(s3) = recorder.s3() {
        start_queue(recorder, Copier::new(s3, Arc::clone(recorder), clock));
    }
    Ok(())
}

/// Delivers from a queue as long as the process lives. What is given up is recorded in the node's
/// chain.
fn start_queue(recorder: &Arc<Recorder>, sender: impl Sender + 'static) {
    let (home, own) = (&recorder.settings.home, Arc::clone(recorder));
    tokio::spawn(Queue::new(home, sender, move |name, why| own.record_lost(name, why)).run());
}

/// The key that signs checkpoints; created at the first start. A public half without its key is of
/// a chain that another key would break: verifiers have that half.
fn key(dir: &Path) -> Result<SigningKey, ArchiveError> {
    let (path, public) = (dir.join(KEY), dir.join(PUBLIC_KEY));
    if !path.exists() {
        if public.exists() {
            return Err(ArchiveError::KeyLost);
        }
        files::create_private(&path, &SigningKey::generate()?)?;
    }
    let bytes = zeroize::Zeroizing::new(files::read(&path, MAX_KEY_FILE)?);
    let key = SigningKey::from_pkcs8(&bytes)?;
    let half = format!("{}\n", key.public());
    if !public.exists() {
        files::create_private(&public, half.as_bytes())?;
    } else if files::read(&public, MAX_KEY_FILE)?.trim_ascii() != half.trim_ascii().as_bytes() {
        return Err(ArchiveError::OtherKey);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_lost_or_another_one_starts_no_archive() {
        let dir = tempfile::tempdir().unwrap();
        let first = key(dir.path()).unwrap().public();
        assert_eq!(key(dir.path()).unwrap().public(), first, "the second start has the same");

        let path = dir.path().join(KEY);
        std::fs::remove_file(&path).unwrap();
        let told = key(dir.path()).err().unwrap().to_string();
        assert!(told.contains("put evidence.key back"), "{told}");
        assert!(!path.exists(), "no other key is made");

        files::create_private(&path, &SigningKey::generate().unwrap()).unwrap();
        let told = key(dir.path()).err().unwrap().to_string();
        assert!(told.contains("do not belong together"), "{told}");
    }
}
