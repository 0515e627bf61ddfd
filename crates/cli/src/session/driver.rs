//! The loop of a session: what can happen, and what is done about it.
//!
//! # Invariants
//! - All that can happen is in [`Event`]; each is dealt with in one place, without waiting.
//! - After the end was told, only local output is still written.
//! - The operator's controls (escapes, signals, the terminal's size) depend neither on the link nor
//!   on room for input. `^C` is for the device while bytes flow; else it ends this program.

use std::io;

use tokio::time::Instant;
use towline_wire::client::{ERR, FromClient, IO, ToClient};
use towline_wire::frame::StreamId;
use towline_wire::message::{Size, decode};

use super::begin::{Manner, Token};
use super::end_of_input::EndOfInput;
use super::ending::Ending;
use super::error::SessionError;
use super::link::{self, Link};
use super::local::{Local, read};
use super::notices;
use super::patience::{chance, until};
use super::streams::{Broken, Received, Streams};
use super::trouble::Trouble;
use super::writer::LocalWriter;
use crate::api::CallError;
use crate::exit;
use crate::limits::{CLOSE_TIMEOUT, MAX_PASSED_SIGNALS, TUNNEL_WINDOW};
use crate::platform::{self, Reader, Signal};
use crate::terminal::escape::{self, Action};
use crate::terminal::printable;

/// Everything that can happen.
enum Event {
    /// The websocket, or its return.
    Link(link::Event),
    /// Standard input was read.
    Input(io::Result<usize>),
    /// Local output takes bytes again.
    Writable(StreamId),
    /// A signal.
    Signal(Signal),
    /// The terminal on the device may not know yet that input has ended.
    EndAgain,
    /// The device has taken no input for a while: the terminal is read all the same.
    Stuck,
    /// The reader of the output is gone.
    Abandoned,
    /// The status line says something else.
    Turn,
    /// Closing has taken long enough.
    Deadline,
}

/// How far the session is.
enum Phase {
    Running,
    /// The gateway was asked to end it.
    Closing {
        until: Instant,
        ending: Ending,
    },
    /// It is over; local output may have to be written.
    Over(Ending),
}

/// Drives a session to its end.
pub(super) struct Driver {
    session: String,
    link: Link,
    streams: Streams,
    local: Local,
    manner: Manner,
    phase: Phase,
    /// Bytes flow; else a message waits for the next attach.
    attached: bool,
    /// The device was attached before: it has a session to go back to.
    begun: bool,
    /// The size that the device was told last.
    told: Option<Size>,
    /// Why bytes do not flow, and how many bytes were typed and discarded meanwhile.
    trouble: Trouble,
    /// Signals passed on so far.
    signals: u32,
    /// The request for the keyboard that waits for an answer.
    asked: Option<u32>,
    /// The reader of standard output, whose absence ends the session.
    reader: Option<Reader>,
}

impl Driver {
    pub(super) fn new(
        session: String,
        link: Link,
        local: Local,
        manner: Manner,
        reader: Option<Reader>,
    ) -> Self {
        let streams = if manner.bulk {
            Streams::sized(TUNNEL_WINDOW, TUNNEL_WINDOW as usize)
        } else {
            Streams::new()
        };
        Self {
            session,
            link,
            streams,
            local,
            manner,
            phase: Phase::Running,
            attached: false,
            begun: false,
            told: None,
            trouble: Trouble::default(),
            signals: 0,
            asked: None,
            reader,
        }
    }

    /// Drives the session to its end, and leaves the terminal as it was.
    pub(super) async fn run(mut self, token: Token) -> Result<Ending, SessionError> {
        let result = self.drive(token).await;
        for writer in &mut self.local.writers {
            writer.undo().await;
        }
        result
    }

    async fn drive(&mut self, token: Token) -> Result<Ending, SessionError> {
        self.attach(token)?;
        if self.local.input.is_none() {
            self.local.finish_if_passed_on(&mut self.streams);
        }
        loop {
            if let Phase::Over(ending) = &self.phase
                && self.local.writers.iter().all(LocalWriter::is_empty)
            {
                return Ok(ending.clone());
            }
            match self.next().await {
                Event::Link(event) => self.on_link(event)?,
                Event::Input(result) => self.on_input(&result)?,
                Event::Writable(id) => self.on_writable(id)?,
                Event::Signal(signal) => self.on_signal(signal)?,
                Event::EndAgain => self.local.end_input_again(&mut self.streams),
                Event::Stuck => {}
                // Told here and not by a write: the link may be away, or the device silent.
                Event::Abandoned => self.close(Ending::abandoned())?,
                Event::Turn => {
                    self.trouble.turn(Instant::now());
                    self.show_again();
                }
                Event::Deadline => self.leave(),
            }
        }
    }

