//! `watch`: another user's terminal session in this terminal, read-only. And what becomes of a
//! terminal whose seat another client took: it watches, until the operator takes the session back
//! or leaves.
//!
//! Data flow: WatchSession (a token) -> websocket -> `Watch` -> the end of the output so far, then
//! what comes. A lost websocket: the same again.
//!
//! # Invariants
//! - Nothing of the session acts on this terminal: only drawing passes ([`Drawn`]). The terminal is
//!   itself again afterwards, whichever signal ends this program.
//! - Nothing is sent to the session.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use towline_evidence::text::Decoder;
use towline_ssm::Operation;
use towline_ssm::api::watch::{WatchSessionRequest, WatchSessionResponse};
use towline_wire::client::{FromClient, IO, ToClient};
use towline_wire::frame::Frame;
use towline_wire::message::{Size, decode, encode};

use super::context::Context;
use super::drawn::{Drawn, endings};
use crate::api::{CallError, Client, Dialect, Socket};
use crate::args::session::WatchArgs;
use crate::exit::{self, Failure};
use crate::limits::{WATCH_TRIES, WATCH_TRY_EVERY};
use crate::output::{Output, complain, new_line, while_read};
use crate::platform::{Access, LocalStream, is_terminal, size_of};
use crate::session::Ending;
use crate::terminal::printable;

/// Clears the screen for one that is shown anew.
const FRESH: &str = "\u{1b}[?1049l\u{1b}[0m\u{1b}[r\u{1b}[H\u{1b}[2J";

/// `watch`. Returns the exit code.
pub(super) async fn run(context: Context, args: WatchArgs) -> Result<u8, Failure> {
    let Context { mut client, output, .. } = context;
    let request =
        WatchSessionRequest { session_id: args.session, unseen: args.unseen.then_some(true) };
    let (mut screen, mut signals) = (Screen::new(output), endings()?);
    let ended = tokio::select! {
        ended = while_read(follow(&mut client, &request, &mut screen, None)) => ended,
        _ = signals.next() => Ok(Ending::silent(0)),
    };
    screen.leave()?;
    let ending = ended?;
    if let Some(line) = ending.line {
        complain(&line);
    }
    Ok(ending.code)
}

/// What an operator wants who has watched.
pub(super) enum After {
    /// The session back.
    TakeBack,
    /// Nothing more; or there is nothing to watch any more.
    Leave,
}

/// Shows a session whose seat another client took from this terminal.
pub(super) async fn from_the_seat(client: &mut Client, output: Output, session: String) -> After {
    let request = WatchSessionRequest { session_id: session, unseen: None };
    let Ok(keys) = LocalStream::open(std::io::stdin(), Access::Read) else { return After::Leave };
    // Who may not watch has been told already who has the session.
    let Ok(socket) = begin(client, &request).await else { return After::Leave };
    let Ok(mut signals) = endings() else { return After::Leave };
    let mut screen = Screen::new(output);
    screen.notice = Some("you watch the session now: Enter takes it back, ^C leaves it");
    let (after, why) = tokio::select! {
        ended = follow(client, &request, &mut screen, Some(socket)) => (After::Leave, Some(ended)),
        wanted = line(&keys) => (if wanted { After::TakeBack } else { After::Leave }, None),
        _ = signals.next() => (After::Leave, None),
    };
    let _ = screen.leave(); // a terminal that is gone needs no more
    match why {
        Some(Ok(Ending { line: Some(line), .. })) => complain(&line),
        Some(Err(error)) => complain(&error.to_string()),
        Some(Ok(_)) | None => {}
    }
    after
}

/// Waits for the end of a line. False: there are no more keys.
async fn line(keys: &LocalStream) -> bool {
    let mut buffer = [0; 256];
    loop {
        match keys.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(n) if buffer.iter().take(n).any(|key| matches!(key, b'\n' | b'\r')) => return true,
            Ok(_) => {}
        }
    }
}

/// Watches until the session or the right ends, through lost websockets.
async fn follow(
    client: &mut Client,
    request: &WatchSessionRequest,
    screen: &mut Screen,
    mut begun: Option<Socket>,
) -> Result<Ending, Failure> {
    let mut tries = 0;
    loop {
        let next = match begun.take() {
            Some(socket) => Ok(socket),
            None => begin(client, request).await,
        };
        match next {
            Ok(mut socket) => {
                screen.fresh()?;
                if let Some(ending) = show(&mut socket, screen).await? {
                    return Ok(ending);
                }
                tries = 0;
                complain("connection to the gateway lost: reconnecting");
            }
            Err(error) if tries > 0 && tries < WATCH_TRIES && error.may_heal() => {}
            Err(error) => return Err(error.into()),
        }
        tries += 1;
        sleep(WATCH_TRY_EVERY).await;
    }
}

