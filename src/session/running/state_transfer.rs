//! State transfer of one session, see [`crate::handover`].
//!
//! # Invariants
//! - Each field of a session is named here, so a new field does not compile before somebody
//!   decides whether it is transferred.

use super::ports::Ports;
use super::running::Running;
use crate::handover::form::{Reader, Writer, contradiction};
use crate::limits;
use crate::process::family::Family;
use crate::process::spawn::Report;
use crate::session::input::Input;
use crate::sys::watch;
use std::io;
use std::os::fd::AsFd as _;
use std::time::Instant;
use towline_wire::frame::StreamId;
use towline_wire::message::ExitStatus;
use towline_wire::mux::Mux;
use towline_wire::stream::{Receiver, ReceiverState, Sender, SenderState};

impl Running {
    /// # Errors
    /// No memory.
    pub(in crate::session) fn hand_over<'a>(
        &'a self,
        mux: &'a Mux,
        to: &mut Writer<'a>,
    ) -> io::Result<()> {
        let Self {
            name,
            io,
            err,
            pid,
            exited,
            family,
            starting,
            ports,
            input,
            drain_until,
            end_at,
            timed_out,
            detector: _,
            lines: _,
            // It is forgotten soon; until then it takes a place.
            closed: _,
            // The gateway asks again on the next link.
            echo: _,
        } = self;
        to.text(name)?;
        to.number((*io).into())?;
        to.option(*err, |to, err| to.number(err.into()))?;
        to.pid(*pid)?;
        to.option(exited.as_ref(), write_status)?;
        to.option(family.as_ref(), |to, family| family.hand_over(to))?;
        to.option(starting.as_ref(), |to, (report, _)| {
            to.descriptor(report.as_fd())?;
            to.text(report.program())
        })?;
        ports.hand_over(to)?;
        let (kept, ended) = input.kept();
        to.runs(kept.iter().map(|run| run.len() as u64).sum(), kept.into_iter())?;
        to.flag(ended)?;
        to.flag(drain_until.is_some())?;
        to.option(*end_at, Writer::instant)?;
        to.flag(*timed_out)?;
        for id in [Some(*io), *err].into_iter().flatten() {
            write_stream(mux, id, to)?;
        }
        Ok(())
    }

    /// # Errors
    /// See [`Reader`]; or the descriptors cannot be watched.
    pub(in crate::session) fn take_over(
        from: &mut Reader<'_>,
        mux: &mut Mux,
        now: Instant,
    ) -> io::Result<Self> {
        // Read in the order in which they are written.
        let running = Self {
            name: from.text()?,
            io: from.small()?,
            err: from.option(Reader::small)?,
            pid: from.pid()?,
            exited: from.option(read_status)?,
            family: from.option(Family::take_over)?,
            starting: from.option(|from| {
                let report = Report::of(from.descriptor()?, from.text()?);
                let ready = watch(report.as_fd().try_clone_to_owned()?)?;
                Ok((report, ready))
            })?,
            ports: Ports::take_over(from)?,
            input: read_input(from)?,
            drain_until: from.flag()?.then(|| now + limits::DRAIN_AFTER_EXIT),
            end_at: from.option(Reader::instant)?,
            timed_out: from.flag()?,
            detector: None,
            closed: false,
            lines: heapless::Vec::new(),
            echo: None,
        };
        for id in [Some(running.io), running.err].into_iter().flatten() {
            read_stream(mux, id, from)?;
        }
        Ok(running)
    }
}

fn read_input(from: &mut Reader<'_>) -> io::Result<Input> {
    let mut input = Input::default();
    input.keep(&from.bytes()?);
    if from.flag()? {
        input.end();
    }
    Ok(input)
}

impl Ports {
    fn hand_over<'a>(&'a self, to: &mut Writer<'a>) -> io::Result<()> {
        let Self { main, err, stdin, terminal, .. } = self;
        to.flag(*terminal)?;
        for port in [main, err, stdin] {
            to.option(port.as_ref(), |to, port| to.descriptor(port.get_ref().as_fd()))?;
        }
        Ok(())
    }

    fn take_over(from: &mut Reader<'_>) -> io::Result<Self> {
        let terminal = from.flag()?;
        let mut port = || from.option(Reader::descriptor);
        Self::of([port()?, port()?, port()?], terminal)
    }
}

fn write_status(to: &mut Writer<'_>, status: &ExitStatus) -> io::Result<()> {
    let (kind, number) = match *status {
        ExitStatus::Code(code) => (0, code),
        ExitStatus::Signal(signal) => (1, signal),
        ExitStatus::TimedOut => (2, 0),
    };
    to.number(kind)?;
    to.number(number.into())
}

fn read_status(from: &mut Reader<'_>) -> io::Result<ExitStatus> {
    let (kind, number): (u8, u8) = (from.small()?, from.small()?);
    match kind {
        0 => Ok(ExitStatus::Code(number)),
        1 => Ok(ExitStatus::Signal(number)),
        2 => Ok(ExitStatus::TimedOut),
        _ => Err(contradiction("how a program ended")),
    }
}

fn write_stream(mux: &Mux, id: StreamId, to: &mut Writer<'_>) -> io::Result<()> {
    let (tx, rx) = mux.ends(id).ok_or_else(|| contradiction("a session without its stream"))?;
    let SenderState { base, end, sent, finished, fin_acked } = tx.state();
    for number in [base, end, sent] {
        to.number(number)?;
    }
    to.flag(finished)?;
    to.flag(fin_acked)?;
    to.runs(end - base, tx.held())?;
    let ReceiverState { received, consumed, length } = rx.state();
    to.number(received)?;
    to.number(consumed)?;
    to.option(length, Writer::number)
}

fn read_stream(mux: &mut Mux, id: StreamId, from: &mut Reader<'_>) -> io::Result<()> {
    let (base, end, sent) = (from.number()?, from.number()?, from.number()?);
    let tx = SenderState { base, end, sent, finished: from.flag()?, fin_acked: from.flag()? };
    let held = from.bytes()?;
    let rx = ReceiverState {
        received: from.number()?,
        consumed: from.number()?,
        length: from.option(Reader::number)?,
    };
    let rx =
        Receiver::succeeding(&rx, limits::INPUT).ok_or_else(|| contradiction("an input stream"))?;
    // A copy may have more than a ring of today's settings holds.
    let added =
        mux.add(id, Sender::new(limits::REPLAY_ONE.max(held.len().next_power_of_two())), rx);
    added.map_err(|full| contradiction(&full.to_string()))?;
    let succeeds =
        mux.stream(id).is_some_and(|(stream, budget)| stream.tx.succeed(&tx, &held, budget));
    if succeeds {
        Ok(())
    } else {
        Err(contradiction("an output stream, or there is no room for it"))
    }
}