    async fn next(&mut self) -> Event {
        let running = matches!(self.phase, Phase::Running);
        let over = matches!(self.phase, Phase::Over(_));
        let deadline = match &self.phase {
            Phase::Closing { until, .. } => Some(*until),
            Phase::Running | Phase::Over(_) => None,
        };
        let attached = running && self.attached;
        let wants_input = (running || self.local.raw.is_some())
            && self.local.wants_input(&mut self.streams, attached);
        let stuck = self.local.stuck_at().filter(|_| !wants_input);
        let is_drawn = running && !self.attached && self.local.raw.is_some();
        let turn = self.trouble.turns_at().filter(|_| is_drawn);
        let again = self.local.ended.as_ref().and_then(EndOfInput::due).filter(|_| running);
        let Local { input, buffer, writers: [out, err], signals, .. } = &mut self.local;
        tokio::select! {
            event = self.link.next(&mut self.streams), if !over => Event::Link(event),
            result = read(input.as_ref(), buffer), if wants_input => Event::Input(result),
            () = out.writable() => Event::Writable(IO),
            () = err.writable() => Event::Writable(ERR),
            signal = signals.next() => Event::Signal(signal),
            () = until(again) => Event::EndAgain,
            () = until(stuck) => Event::Stuck,
            () = platform::gone(self.reader.as_ref()), if running => Event::Abandoned,
            () = until(turn) => Event::Turn,
            () = until(deadline) => Event::Deadline,
        }
    }

    /// Says who we are and what we have.
    fn attach(&mut self, Token(token): Token) -> Result<(), SessionError> {
        let received = self.streams.received().map(Into::into);
        let room = self.streams.room().into();
        let size = if self.manner.terminal { self.local.size_to_attach() } else { None };
        self.told = size;
        Ok(self.streams.control(&FromClient::Attach { token, received, room, size })?)
    }

    fn on_link(&mut self, event: link::Event) -> Result<(), SessionError> {
        match event {
            link::Event::Frame(frame) => self.on_frame(&frame),
            link::Event::Lost(why) => self.on_lost(&why),
            link::Event::PauseOver => {
                self.link.attempt();
                Ok(())
            }
            link::Event::Back(token) => self.attach(token),
            link::Event::Failed(error) => self.on_failed(error),
        }
    }

    fn on_frame(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        match self.streams.on_message(frame)? {
            Received::Output(id, data) => {
                if let Some(ended) = &mut self.local.ended {
                    ended.on_output(Instant::now());
                }
                let result = self.local.writer(id).put(data);
                self.written(id, data.len(), result)
            }
            Received::Control(body) => {
                let message = decode(body).map_err(Broken::from)?;
                self.on_control(message)
            }
            Received::Room => {
                self.pass_on()?;
                if self.trouble.discarded > 0 && self.local.stuck_at().is_none() {
                    self.report_discarded();
                }
                Ok(())
            }
            Received::Nothing => Ok(()),
        }
    }

    fn on_control(&mut self, message: ToClient) -> Result<(), SessionError> {
        match message {
            ToClient::Attached { output, input, room } => {
                let terminal = self.manner.terminal;
                let dropped = if terminal { self.streams.give_way(input) } else { None };
                let missed = self.streams.attached(output.into(), input, room)?;
                self.attached = true;
                self.begun = true;
                self.local.attached();
                self.link.recovered();
                self.local.status.clear("reconnected");
                self.report_discarded();
                if missed > 0 || dropped.is_some() {
                    self.local.status.say(&notices::returned(missed, dropped));
                }
                self.resize()?;
                self.pass_on()
            }
            ToClient::Waiting { grace } => {
                self.attached = false;
                self.trouble.device_is_away(grace, Instant::now());
                self.show_again();
                Ok(())
            }
            ToClient::Ended { reason, text } => {
                self.finish(Ending::of(reason, &text));
                Ok(())
            }
            ToClient::Refused { text, taken_over } => {
                let text = printable(&text);
                self.finish(match taken_over {
                    true => Ending::taken(&self.session, text),
                    false => Ending::new(exit::REFUSED, text),
                });
                Ok(())
            }
            ToClient::NotConnected { text } => {
                self.local.status.say(&[format!("towline: {}", printable(&text))]);
                Ok(())
            }
            ToClient::Watched { by } => {
                self.local.status.say(&notices::watched(&by));
                Ok(())
            }
            ToClient::Message { from, text } => {
                self.local.status.say(&notices::message(&from, &text));
                Ok(())
            }
            ToClient::AccessEnds { request, seconds, ends_session } => {
                self.local.status.say(&notices::access_ends(&request, seconds, ends_session));
                Ok(())
            }
            ToClient::SeatAsked { request, by } => {
                self.ask_for_seat(request, &by);
                Ok(())
            }
            // For viewers.
            ToClient::Watching { .. } | ToClient::Resized(_) | ToClient::Missed { .. } => Ok(()),
        }
    }