async fn begin(client: &mut Client, request: &WatchSessionRequest) -> Result<Socket, CallError> {
    let answer: WatchSessionResponse = client.call(Operation::WatchSession, request).await?;
    let (mut socket, dialect) = client.upgrade(&answer.stream_url).await?;
    let refused =
        |why: &str| CallError::NotAGateway { to: answer.stream_url.clone(), why: why.to_owned() };
    if dialect != Dialect::Towline {
        return Err(refused("its data channels have no viewers"));
    }
    let watch = FromClient::Watch { token: answer.token_value.clone() };
    let control = encode(&watch).map_err(|_| refused("its token is too long"))?;
    let mut body = Vec::new();
    Frame::Control(&control).encode_body(&mut body);
    let broken = |error: tokio_tungstenite::tungstenite::Error| CallError::Broken {
        to: answer.stream_url.clone(),
        why: error.to_string(),
    };
    socket.send(Message::Binary(body.into())).await.map_err(broken)?;
    Ok(socket)
}

/// Shows what comes. `None`: the websocket was lost.
async fn show(socket: &mut Socket, screen: &mut Screen) -> Result<Option<Ending>, Failure> {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Binary(body) = message else { continue };
        let ending = match Frame::decode(&body) {
            Ok(Frame::Data { stream: IO, data, .. }) => {
                screen.draw(data)?;
                None
            }
            Ok(Frame::Control(control)) => match decode::<ToClient>(control) {
                Ok(word) => screen.word(word)?,
                Err(_) => Some(Ending::new(exit::TRANSPORT, "the gateway's message is malformed")),
            },
            Ok(_) => None,
            Err(_) => Some(Ending::new(exit::TRANSPORT, "the gateway's frame is malformed")),
        };
        if ending.is_some() {
            return Ok(ending);
        }
    }
    Ok(None)
}

/// This terminal as it shows the session.
struct Screen {
    output: Output,
    decoder: Decoder,
    drawn: Drawn,
    /// The size of the session's terminal that was told last.
    told: Option<Size>,
    /// Is told below the first output.
    notice: Option<&'static str>,
}

impl Screen {
    fn new(output: Output) -> Self {
        Self { output, decoder: Decoder::default(), drawn: Drawn::new(), told: None, notice: None }
    }

    fn draw(&mut self, data: &[u8]) -> Result<(), Failure> {
        let text = self.decoder.push(data);
        self.output.stream(&self.drawn.draw(&text))?;
        if let Some(notice) = self.notice.take() {
            new_line();
            complain(notice);
        }
        Ok(())
    }

    /// Begins anew: what follows does not go on from what is shown.
    fn fresh(&mut self) -> Result<(), Failure> {
        self.decoder = Decoder::default();
        let undo = self.drawn.undo();
        if is_terminal(std::io::stdout()) { self.output.text(&(undo + FRESH)) } else { Ok(()) }
    }

    fn word(&mut self, word: ToClient) -> Result<Option<Ending>, Failure> {
        match word {
            ToClient::Watching { size: Some(size) } | ToClient::Resized(size) => self.size(size),
            ToClient::Missed { bytes } => {
                self.fresh()?;
                complain(&format!("{bytes} bytes of output were not shown: too fast for this end"));
            }
            ToClient::Ended { reason, text } => {
                return Ok(Some(Ending::new(
                    0,
                    Ending::of(reason, &text)
                        .line
                        .unwrap_or_else(|| "the session has ended".to_owned()),
                )));
            }
            ToClient::Refused { text, .. } => {
                return Ok(Some(Ending::new(exit::REFUSED, printable(&text))));
            }
            _ => {}
        }
        Ok(None)
    }

    /// A smaller terminal shows other lines than the session's own.
    fn size(&mut self, size: Size) {
        let own = size_of(std::io::stdout());
        if self.told.replace(size) != Some(size)
            && let Some(own) = own
            && (own.cols < size.cols || own.rows < size.rows)
        {
            complain(&format!(
                "the session's terminal is {} by {}, larger than this one: lines may be displaced",
                size.cols, size.rows
            ));
        }
    }

    fn leave(&mut self) -> Result<(), Failure> {
        let undo = self.drawn.undo();
        if is_terminal(std::io::stdout()) { self.output.text(&(undo + "\r\n")) } else { Ok(()) }
    }
}
