//! Recordings and their indexes, for those who may see them.
//!
//! Data flow: a range of bytes -> the file on this disk, or the object in the sink -> one answer.
//!
//! # Invariants
//! - A recording and its index are read by one right, `towline:GetRecording` on the session, piece
//!   by piece: memory is one piece. Whose it is stands in the recording itself: the session's row
//!   goes first.

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::runtime::Handle;
use towline_archive::index::{CannotGrow, Grown};
use towline_archive::limits::GROWING_FROM;
use towline_archive::{CannotVerify, Verdict, Verification};
use towline_evidence::layout::{part_name, part_of};
use towline_ssm::api::evidence::{
    GetRecordingRequest, GetRecordingResponse, VerifyRecordingRequest, VerifyRecordingResponse,
};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::SessionId;
use towline_store::Session;

use super::call::Call;
use super::internal::internal;
use super::ownership::About;
use super::service::Api;
use crate::limits::RECORDING_PIECE;

impl Api {
    pub(super) async fn get_recording(
        &self,
        call: &Call,
        request: GetRecordingRequest,
    ) -> Result<GetRecordingResponse, ApiError> {
        let row = self.authorize_recording(call, &request.session_id).await?;
        let recorder = &self.parts.evidence.recorder;
        let session = &request.session_id;
        let (local, goes_on) = (recorder.local(session), recorder.is_recording(session));
        let object = recorder.object(session);
        let piece = self.piece_of(local, object.clone(), &request).await?;
        let is_last = piece.as_ref().is_none_or(|piece| piece.next_offset.is_none());
        // One that was passed on here for a part that is not here is answered by another gateway.
        if piece.is_none() && call.is_passed_on {
            return Err(none());
        }
        let (next_part, silent_gateways) = match is_last {
            true => self.next_part(session, row.as_ref()).await?,
            false => (None, Vec::new()),
        };
        let piece = match piece {
            Some(piece) => piece,
            // This part is on the disk of a gateway that does not answer; the next one is known.
            None if next_part.is_some() => GetRecordingResponse { object, ..Default::default() },
            None => return Err(none()),
        };
        Ok(GetRecordingResponse { finished: !goes_on, next_part, silent_gateways, ..piece })
    }

    /// The name of the part that follows, where several gateways have recorded a session; else the
    /// gateways that do not say whether they have one. The session's row knows it; when that is
    /// gone, all gateways are asked.
    async fn next_part(
        &self,
        name: &str,
        row: Option<&Session>,
    ) -> Result<(Option<String>, Vec<String>), ApiError> {
        let nobody = Vec::new();
        if !self.store().is_shared() {
            return Ok((None, nobody));
        }
        let (session, part) = part_of(name);
        let next = part_name(session, part.saturating_add(1));
        if let Some(row) = row {
            return Ok(((row.recording_part > part).then_some(next), nobody));
        }
        if self.has_recording(&next).await? {
            return Ok((Some(next), nobody));
        }
        let Some(peers) = &self.parts.peers else { return Ok((None, nobody)) };
        Ok(match peers.have_recording(&next).await {
            Ok(is_there) => (is_there.then_some(next), nobody),
            Err(silent) => (None, silent),
        })
    }

    /// Whether a caller may read a recording that is not here, as far as it is known here whose it
    /// is.
    pub(super) async fn may_read_recording(&self, call: &Call, name: &str) -> bool {
        let (id, part) = part_of(name);
        match self.about_session(call, id, About::Part(part)).await {
            Ok((question, Some(_))) => self.would_allow(call, &question).await.unwrap_or(false),
            Ok((_, None)) => true, // the gateway that has it knows
            Err(_) => false,
        }
    }

    /// Whether this gateway has a recording of this name, on its disk or in its sink.
    pub(super) async fn has_recording(&self, name: &str) -> Result<bool, ApiError> {
        let recorder = &self.parts.evidence.recorder;
        let is_here = recorder.local(name).is_some();
        Ok(is_here || self.size_of(&recorder.object(name)).await?.is_some())
    }

    pub(super) async fn get_recording_index(
        &self,
        call: &Call,
        request: GetRecordingRequest,
    ) -> Result<GetRecordingResponse, ApiError> {
        self.authorize_recording(call, &request.session_id).await?;
        let recorder = &self.parts.evidence.recorder;
        let session = &request.session_id;
        let (local, object) = (recorder.local_index(session), recorder.index_object(session));
        if let Some(piece) = self.piece_of(local, object.clone(), &request).await? {
            return Ok(piece);
        }
        let length = recorder.local(session).and_then(|file| Some(file.metadata().ok()?.len()));
        let size = match length {
            Some(size) => size,
            None => self.size_of(&recorder.object(session)).await?.ok_or_else(none)?,
        };
        // A recording without an index is no error: a client reads it from its beginning.
        let without = GetRecordingResponse { object, finished: true, ..Default::default() };
        let goes_on = recorder.is_recording(session);
        if size < GROWING_FROM && !goes_on {
            return Ok(without);
        }
        self.growing_piece(&request, size, goes_on, without).await
    }