    fn ask_for_seat(&mut self, request: u32, by: &str) {
        let Some(escape) = self.manner.escape else { return };
        self.asked = Some(request);
        self.local.escapes.ask(true);
        self.local.status.say(&notices::seat_asked(by, escape));
    }

    fn answer_seat(&mut self, give: bool) -> Result<(), SessionError> {
        self.local.escapes.ask(false);
        let Some(request) = self.asked.take() else { return Ok(()) };
        Ok(self.streams.control(&FromClient::AnswerSeat { request, give })?)
    }

    fn on_lost(&mut self, why: &str) -> Result<(), SessionError> {
        self.streams.link_lost();
        self.attached = false;
        if let Phase::Closing { .. } = self.phase {
            self.leave();
            return Ok(());
        }
        self.show(format!("connection to the gateway lost ({}): reconnecting", printable(why)));
        self.retry(CallError::Broken { to: "the gateway".to_owned(), why: why.to_owned() })
    }

    fn on_failed(&mut self, error: CallError) -> Result<(), SessionError> {
        if let Phase::Closing { .. } = self.phase {
            self.leave();
            return Ok(());
        }
        if let CallError::TakenOver { by } = error {
            let line = notices::taken_over(&by, self.trouble.typed);
            self.finish(Ending::taken(&self.session, line));
            return Ok(());
        }
        if !error.may_heal() {
            return Err(SessionError::not_resumed(error));
        }
        if self.manner.terminal {
            let seconds = self.link.down_for().as_secs();
            self.show(format!(
                "disconnected for {seconds} s, retrying: {}",
                printable(&error.to_string())
            ));
        }
        self.retry(error)
    }

    fn retry(&mut self, last: CallError) -> Result<(), SessionError> {
        if self.link.lost(chance()) {
            return Ok(());
        }
        Err(SessionError::NotBack { session: self.session.clone(), last })
    }

    fn on_input(&mut self, result: &io::Result<usize>) -> Result<(), SessionError> {
        match result {
            // A raw terminal has no end of input: it is gone.
            Ok(0) | Err(_) if self.local.raw.is_some() => {
                self.close(Ending::by_signal(Signal::Hangup.number()))
            }
            Ok(0) | Err(_) => {
                self.local.end_input(&mut self.streams, self.manner.terminal);
                Ok(())
            }
            Ok(n) => {
                let idle = !self.attached || !matches!(self.phase, Phase::Running);
                if idle && self.local.is_interrupt(*n) {
                    return self.interrupt();
                }
                let action = self.local.take(*n, &mut self.streams);
                self.act(action)?;
                self.pass_on()?;
                self.count_typed(*n);
                Ok(())
            }
        }
    }

    /// `^C` while bytes do not flow: nobody else would hear it.
    fn interrupt(&mut self) -> Result<(), SessionError> {
        let number = Signal::Interrupt.number();
        if !matches!(self.phase, Phase::Running) || !self.begun {
            return self.close(Ending::by_signal(number));
        }
        // The program on the device goes on: it was not asked.
        self.detach(128 + number);
        Ok(())
    }

    /// Shows why bytes do not flow, and what can be done about it.
    fn show(&mut self, text: String) {
        self.trouble.tell(text);
        self.show_again();
    }

    fn show_again(&mut self) {
        let raw = self.local.raw.is_some();
        let text = if raw { self.trouble.line() } else { self.trouble.message() };
        self.local.status.show(&text, self.local.size());
    }

    /// Bytes were typed: says what becomes of them where the device does not show it.
    fn count_typed(&mut self, n: usize) {
        if self.local.raw.is_none() || !matches!(self.phase, Phase::Running) {
            return;
        }
        let discarded = self.local.take_discarded();
        if discarded > 0 && self.trouble.discarded == 0 {
            let line =
                "towline: the device takes no input: what is typed from here on is discarded";
            self.local.status.say(&[line.to_owned()]);
        }
        self.trouble.discarded += discarded;
        if !self.attached {
            self.trouble.typed += n.saturating_sub(discarded);
            self.show_again();
        }
    }

    /// The device takes input again.
    fn report_discarded(&mut self) {
        let Trouble { discarded, .. } = std::mem::take(&mut self.trouble);
        if discarded > 0 {
            self.local.status.say(&[format!("towline: {discarded} typed bytes were discarded")]);
        }
    }

    /// Passes on input that the session had no room for.
    fn pass_on(&mut self) -> Result<(), SessionError> {
        while let Some(action) = self.local.pass_on(&mut self.streams) {
            self.act(Some(action))?;
        }
        if self.local.input.is_none() {
            self.local.finish_if_passed_on(&mut self.streams);
        }
        Ok(())
    }

