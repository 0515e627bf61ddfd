//! The recording of a session that is about to begin, or that this gateway goes on with: whether it
//! is possible, and its start.

use std::sync::Arc;

use towline_archive::settings::Demand;
use towline_archive::{Destinations, OnTaken, Recorder, Tape};
use towline_evidence::cast::Facts;
use towline_evidence::layout::part_name;
use towline_store::{Session as Row, Store, StoreError};

use crate::plane::{SessionStart, StartError};

/// Where a session's output goes besides its recording. Refuses early what is known to fail without
/// a look at the disk.
///
/// # Errors
/// [`StartError::NotRecorded`]: a demanded recording, or a log that preferences ask for, is not
/// possible.
pub(super) fn choose_destinations(
    recorder: &Recorder,
    start: &SessionStart,
) -> Result<Destinations, StartError> {
    if !start.plan.is_shown() {
        return Ok(Destinations::default());
    }
    let destinations =
        recorder.destinations(&start.preferences).map_err(|why| StartError::NotRecorded { why })?;
    let demanded = recorder.demand() == Demand::Demanded;
    match recorder.paused_for(start.share_of()).filter(|_| demanded) {
        Some(why) => Err(StartError::NotRecorded { why }),
        None => Ok(destinations),
    }
}

/// What became of a recording that was to begin.
pub(super) enum Begun {
    /// The session is recorded.
    Recorded(Arc<Tape>),
    /// Nobody asks for a recording of it.
    NotWanted,
    /// A recording is wanted and not possible, for this reason. The session goes on without one.
    Failed(String),
}

/// Begins the recording of a session.
///
/// # Errors
/// [`StartError::NotRecorded`] when the settings demand a recording and none is possible.
pub(super) async fn begin(
    recorder: &Arc<Recorder>,
    start: &SessionStart,
    destinations: Destinations,
    on_taken: OnTaken,
) -> Result<Begun, StartError> {
    if !start.plan.is_shown() || recorder.demand() == Demand::Off {
        return Ok(Begun::NotWanted);
    }
    let facts = Facts {
        session: start.session.as_str().to_owned(),
        device: start.device.as_str().to_owned(),
        principal: start.principal_arn.clone(),
        principal_id: start.principal_id.clone(),
        person: start.person.name.clone(),
        person_id: start.person.id.clone(),
        document: start.document.clone(),
        run_as: start.run_as.clone(),
        reason: start.reason.clone(),
        source_ip: start.source_ip.to_string(),
        input: start.records_input(),
    };
    let (cols, rows, term) =
        start.terminal.as_ref().map_or((80, 24, None), |t| (t.cols, t.rows, Some(t.term.clone())));
    let own = Arc::clone(recorder);
    let begun = tokio::task::spawn_blocking(move || {
        own.begin(facts, cols, rows, term.as_deref(), &destinations, on_taken)
    })
    .await;
    let why = match begun {
        Ok(Ok(tape)) => return Ok(Begun::Recorded(tape)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the recorder failed".to_owned(),
    };
    tracing::error!(session = start.session.as_str(), why, "cannot record a session");
    if recorder.demand() == Demand::Demanded {
        Err(StartError::NotRecorded { why })
    } else {
        Ok(Begun::Failed(why))
    }
}

/// The recording of a session that this gateway goes on with: its own, or a further part after
/// another gateway's. Inside: none is wanted, or why a wanted one is not possible.
///
/// # Errors
/// The store's.
pub(super) async fn go_on(
    store: &Store,
    recorder: &Arc<Recorder>,
    row: &Row,
    on_taken: impl Fn() -> OnTaken,
) -> Result<Result<Option<Arc<Tape>>, String>, StoreError> {
    let own = part_name(&row.new.id, row.recording_part);
    if let Some(tape) = recorder.resume(&own, on_taken()) {
        return Ok(Ok(Some(tape)));
    }
    let is_wanted = !row.new.output_url.is_empty() && recorder.demand() != Demand::Off;
    if !is_wanted || !store.is_shared() {
        return Ok(Ok(None));
    }
    let part = store.sessions().next_recording_part(&row.new.id, row.recording_part).await?;
    let (own, facts, started, on_taken) =
        (Arc::clone(recorder), facts_of(row), row.started_at, on_taken());
    let begun =
        tokio::task::spawn_blocking(move || own.begin_part(part, facts, started, on_taken)).await;
    Ok(match begun {
        Ok(Ok(tape)) => Ok(Some(tape)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the recorder failed".to_owned()),
    })
}

/// What the first part says of the session, as far as its row tells it.
fn facts_of(row: &Row) -> Facts {
    let new = &row.new;
    Facts {
        session: new.id.clone(),
        device: new.device_id.clone(),
        principal: new.principal_arn.clone(),
        principal_id: new.principal_id.clone(),
        person: String::new(),
        person_id: new.person_id.clone(),
        document: new.document.clone(),
        run_as: Some(new.run_as.clone()).filter(|user| !user.is_empty()),
        reason: Some(new.reason.clone()).filter(|reason| !reason.is_empty()),
        source_ip: new.source_ip.clone(),
        input: new.input_recorded,
    }
}
