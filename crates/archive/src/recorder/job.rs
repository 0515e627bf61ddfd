//! One recording under way: its tape, its lines, its file, and what to do when the file cannot be
//! written.
//!
//! # Invariants
//! - The chain never runs ahead of the file by more than one block: a block that could not be
//!   written is kept and tried again, and what comes meanwhile is missed, by its positions, with
//!   the reason.
//! - After the recording's limit nothing but its end is added.

use std::io;
use std::path::Path;
use std::sync::Arc;

use towline_evidence::digest::Digest;
use towline_evidence::node::What;
use towline_evidence::recording::{Lane, Recording};
use towline_evidence::typed::{self, Found, Typed};

use crate::recorder::disk_space::is_full;
use crate::recorder::staging::Staged;
use crate::recorder::tape::{Piece, Taken, Tape};

/// Bytes of lines that make a block by themselves, without waiting for the tick.
const BLOCK_BYTES: usize = 128 * 1024;

const LANES: [Lane; 2] = [Lane::Io, Lane::Err];

/// What the thread wants from a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Take what is on the tape.
    Drain,
    /// Write what is in memory.
    Flush,
}

/// See the module.
pub(crate) struct Job {
    tape: Arc<Tape>,
    recording: Recording,
    staged: Staged,
    limit: u64,
    /// A block that could not be written yet.
    pending: Option<Vec<u8>>,
    /// ... for want of room.
    disk_full: bool,
    /// Why nothing is recorded now.
    stopped: Option<String>,
    told: bool,
    /// Positions up to which output was seen while nothing was recorded.
    skipped: [u64; 2],
    end: Option<(u64, String)>,
    over: bool,
    signed_lines: u64,
    /// Input that may have to be recorded; empty for sessions of which none is.
    typed: Typed,
}

impl Job {
    pub(crate) fn new(tape: Arc<Tape>, recording: Recording, staged: Staged, limit: u64) -> Self {
        let over = recording.is_ended();
        Self {
            tape,
            recording,
            staged,
            limit,
            pending: None,
            disk_full: false,
            stopped: None,
            told: false,
            skipped: [0; 2],
            end: None,
            over,
            signed_lines: 0,
            typed: Typed::default(),
        }
    }

    /// Does a step. `room`: why nothing may be written, if so.
    pub(crate) fn step(&mut self, step: Step, room: Option<&str>) {
        if self.over {
            return;
        }
        self.reconsider(room);
        if step == Step::Drain {
            let taken = self.tape.take();
            self.drain(taken);
        }
        if self.end.is_some() || (step == Step::Flush && self.stopped.is_none()) {
            self.write();
        }
        if self.pending.is_none() && self.end.is_some() {
            self.finish();
        }
    }

    /// Whether the last seal is in the file.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether a block waits because the disk is full.
    pub(crate) const fn is_stuck(&self) -> bool {
        self.pending.is_some() && self.disk_full
    }

