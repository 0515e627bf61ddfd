//! The running whole: a recorder, and what delivers its files.

use std::path::Path;
use std::sync::Arc;

use towline_evidence::checkpoint::{KeyError, SigningKey};

use crate::delivery::copies::Copier;
use crate::delivery::log_events::LogEvents;
use crate::delivery::outbox::Outbox;
use crate::delivery::queue::{self, Queue};
use crate::delivery::sink::{Sink, SinkError};
use crate::delivery::{cloudwatch, output_logs, retention};
use crate::recorder::node_chain::Ledger;
use crate::recorder::recorder::{Recorder, RecordingEvents};
use crate::settings::Settings;
use towline_host::clock::Clock;
use towline_host::files::{self, FileError};

/// Name of the file with the key that signs checkpoints.
pub const KEY: &str = "evidence.key";
/// Name of the file with its public half, for those who verify.
pub const PUBLIC_KEY: &str = "evidence.pub";
/// Largest key file, bytes.
const MAX_KEY: u64 = 4096;

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key.
    #[error("{KEY}: {0}")]
    Key(#[from] KeyError),
    /// The sink.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The folder of what is under way.
    #[error("the folder `evidence` cannot be used: {0}")]
    Disk(#[from] std::io::Error),
}

/// The running whole.
pub struct Archive {
    /// Records sessions.
    pub recorder: Arc<Recorder>,
    /// Where things go.
    pub sink: Sink,
}

impl Archive {
    /// Starts recording and sending, in the gateway's directory `dir`; makes the key if there is
    /// none.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn start(
        dir: &Path,
        settings: Settings,
        clock: &Clock,
    ) -> Result<(Self, RecordingEvents), ArchiveError> {
        let home = settings.home.clone();
        for name in [
            "staging",
            "chain",
            "outbox",
            "quarantine",
            "cloudwatch",
            "cloudwatch/outputs",
            "copies",
        ] {
            files::private_dir(&home.join(name))?;
        }
        let key = key(dir)?;
        let (outbox, quarantine) = (home.join("outbox"), home.join("quarantine"));
        let ledger =
            Ledger::open(&settings.node, key, &home.join("chain"), &outbox, &settings.prefix)?;
        let sink = Sink::open(&settings.sink, clock)?;
        let logs = settings.cloudwatch.clone();
        let (recorder, news) = Recorder::start(settings, ledger, clock.clone())?;
        let sender = Outbox::new(&outbox, &quarantine, sink.clone());
        let (own, more) = (Arc::clone(&recorder), Arc::clone(&recorder.finished));
        tokio::spawn(sender.run(more, move |key, why| own.lost(key.to_owned(), why.to_owned())));
        if let Some(logs) = logs {
            let service = LogEvents::new(&logs, clock)?;
            start_queue(&recorder, cloudwatch::Follower::new(service, Arc::clone(&recorder)));
            let service = LogEvents::new(&logs, clock)?;
            start_queue(
                &recorder,
                output_logs::OutputLogs::new(&recorder.settings.home, service, clock),
            );
        }
        if let Some(s3) = recorder.s3() {
            start_queue(&recorder, Copier::new(s3, Arc::clone(&recorder), clock));
        }
        tokio::spawn(retention::keep(Arc::clone(&recorder), sink.clone(), clock.clone()));
        Ok((Self { recorder, sink }, news))
    }
}

/// Sends what waits in a queue, for ever; what is given up is written into the node's chain.
fn start_queue(recorder: &Arc<Recorder>, sender: impl queue::Sender + 'static) {
    let (home, own) = (&recorder.settings.home, Arc::clone(recorder));
    tokio::spawn(Queue::new(home, sender, move |name, why| own.lost(name, why)).run());
}

/// The key of checkpoints; made at the first start.
fn key(dir: &Path) -> Result<SigningKey, ArchiveError> {
    let path = dir.join(KEY);
    if !path.exists() {
        files::create_private(&path, &SigningKey::generate()?)?;
    }
    let key = SigningKey::from_pkcs8(&zeroize::Zeroizing::new(files::read(&path, MAX_KEY)?))?;
    let public = dir.join(PUBLIC_KEY);
    if !public.exists() {
        files::create_private(&public, format!("{}\n", key.public()).as_bytes())?;
    }
    Ok(key)
}
