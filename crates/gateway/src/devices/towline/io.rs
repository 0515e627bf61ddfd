//! One agent's socket with its frame reader, and the last message to an agent that is refused.
//!
//! # Invariants
//! - The last message has [`LAST_MESSAGE_TIMEOUT`]; an agent that does not read it costs no more
//!   than that.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use towline_wire::VERSIONS;
use towline_wire::extension;
use towline_wire::frame::{Frame, FrameReader};
use towline_wire::message::{RefusalCode, ToAgent, encode};
use towline_wire::text::connection_error;

use crate::limits::LAST_MESSAGE_TIMEOUT;
use crate::link_tls::LinkStream;

/// A socket with its reader.
pub(super) struct Io {
    pub(super) read: ReadHalf<LinkStream>,
    pub(super) write: WriteHalf<LinkStream>,
    pub(super) reader: FrameReader,
}

impl Io {
    pub(super) fn new(stream: LinkStream) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self { read, write, reader: FrameReader::new() }
    }

    /// Waits for one frame of the greeting.
    pub(super) async fn next_frame<T>(
        &mut self,
        take: impl FnOnce(Frame<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        loop {
            if let Some(frame) = self.reader.next().map_err(|error| error.to_string())? {
                return take(frame);
            }
            let n = self.read.read(self.reader.spare()).await;
            let n = n.map_err(|error| connection_error(&error))?;
            if n == 0 {
                return Err("the agent hung up".to_owned());
            }
            self.reader.filled(n);
        }
    }

    /// Says one thing to somebody who is hung up on then.
    pub(super) async fn say(&mut self, message: &ToAgent) {
        self.say_with(&[], message).await;
    }

    /// The same, with the addresses of other gateways before it.
    pub(super) async fn say_with(&mut self, elsewhere: &[String], message: &ToAgent) {
        let Ok(body) = encode(message) else { return };
        let named = extension::elsewhere_bytes(elsewhere);
        let frames = [
            Some(Frame::Version { min: VERSIONS.min, max: VERSIONS.max }),
            (!elsewhere.is_empty())
                .then_some(Frame::Extension { tag: extension::ELSEWHERE, body: &named }),
            Some(Frame::Control(&body)),
        ];
        let mut out = Vec::new();
        if frames.iter().flatten().any(|frame| frame.encode(&mut out).is_err()) {
            return;
        }
        let said = async {
            self.write.write_all(&out).await?;
            self.write.shutdown().await?;
            // The close of a socket with unread bytes resets it, and the last words would be lost
            // with it.
            let mut rest = [0; 512];
            while self.read.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(LAST_MESSAGE_TIMEOUT, said).await;
    }

    /// Hangs up on somebody who did not greet.
    pub(super) async fn refuse(&mut self, why: &str) {
        self.say(&refuse(RefusalCode::Version, why, 0)).await;
    }
}

/// A refusal in the wire's form.
pub(super) fn refuse(code: RefusalCode, text: &str, retry_after: u32) -> ToAgent {
    ToAgent::Refuse { code, text: text.to_owned(), retry_after }
}