    /// Why nothing is recorded, if that was not told yet.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.stopped.as_deref().filter(|_| !self.told)
    }

    /// The failure was told.
    pub(crate) const fn failure_told(&mut self) {
        self.told = true;
    }

    /// Lines and head to be signed, if there are new ones and all of them are in the file.
    pub(crate) fn progress(&mut self) -> Option<(u64, Digest)> {
        let (lines, head) = self.recording.state();
        let new = !self.over
            && self.pending.is_none()
            && self.recording.waiting() == 0
            && lines > self.signed_lines;
        new.then(|| {
            self.signed_lines = lines;
            (lines, head)
        })
    }

    /// The record of its end.
    pub(crate) fn ended(&self, session: &str, object: &str) -> What {
        let (lines, head) = self.recording.state();
        What::End {
            session: session.to_owned(),
            lines,
            head,
            gaps: self.recording.gaps(),
            object: object.to_owned(),
            sha256: self.staged.sha256(),
            bytes: self.staged.length(),
        }
    }

    /// Bytes in its file.
    pub(crate) fn bytes(&self) -> u64 {
        self.staged.length()
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.staged.sync()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.staged.path
    }

    /// Whether something is recorded from here on, and what was missed until here.
    fn reconsider(&mut self, room: Option<&str>) {
        if self.pending.is_some() {
            self.write();
        }
        let why = if self.pending.is_some() {
            self.stopped.take().or_else(|| Some("the disk failed".to_owned()))
        } else if self.staged.length() >= self.limit {
            Some(format!("the recording reached its limit of {} MiB", self.limit >> 20))
        } else {
            room.map(str::to_owned)
        };
        if why.is_none()
            && let Some(before) = self.stopped.take()
        {
            self.name_what_was_missed(&before);
            self.told = false;
        }
        self.stopped = why.or(self.stopped.take());
    }

    fn name_what_was_missed(&mut self, why: &str) {
        let at = self.tape.now();
        for (lane, position) in LANES.into_iter().zip(self.skipped) {
            self.recording.missing(at, lane, position, why);
        }
    }

    fn drain(&mut self, taken: Taken) {
        for piece in taken.pieces {
            if self.stopped.is_some() {
                self.typed.forget();
            }
            match (piece, self.stopped.is_some()) {
                (Piece::Output { at, lane, offset, data, why }, false) => {
                    self.recording.output(at, lane, offset, &data, why);
                    if lane == Lane::Io && self.typed.is_awake() {
                        self.typed.output(offset, &data);
                        self.record_input(at);
                    }
                }
                (Piece::Input { at, offset, data }, false) => {
                    self.typed.input(offset, &data);
                    self.record_input(at);
                }
                (Piece::Said { at, said }, false) => {
                    self.typed.said(said);
                    self.record_input(at);
                }
                (Piece::Output { lane, offset, data, .. }, true) => {
                    let skipped = &mut self.skipped[usize::from(lane == Lane::Err)];
                    *skipped = (*skipped).max(offset + data.len() as u64);
                }
                (Piece::Resize { at, cols, rows }, false) => self.recording.resize(at, cols, rows),
                (Piece::Marker { at, text }, false) => self.recording.marker(at, &text),
                (
                    Piece::Resize { .. }
                    | Piece::Marker { .. }
                    | Piece::Input { .. }
                    | Piece::Said { .. },
                    true,
                ) => {}
            }
            if self.recording.waiting() >= BLOCK_BYTES {
                self.write();
            }
            if self.stopped.is_none() && self.staged.length() >= self.limit {
                self.stopped =
                    Some(format!("the recording reached its limit of {} MiB", self.limit >> 20));
            }
        }
        if let Some((at, why)) = taken.end {
            if self.stopped.is_none() {
                self.typed.finish();
                self.record_input(at);
            }
            let stopped =
                self.stopped.clone().unwrap_or_else(|| "it did not reach the recorder".to_owned());
            self.name_what_was_missed(&stopped);
            for (lane, length) in LANES.into_iter().zip(taken.lengths) {
                self.recording.missing(at, lane, length.unwrap_or(0), &stopped);
            }
            if taken.dropped && taken.lengths[0].is_none() {
                self.recording
                    .gap(at, "the last of the output was not recorded: the recorder was too slow");
            }
            self.end = Some((at, why));
        }
    }

    /// Records the input that is known to have been shown by now.
    fn record_input(&mut self, at: u64) {
        for found in self.typed.take() {
            match found {
                Found::Input(text) => self.recording.input(at, &text),
                Found::Hidden => self.recording.marker(at, typed::HIDDEN),
                Found::Missing(why) => {
                    self.recording.gap(at, &format!("some input was not recorded: {why}"))
                }
            }
        }
    }

    /// Writes what is in memory as one block.
    fn write(&mut self) {
        let block = self.pending.take().unwrap_or_else(|| self.recording.take(self.tape.now()));
        if block.is_empty() {
            return;
        }
        if let Err(error) = self.staged.append(&block) {
            self.stopped = Some(format!("the disk failed: {error}"));
            self.disk_full = is_full(&error);
            self.pending = Some(block);
        }
    }

    fn finish(&mut self) {
        if let Some((at, why)) = self.end.take() {
            self.recording.end(at, &why);
        }
        self.write();
        if self.pending.is_some() {
            self.end = Some((self.tape.now(), String::new())); // only the written file makes it over
        }
        self.over = self.pending.is_none();
    }
}
