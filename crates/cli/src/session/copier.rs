//! The operator's end of a copy: requests and answers of [`towline_wire::copy`] over a session.
//!
//! # Invariants
//! - What a device says is checked: names are single components, offsets follow each other.
//! - Content is never gathered: it goes from file to session and from session to file in frames.

use std::collections::VecDeque;
use std::pin::pin;

use bytes::Bytes;
use towline_files::Fault;
use towline_ssm::Operation;
use towline_ssm::api::session::{TerminateSessionRequest, TerminateSessionResponse};
use towline_wire::copy::{Answer, Ask, CAREFUL, Entry, VERSIONS, is_name};
use towline_wire::frame::{Frame, FrameReader, MAX_DATA};
use towline_wire::message::{Version, decode, encode};

use super::begin::Begin;
use super::error::{MayBeRefusal, SessionError};
use super::pipe::{Happened, Pipe};
use crate::api::{CallError, Client};
use crate::config::Settings;
use crate::exit::{self, HasExitCode};
use crate::limits::{CLOSE_TIMEOUT, MAX_FOLDER_ENTRIES};
use crate::terminal::printable;

/// Why a copy is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// The session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The session ended before the copy did.
    #[error("the session ended before the copy was complete{}", .0.as_deref().map(|why| format!(": {why}")).unwrap_or_default())]
    Ended(Option<String>),
    /// The device's words.
    #[error("{path} on the device: {why}")]
    Device {
        /// Where.
        path: String,
        /// What it says.
        why: String,
    },
    /// The device says what cannot be.
    #[error("the device violated the copy protocol: {0}")]
    Broken(&'static str),
    /// A local file.
    #[error("{}: {why}", .path.display())]
    Local {
        /// Which.
        path: std::path::PathBuf,
        /// What the system says.
        why: Fault,
    },
}

impl MayBeRefusal for CopyError {
    fn refusal(&self) -> Option<&CallError> {
        match self {
            Self::Session(error) => error.refusal(),
            _ => None,
        }
    }
}

impl HasExitCode for CopyError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Session(error) => error.exit_code(),
            Self::Ended(_) => exit::ENDED,
            Self::Device { .. } => exit::REFUSED,
            Self::Broken(_) => exit::TRANSPORT,
            Self::Local { .. } => exit::LOCAL,
        }
    }
}

/// What comes from the device.
enum Piece {
    Answer(Answer),
    Data(u64, Bytes),
}

/// The operator's end of a copy.
pub(crate) struct Copier<'a> {
    pipe: Pipe,
    /// Asks the API for what the stream cannot carry.
    settings: Settings,
    /// The gateway has said that the session is over.
    over: bool,
    /// The version of the copy protocol that the device speaks.
    version: u16,
    reader: FrameReader,
    waiting: VecDeque<Piece>,
    say: &'a mut dyn FnMut(&str),
}

impl<'a> Copier<'a> {
    /// Begins a session for a copy. `say` is told about the connection.
    pub(crate) async fn begin(
        client: Client,
        begin: Begin,
        say: &'a mut dyn FnMut(&str),
    ) -> Result<Self, CopyError> {
        let settings = client.settings().clone();
        let pipe = Pipe::begin(client, begin).await?;
        let (reader, waiting) = (FrameReader::new(), VecDeque::new());
        Ok(Self { pipe, settings, over: false, version: 1, reader, waiting, say })
    }

    /// Ends the session after the last file.
    pub(super) async fn end(mut self) {
        self.pipe.finish();
        self.await_end().await;
        if !self.over {
            self.abandon().await;
        }
    }

    /// Ends the session, whatever the device is doing in it.
    pub(super) async fn abandon(mut self) {
        if !self.over && self.pipe.close() {
            self.await_end().await;
        }
        if self.over {
            return;
        }
        let request = TerminateSessionRequest { session_id: self.pipe.session().to_owned() };
        let mut client = Client::new(self.settings);
        let asked = client.call::<TerminateSessionResponse>(Operation::TerminateSession, &request);
        // Without an answer the gateway ends a session that has no client.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, asked).await;
    }

