//! One connection to a target: dialled, bytes both ways, each direction closed separately.

use std::io;
use std::os::fd::AsRawFd as _;
use std::task::{Context, Poll};
use std::time::Instant;

use nix::sys::socket::{Shutdown, shutdown};
use tokio::net::TcpStream;

use super::place::{Dial, Place};
use crate::session::input::Input;

/// How far it is.
enum Stage {
    /// The addresses are not known yet.
    Waiting,
    Dialling(Dial),
    Open(TcpStream),
}

/// One connection to a target.
pub(super) struct Connection {
    /// Its stream in the tunnel.
    pub(super) id: u32,
    stage: Stage,
    /// What the target has not taken.
    pub(super) input: Input,
    /// The target has everything, and knows that no more comes.
    input_over: bool,
    /// The target takes nothing any more. It may still have something to say.
    deaf: bool,
    /// Nothing more comes from the target.
    pub(super) output_over: bool,
    /// The operator's end has gone: when the rest is given up.
    pub(super) until: Option<Instant>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            stage: Stage::Waiting,
            input: Input::default(),
            input_over: false,
            deaf: false,
            output_over: false,
            until: None,
        }
    }

    /// Dials on. Ready when there is a connection; or why there will be none.
    pub(super) fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        place: &mut Place,
    ) -> Poll<Result<(), String>> {
        loop {
            match &mut self.stage {
                Stage::Waiting => match std::task::ready!(place.poll_dial(cx)) {
                    Ok(dial) => self.stage = Stage::Dialling(dial),
                    Err(why) => return Poll::Ready(Err(why)),
                },
                Stage::Dialling(dial) => match std::task::ready!(dial.as_mut().poll(cx)) {
                    Ok(stream) => self.stage = Stage::Open(stream),
                    Err(why) => return Poll::Ready(Err(why)),
                },
                Stage::Open(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Bytes for the target: how many of them are done with; the others are kept.
    pub(super) fn put(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        if let (Stage::Open(stream), true) = (&self.stage, self.input.is_empty()) {
            while done < bytes.len() && !self.deaf {
                match stream.try_write(&bytes[done..]) {
                    Ok(n) => done += n,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => self.deaf = true,
                }
            }
        }
        if self.deaf {
            return bytes.len();
        }
        self.input.keep(&bytes[done..]);
        done
    }

    /// Writes what is kept; how many bytes are done with. Closes the target's input when it has
    /// all.
    pub(super) fn pump_input(&mut self, cx: &mut Context<'_>) -> usize {
        let Stage::Open(stream) = &self.stage else { return 0 };
        let mut done = 0;
        while !self.input.is_empty() {
            match stream.poll_write_ready(cx) {
                Poll::Pending => return done,
                Poll::Ready(ready) => {
                    match ready.and_then(|()| stream.try_write(self.input.next())) {
                        Ok(n) => {
                            self.input.taken(n);
                            done += n;
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => {
                            self.deaf = true;
                            done += self.input.discard();
                        }
                    }
                }
            }
        }
        if self.input.is_over() && !self.input_over {
            self.input_over = true;
            // A target that is gone says so when it is read.
            let _ = shutdown(stream.as_raw_fd(), Shutdown::Write);
        }
        done
    }

    /// Reads from the target; `Ok(0)` is its end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        place: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Stage::Open(stream) = &self.stage else { return Poll::Pending };
        loop {
            std::task::ready!(stream.poll_read_ready(cx))?;
            match stream.try_read(place) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// True when the target has everything of a stream whose input has ended.
    pub(super) fn is_input_over(&self) -> bool {
        self.input_over
    }
}
