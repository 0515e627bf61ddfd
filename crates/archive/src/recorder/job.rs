//! One recording under way: its tape, its lines, its file, and what happens when the file cannot be
//! written.
//!
//! # Invariants
//! - The chain of lines is at most one block ahead of the file. A block that could not be written
//!   is kept and tried again; output that arrives meanwhile becomes a gap with the reason.
//! - A recording goes on behind each of its parts; it is one chain in one file. After the session's
//!   limit nothing but the end is added.

use std::io;
use std::path::Path;
use std::sync::Arc;

use towline_evidence::digest::Digest;
use towline_evidence::node::What;
use towline_evidence::recording::{Lane, Recording};
use towline_evidence::typed::{self, Found, Typed};

use super::disk_space::is_full;
use super::staging::Staged;
use super::tape::{Piece, TOO_SLOW, Taken, Tape};
use crate::limits::BLOCK_BYTES;

/// Why output is missing at the end that no tape has seen.
const NOT_ARRIVED: &str = "it did not reach the recorder";

const LANES: [Lane; 2] = [Lane::Io, Lane::Err];

/// A step of the thread's work on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Take everything from the tape.
    Drain,
    /// Write the lines that are in memory.
    Flush,
}

/// A recording under way.
pub(super) struct Job {
    tape: Arc<Tape>,
    recording: Recording,
    staged: Staged,
    /// Whose session it is.
    principal: String,
    /// Bytes of a part.
    part: u64,
    /// Parts that are full.
    parts: u64,
    /// A part has become full since it was asked for.
    part_ended: bool,
    limit: u64,
    /// A block that could not be written yet.
    pending: Option<Vec<u8>>,
    /// It could not be written because the disk is full.
    disk_full: bool,
    /// Why nothing is recorded at the moment.
    stopped: Option<String>,
    reported: bool,
    /// Positions that output reached while nothing was recorded.
    skipped: [u64; 2],
    end: Option<(u64, String)>,
    over: bool,
    signed_lines: u64,
    /// Input that may be recorded once the device confirms it.
    typed: Typed,
}

impl Job {
    pub(super) fn new(
        tape: Arc<Tape>,
        recording: Recording,
        staged: Staged,
        principal: String,
        (part, limit): (u64, u64),
    ) -> Self {
        let over = recording.is_ended();
        Self {
            tape,
            recording,
            principal,
            part,
            parts: staged.length() / part.max(1),
            part_ended: false,
            staged,
            limit,
            pending: None,
            disk_full: false,
            stopped: None,
            reported: false,
            skipped: [0; 2],
            end: None,
            over,
            signed_lines: 0,
            typed: Typed::default(),
        }
    }

    /// Does a step. `paused`: why nothing may be recorded, if so.
    pub(super) fn step(&mut self, step: Step, paused: Option<&str>) {
        if self.over {
            return;
        }
        self.reconsider(paused);
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

    /// Whether the recording has ended and its last seal is in the file.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Whose session it is.
    pub(super) fn principal(&self) -> &str {
        &self.principal
    }

    /// Whether a part has become full since the last call, and is in the file with its seal.
    pub(super) const fn part_ended(&mut self) -> bool {
        std::mem::replace(&mut self.part_ended, false)
    }

    /// Whether a block waits because the disk is full.
    pub(super) const fn is_stuck(&self) -> bool {
        self.pending.is_some() && self.disk_full
    }

    /// Why nothing is recorded, unless that was reported.
    pub(super) fn failure(&self) -> Option<&str> {
        self.stopped.as_deref().filter(|_| !self.reported)
    }

    /// Marks the failure as reported.
    pub(super) const fn failure_reported(&mut self) {
        self.reported = true;
    }

    /// Lines and head of the chain, if there are new lines and all are in the file.
    pub(super) fn progress(&mut self) -> Option<(u64, Digest)> {
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

    /// The record of the recording's end.
    pub(super) fn ended(&self, session: &str, object: &str) -> What {
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

    /// Bytes in the file.
    pub(super) fn bytes(&self) -> u64 {
        self.staged.length()
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.staged.sync()
    }

    pub(super) fn path(&self) -> &Path {
        &self.staged.path
    }

    /// Decides whether output is recorded from here on; when recording resumes, writes the gap.
    fn reconsider(&mut self, paused: Option<&str>) {
        if self.pending.is_some() {
            self.write();
        }
        let why = if self.pending.is_some() {
            self.stopped.take().or_else(|| Some("the disk failed".to_owned()))
        } else if self.staged.length() >= self.limit {
            Some(format!("the recording reached its limit of {} MiB", self.limit >> 20))
        } else {
            paused.map(str::to_owned)
        };
        if why.is_none()
            && let Some(before) = self.stopped.take()
        {
            self.record_gaps(&before);
            self.reported = false;
        }
        self.stopped = why.or(self.stopped.take());
    }

    fn record_gaps(&mut self, why: &str) {
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
            let stopped = self.stopped.clone();
            self.record_gaps(stopped.as_deref().unwrap_or(NOT_ARRIVED));
            for (lane, (length, dropped)) in
                LANES.into_iter().zip(taken.lengths.into_iter().zip(taken.dropped))
            {
                let slow = stopped.as_deref().unwrap_or(TOO_SLOW);
                self.recording.missing(at, lane, dropped.unwrap_or(0), slow);
                let why = stopped.as_deref().unwrap_or(NOT_ARRIVED);
                self.recording.missing(at, lane, length.unwrap_or(0), why);
            }
            self.end = Some((at, why));
        }
    }

    /// Records the input that is known to have been shown.
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

    /// Writes the lines in memory as one block.
    fn write(&mut self) {
        let block = self.pending.take().unwrap_or_else(|| self.recording.take(self.tape.now()));
        if block.is_empty() {
            return;
        }
        if let Err(error) = self.staged.append(&block) {
            self.stopped = Some(format!("the disk failed: {error}"));
            self.disk_full = is_full(&error);
            self.pending = Some(block);
            return;
        }
        let full = self.staged.length() / self.part.max(1);
        if full > self.parts && self.end.is_none() && !self.recording.is_ended() {
            (self.parts, self.part_ended) = (full, true);
            let text = format!("part {} of the recording begins", full + 1);
            self.recording.marker(self.tape.now(), &text);
        }
    }

    fn finish(&mut self) {
        if let Some((at, why)) = self.end.take() {
            self.recording.end(at, &why);
        }
        self.write();
        if self.pending.is_some() {
            // the recording has ended only when its file is written
            self.end = Some((self.tape.now(), String::new()));
        }
        self.over = self.pending.is_none();
    }
}