    /// Waits a moment for the gateway to say that the session is over.
    async fn await_end(&mut self) {
        let rest = async {
            loop {
                match self.pipe.next().await {
                    Ok(Happened::Output(bytes)) => self.pipe.consumed(bytes.len()),
                    Ok(Happened::Ended(_)) | Err(SessionError::Over(_)) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        self.over = tokio::time::timeout(CLOSE_TIMEOUT, rest).await.unwrap_or(false);
    }

    /// Sends all of these bytes, taking in meanwhile what comes.
    async fn send(&mut self, frame: &Frame<'_>) -> Result<(), CopyError> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).map_err(|_| CopyError::Broken("a frame is too large"))?;
        let mut rest = &bytes[..];
        loop {
            let taken = self.pipe.push(rest);
            rest = &rest[taken..];
            if rest.is_empty() {
                return Ok(());
            }
            self.step().await?;
        }
    }

    async fn ask(&mut self, ask: &Ask) -> Result<(), CopyError> {
        let body = encode(ask).map_err(|_| CopyError::Broken("a path is too long"))?;
        self.send(&Frame::Control(&body)).await
    }

    /// Waits for something of the session.
    async fn step(&mut self) -> Result<(), CopyError> {
        match self.pipe.next().await? {
            Happened::Output(bytes) => self.take(&bytes),
            Happened::Ended(ending) => {
                self.over = true;
                Err(CopyError::Ended(ending.line))
            }
            Happened::News(line) => {
                (self.say)(&line);
                Ok(())
            }
            Happened::Nothing => Ok(()),
        }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), CopyError> {
        self.pipe.consumed(bytes.len());
        loop {
            let broken = |_| CopyError::Broken("it sent an invalid frame");
            while let Some(frame) = self.reader.next().map_err(broken)? {
                match frame {
                    Frame::Control(body) => {
                        let answer = decode(body)
                            .map_err(|_| CopyError::Broken("it sent an invalid answer"))?;
                        self.waiting.push_back(Piece::Answer(answer));
                    }
                    Frame::Version { min, max } => {
                        self.version = VERSIONS.agree(Version { min, max }).ok_or(
                            CopyError::Broken("it speaks another version: use a newer towline"),
                        )?;
                    }
                    Frame::Data { offset, data, .. } => {
                        self.waiting.push_back(Piece::Data(offset, Bytes::copy_from_slice(data)));
                    }
                    _ => {}
                }
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let spare = self.reader.spare();
            let n = spare.len().min(bytes.len());
            spare[..n].copy_from_slice(&bytes[..n]);
            self.reader.filled(n);
            bytes = &bytes[n..];
        }
    }

    async fn piece(&mut self) -> Result<Piece, CopyError> {
        loop {
            match self.waiting.pop_front() {
                Some(piece) => return Ok(piece),
                None => self.step().await?,
            }
        }
    }

    async fn answer(&mut self, path: &str) -> Result<Answer, CopyError> {
        match self.piece().await? {
            Piece::Answer(Answer::Failed(why)) => {
                Err(CopyError::Device { path: path.to_owned(), why: printable(&why) })
            }
            Piece::Answer(answer) => Ok(answer),
            Piece::Data(..) => Err(CopyError::Broken("it sent content without a request")),
        }
    }

    /// Whether the device keeps the promises of [`CAREFUL`]. Known after the first answer.
    #[must_use]
    pub(crate) fn is_careful(&self) -> bool {
        self.version >= CAREFUL
    }

    /// Waits for something local, and keeps the session alive meanwhile.
    pub(crate) async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, CopyError> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                stepped = self.step() => stepped?,
            }
        }
    }

    /// What is there.
    pub(crate) async fn look(&mut self, path: &str) -> Result<Entry, CopyError> {
        self.ask(&Ask::Look(path.to_owned())).await?;
        match self.answer(path).await? {
            Answer::Is(entry) => Ok(entry),
            _ => Err(CopyError::Broken("it sent an unexpected answer")),
        }
    }

    /// The entries of a directory, by name, and how many have names that are not UTF-8.
    pub(crate) async fn list(
        &mut self,
        path: &str,
    ) -> Result<(Vec<(String, Entry)>, u32), CopyError> {
        self.ask(&Ask::List(path.to_owned())).await?;
        let mut all = Vec::new();
        loop {
            match self.answer(path).await? {
                Answer::Item { name, .. } if !is_name(&name) => {
                    return Err(CopyError::Broken("a file name in a directory contains a path"));
                }
                Answer::Item { .. } if all.len() >= MAX_FOLDER_ENTRIES => {
                    return Err(CopyError::Broken("a directory has too many entries"));
                }
                Answer::Item { name, entry } => all.push((name, entry)),
                Answer::End { unnamed } => {
                    all.sort_by(|a, b| a.0.cmp(&b.0));
                    return Ok((all, unnamed));
                }
                _ => return Err(CopyError::Broken("it sent an unexpected answer")),
            }
        }
    }

    /// A file's content from an offset on, piece by piece; the digest of all of it.
    pub(crate) async fn read(
        &mut self,
        path: &str,
        offset: u64,
        mut piece: impl AsyncFnMut(&[u8]) -> Result<(), CopyError>,
    ) -> Result<[u8; 32], CopyError> {
        self.ask(&Ask::Read { path: path.to_owned(), offset }).await?;
        let mut at = offset;
        loop {
            match self.piece().await? {
                Piece::Data(here, data) if here == at => {
                    at += data.len() as u64;
                    piece(&data).await?;
                }
                Piece::Data(..) => return Err(CopyError::Broken("content is missing")),
                Piece::Answer(Answer::Whole(digest)) => return Ok(digest),
                Piece::Answer(Answer::Failed(why)) => {
                    return Err(CopyError::Device { path: path.to_owned(), why: printable(&why) });
                }
                Piece::Answer(_) => return Err(CopyError::Broken("it sent an unexpected answer")),
            }
        }
    }

    /// Begins to write a file; how many bytes of the same content the device has already.
    pub(crate) async fn write(
        &mut self,
        path: &str,
        mode: u32,
        size: u64,
        digest: [u8; 32],
    ) -> Result<u64, CopyError> {
        let mut mark = [0; 8];
        mark.copy_from_slice(&digest[..8]);
        self.ask(&Ask::Write { path: path.to_owned(), mode, size, mark }).await?;
        match self.answer(path).await? {
            Answer::Have(have) if have <= size => Ok(have),
            Answer::Have(_) => Ok(size), // the digest decides
            _ => Err(CopyError::Broken("it sent an unexpected answer")),
        }
    }

    /// Sends content.
    pub(crate) async fn content(
        &mut self,
        path: &str,
        offset: u64,
        data: &[u8],
    ) -> Result<(), CopyError> {
        for (at, data) in data.chunks(MAX_DATA).enumerate() {
            let offset = offset + (at * MAX_DATA) as u64;
            self.send(&Frame::Data { stream: 0, offset, data }).await?;
        }
        match self.waiting.front() {
            None => Ok(()),
            // It was told too early: the disk is full, for example.
            Some(_) => self.done(path).await,
        }
    }

    /// All content of the file was sent.
    pub(crate) async fn whole(&mut self, path: &str, digest: [u8; 32]) -> Result<(), CopyError> {
        self.ask(&Ask::Whole(digest)).await?;
        self.done(path).await
    }

    /// Makes a folder, if it is not there.
    pub(crate) async fn folder(&mut self, path: &str, mode: u32) -> Result<(), CopyError> {
        self.ask(&Ask::Folder { path: path.to_owned(), mode }).await?;
        self.done(path).await
    }

    async fn done(&mut self, path: &str) -> Result<(), CopyError> {
        match self.answer(path).await? {
            Answer::Done => Ok(()),
            _ => Err(CopyError::Broken("it sent an unexpected answer")),
        }
    }
}
