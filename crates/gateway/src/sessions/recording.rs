//! The recording of a session that is about to begin: whether it is possible, and its start.

use std::sync::Arc;

use towline_archive::settings::Demand;
use towline_archive::{Destinations, Recorder, Tape};
use towline_evidence::cast::Facts;

use crate::plane::{SessionStart, StartError};

/// Where the output of a session goes besides its recording, if it is recorded; and whether it can
/// be, as far as that is known without asking the disk.
///
/// # Errors
/// [`StartError::NotRecorded`]: a demanded recording, or a log that preferences want, is not possible.
pub(super) fn expect_room(
    recorder: Option<&Arc<Recorder>>,
    start: &SessionStart,
) -> Result<Destinations, StartError> {
    let Some(recorder) = recorder.filter(|_| start.plan.is_shown()) else {
        return Ok(Destinations::default());
    };
    let places =
        recorder.destinations(&start.preferences).map_err(|why| StartError::NotRecorded { why })?;
    match recorder.paused().filter(|_| recorder.demand() == Demand::Demanded) {
        Some(why) => Err(StartError::NotRecorded { why }),
        None => Ok(places),
    }
}

/// Begins the recording of a decided session; `None` where none is made and policy lets it be.
///
/// # Errors
/// [`StartError::NotRecorded`] when policy demands a recording and there can be none.
pub(super) async fn begin(
    recorder: Option<&Arc<Recorder>>,
    start: &SessionStart,
    places: Destinations,
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