    /// The wanted piece of an index that is made while it is read.
    async fn growing_piece(
        &self,
        request: &GetRecordingRequest,
        size: u64,
        goes_on: bool,
        without: GetRecordingResponse,
    ) -> Result<GetRecordingResponse, ApiError> {
        let (evidence, runtime) = (Arc::clone(&self.parts.evidence), Handle::current());
        let (session, offset) = (request.session_id.clone(), request.offset);
        let most = request.length.unwrap_or(RECORDING_PIECE).min(RECORDING_PIECE);
        let read = tokio::task::spawn_blocking(move || {
            let grown = evidence.growing_index(&session, size, &runtime)?;
            let Grown::Readable(shown) = grown else { return Ok((grown, Vec::new())) };
            let bytes = shown.read(offset, most)?;
            Ok((Grown::Readable(shown), bytes))
        });
        let (grown, bytes) =
            read.await.map_err(|error| unreadable(&error))?.map_err(|error| match error {
                CannotGrow::Busy => {
                    ApiError::new(ErrorCode::ThrottlingException, error.to_string())
                }
                CannotGrow::Io(error) => unreadable(&error),
            })?;
        Ok(match grown {
            Grown::Never => without,
            Grown::Drawing(drawn) => {
                GetRecordingResponse { finished: false, indexed: Some(drawn), ..without }
            }
            Grown::Readable(shown) => {
                let piece = answer(&bytes, offset, shown.size(), without.object);
                let finished = !goes_on && shown.recorded >= size;
                GetRecordingResponse { finished, indexed: Some(shown.recorded), ..piece }
            }
        })
    }

    /// The check of `towline verify SESSION`, by the same code: a first call begins it.
    pub(super) async fn verify_recording(
        &self,
        call: &Call,
        request: VerifyRecordingRequest,
    ) -> Result<VerifyRecordingResponse, ApiError> {
        self.authorize_recording(call, &request.session_id).await?;
        let (evidence, runtime) = (Arc::clone(&self.parts.evidence), Handle::current());
        let begun = tokio::task::spawn_blocking(move || {
            evidence.verification(&request.session_id, &runtime)
        });
        let begun =
            begun.await.map_err(|error| unreadable(&error))?.map_err(|error| match error {
                CannotVerify::NoRecording => none(),
                CannotVerify::Busy => {
                    ApiError::new(ErrorCode::ThrottlingException, error.to_string())
                }
                CannotVerify::Io(error) => unreadable(&error),
            })?;
        Ok(told(&begun))
    }

    /// Whether the caller may read this recording.
    async fn authorize_recording(
        &self,
        call: &Call,
        name: &str,
    ) -> Result<Option<Session>, ApiError> {
        let (id, part) = part_of(name);
        let session = self.authorize_session(call, id, About::Part(part)).await?;
        // A recording outlives the session's row; its name then has to be one that a session may
        // have.
        if session.is_none() && id.parse::<SessionId>().is_err() {
            return Err(none());
        }
        Ok(session)
    }

    /// The wanted piece of a file or an object; `None` when there is neither.
    async fn piece_of(
        &self,
        local: Option<PathBuf>,
        object: String,
        request: &GetRecordingRequest,
    ) -> Result<Option<GetRecordingResponse>, ApiError> {
        let offset = request.offset;
        let most = request.length.unwrap_or(RECORDING_PIECE).min(RECORDING_PIECE);
        if let Some(file) = local {
            let read = tokio::task::spawn_blocking(move || read_local(&file, offset, most));
            match read.await.map_err(|error| unreadable(&error))? {
                Ok((bytes, size)) => return Ok(Some(answer(&bytes, offset, size, object))),
                // It has just gone to the sink.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(&error)),
            }
        }
        let Some(size) = self.size_of(&object).await? else { return Ok(None) };
        let end = offset.saturating_add(most).min(size);
        if offset >= end {
            return Ok(Some(answer(&[], offset, size, object)));
        }
        let read = self.parts.evidence.sink.read(&object, offset..end).await;
        let bytes = read.map_err(|error| unreadable(&error))?;
        Ok(Some(answer(&bytes, offset, size, object)))
    }

    async fn size_of(&self, object: &str) -> Result<Option<u64>, ApiError> {
        let length = self.parts.evidence.sink.length(object).await;
        length.map_err(|error| internal("cannot find a recording", &error))
    }
}

fn told(verification: &Verification) -> VerifyRecordingResponse {
    let (state, sealed, fault) = match verification.verdict() {
        None => ("Verifying", None, None),
        Some(Verdict::Whole(sealed)) => ("Whole", Some(sealed), None),
        Some(Verdict::SoFar(sealed)) => ("SoFar", Some(sealed), None),
        Some(Verdict::Faulty(fault)) => ("Faulty", None, Some(fault.to_string())),
        Some(Verdict::Unread(why)) => {
            ("Faulty", None, Some(format!("it cannot be read to the end: {why}")))
        }
    };
    VerifyRecordingResponse {
        state: state.to_owned(),
        checked: verification.read(),
        size: verification.size,
        lines: sealed.map(|sealed| sealed.lines - sealed.unsealed),
        gaps: sealed.map(|sealed| sealed.gaps),
        fault,
    }
}

fn none() -> ApiError {
    ApiError::new(ErrorCode::DoesNotExistException, "there is no recording of such a session")
}

fn unreadable(error: &dyn std::fmt::Display) -> ApiError {
    internal("cannot read a recording", &error)
}

fn read_local(file: &std::path::Path, offset: u64, most: u64) -> std::io::Result<(Vec<u8>, u64)> {
    let mut file = std::fs::File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, length))
}

fn answer(bytes: &[u8], offset: u64, size: u64, object: String) -> GetRecordingResponse {
    let next = offset.saturating_add(bytes.len() as u64);
    let next_offset = (next < size && !bytes.is_empty()).then_some(next);
    GetRecordingResponse {
        data: STANDARD.encode(bytes),
        next_offset,
        size,
        object,
        finished: true,
        indexed: None,
        next_part: None,
        silent_gateways: Vec::new(),
    }
}