    fn act(&mut self, action: Option<Action>) -> Result<(), SessionError> {
        match action {
            None => Ok(()),
            Some(Action::Disconnect) => {
                self.close(Ending::new(exit::ENDED, "the session was closed"))
            }
            Some(Action::Help) => {
                let lines = escape::help(self.manner.escape.unwrap_or(escape::DEFAULT));
                self.local.status.say(&lines);
                if !self.attached {
                    self.show_again();
                }
                Ok(())
            }
            Some(Action::Suspend) if self.manner.guest || !platform::CAN_SUSPEND => {
                self.local.status.say(&[notices::no_suspend(self.manner).to_owned()]);
                Ok(())
            }
            Some(Action::Suspend) => self.suspend(),
            Some(Action::Answer(give)) => self.answer_seat(give),
        }
    }

    fn on_writable(&mut self, id: StreamId) -> Result<(), SessionError> {
        let result = self.local.writer(id).drain();
        self.written(id, 0, result)
    }

    /// What became of output; `fresh` bytes of it are new, the others waited.
    fn written(
        &mut self,
        id: StreamId,
        fresh: usize,
        result: io::Result<usize>,
    ) -> Result<(), SessionError> {
        match result {
            Ok(done) => {
                self.streams.consumed(id, done);
                Ok(())
            }
            Err(error) => {
                let gone = self.local.writer(id).discard();
                self.streams.consumed(id, fresh + gone);
                // Without stderr a command goes on, as it would in a shell.
                if id == ERR || !matches!(self.phase, Phase::Running) {
                    return Ok(());
                }
                self.close(match platform::is_reader_gone(&error) {
                    true => Ending::abandoned(),
                    false => Ending::new(
                        exit::LOCAL,
                        format!("cannot write to standard output: {error}"),
                    ),
                })
            }
        }
    }

    fn on_signal(&mut self, signal: Signal) -> Result<(), SessionError> {
        match signal {
            Signal::WindowChange => self.resize(),
            Signal::Stop => self.suspend(),
            Signal::Continue => self.resumed(),
            Signal::Interrupt | Signal::Terminate | Signal::Quit
                if !self.manner.terminal
                    && !self.manner.bulk
                    && self.attached
                    && self.signals < MAX_PASSED_SIGNALS =>
            {
                self.signals += 1;
                Ok(self.streams.control(&FromClient::Signal(signal.number()))?)
            }
            Signal::Hangup | Signal::Interrupt | Signal::Terminate | Signal::Quit => {
                self.close(Ending::by_signal(signal.number()))
            }
        }
    }

    /// Tells the device the size of the terminal if it changed.
    fn resize(&mut self) -> Result<(), SessionError> {
        if !self.manner.terminal || !self.attached || !matches!(self.phase, Phase::Running) {
            // The next message of the device that it is attached leads here again.
            return Ok(());
        }
        match self.local.size() {
            Some(size) if self.told != Some(size) => {
                self.told = Some(size);
                Ok(self.streams.control(&FromClient::Resize(size))?)
            }
            _ => Ok(()),
        }
    }

    fn suspend(&mut self) -> Result<(), SessionError> {
        self.local.suspend();
        self.resize()
    }

    fn resumed(&mut self) -> Result<(), SessionError> {
        self.local.resumed();
        self.resize()
    }

    /// Ends the session on purpose.
    fn close(&mut self, ending: Ending) -> Result<(), SessionError> {
        if !matches!(self.phase, Phase::Running) {
            self.leave();
            return Ok(());
        }
        if !self.link.is_up() {
            self.detach(ending.code);
            return Ok(());
        }
        self.streams.control(&FromClient::Close)?;
        self.phase = Phase::Closing { until: Instant::now() + CLOSE_TIMEOUT, ending };
        self.discard();
        Ok(())
    }

    /// Leaves without an end of the session.
    fn detach(&mut self, code: u8) {
        let line = format!(
            "not connected: the session continues on the device for its grace time; reattach with: \
             towline attach {}",
            self.session
        );
        self.local.status.clear("");
        self.phase = Phase::Over(Ending::new(code, line));
        self.discard();
    }

    /// Closing, and nothing is waited for any more.
    fn leave(&mut self) {
        if let Phase::Closing { ending, .. } | Phase::Over(ending) = &self.phase {
            self.phase = Phase::Over(ending.clone());
        }
        self.discard();
    }

    /// The gateway has reported the end. A deliberate close keeps its own ending.
    fn finish(&mut self, ending: Ending) {
        self.local.status.clear("");
        self.phase = match &self.phase {
            Phase::Closing { ending, .. } => Phase::Over(ending.clone()),
            Phase::Running | Phase::Over(_) => Phase::Over(ending),
        };
    }

    /// Discards output from here on.
    fn discard(&mut self) {
        for id in [IO, ERR] {
            let gone = self.local.writer(id).discard();
            self.streams.consumed(id, gone);
        }
    }
}
