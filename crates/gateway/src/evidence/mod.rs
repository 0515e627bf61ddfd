//! Evidence: recordings of sessions and files of the audit trail, sealed, on their way to a sink.
//!
//! Way: a session's output -> [`tape`] (never waits) -> [`recorder`] (one thread: seals,
//! compresses, stages on this disk) -> `outbox` (tries until it is there) -> [`sink`] (a folder, or
//! S3). Beside it `ledger`, the node's signed chain.
//!
//! # Invariants
//! - A slow or dead sink costs disk, up to a bound; a slow or dead disk costs memory, up to a
//!   bound; neither costs a session time, unless policy says that an unrecorded session must end.
//! - What was not recorded is a gap record; what was lost is a record in the node's chain.
//!
//! # Not here
//! - Forms and verification: `towline_evidence`. Who may see a recording: the API.

mod aws;
pub mod cloudwatch;
pub mod command_files;
pub mod copies;
mod job;
mod ledger;
mod log_events;
mod outbox;
mod output_logs;
mod outputs;
mod pack;
pub mod places;
mod queue;
pub mod recorder;
mod retention;
mod room;
pub mod settings;
pub mod sink;
mod staging;
pub mod tape;
#[cfg(test)]
mod tests;
pub mod trail;

use std::path::Path;
use std::sync::Arc;

use towline_evidence::cast::Facts;
use towline_evidence::checkpoint::{KeyError, SigningKey};

use crate::clock::Clock;
use crate::files::{self, FileError};
use crate::seam::{SessionStart, StartError};
use copies::Copier;
use ledger::Ledger;
use log_events::LogEvents;
use outbox::Outbox;
pub use output_logs::Note as OutputNote;
pub use places::Places;
use queue::Queue;
pub use recorder::{CannotRecord, News, Recorder, Told};
use settings::{Demand, Settings};
use sink::{Sink, SinkError};
pub use tape::Tape;

/// Name of the file with the key that signs checkpoints.
pub const KEY: &str = "evidence.key";
/// Name of the file with its public half, for those who verify.
pub const PUBLIC_KEY: &str = "evidence.pub";
/// Largest key file, bytes.
const MAX_KEY: u64 = 4096;

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
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
pub struct Evidence {
    /// Records sessions.
    pub recorder: Arc<Recorder>,
    /// Where things go.
    pub sink: Sink,
}

impl Evidence {
    /// Starts recording and sending, in the gateway's directory `dir`; makes the key if there is
    /// none.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn start(
        dir: &Path,
        settings: Settings,
        clock: &Clock,
    ) -> Result<(Self, News), EvidenceError> {
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
fn key(dir: &Path) -> Result<SigningKey, EvidenceError> {
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

impl From<crate::agents::Lane> for towline_evidence::recording::Lane {
    fn from(lane: crate::agents::Lane) -> Self {
        match lane {
            crate::agents::Lane::Io => Self::Io,
            crate::agents::Lane::Err => Self::Err,
        }
    }
}

/// Where the output of a session goes besides its recording, if it is recorded; and whether it can
/// be, as far as that is known without asking the disk.
///
/// # Errors
/// [`StartError::NotRecorded`]: a demanded recording, or a log that preferences want, is not possible.
pub fn expect_room(
    recorder: Option<&Arc<Recorder>>,
    start: &SessionStart,
) -> Result<Places, StartError> {
    let Some(recorder) = recorder.filter(|_| start.plan.is_shown()) else {
        return Ok(Places::default());
    };
    let places =
        recorder.places(&start.preferences).map_err(|why| StartError::NotRecorded { why })?;
    match recorder.no_room().filter(|_| recorder.demand() == Demand::Demanded) {
        Some(why) => Err(StartError::NotRecorded { why }),
        None => Ok(places),
    }
}

/// Begins the recording of a decided session; `None` where none is made and policy lets it be.
///
/// # Errors
/// [`StartError::NotRecorded`] when policy demands a recording and there can be none.
pub async fn begin(
    recorder: Option<&Arc<Recorder>>,
    start: &SessionStart,
    places: Places,
) -> Result<Option<Arc<Tape>>, StartError> {
    let wanted =
        |recorder: &&Arc<Recorder>| start.plan.is_shown() && recorder.demand() != Demand::Off;
    let Some(recorder) = recorder.filter(wanted) else { return Ok(None) };
    let facts = Facts {
        session: start.session.as_str().to_owned(),
        device: start.device.as_str().to_owned(),
        principal: start.principal_arn.clone(),
        document: start.document.clone(),
        run_as: start.run_as.clone(),
        reason: start.reason.clone(),
        source_ip: start.source_ip.to_string(),
        input: start.records_input(),
    };
    let (cols, rows, term) =
        start.terminal.as_ref().map_or((80, 24, None), |t| (t.cols, t.rows, Some(t.term.clone())));
    let own = Arc::clone(recorder);
    let begun =
        tokio::task::spawn_blocking(move || own.begin(facts, cols, rows, term.as_deref(), &places))
            .await;
    let why = match begun {
        Ok(Ok(tape)) => return Ok(Some(tape)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the recorder failed".to_owned(),
    };
    tracing::error!(session = start.session.as_str(), why, "a session cannot be recorded");
    if recorder.demand() == Demand::Demanded {
        Err(StartError::NotRecorded { why })
    } else {
        Ok(None)
    }
}
