//! Bytes carried both ways between two connections, without a buffer while none are under way.
//!
//! # Invariants
//! - What was read is written before more is read: each way holds one buffer at most.
//! - The end of one side is passed on behind its last byte; the other way goes on.
//!
//! # Not here
//! - The end of the process: the monitor drops its side, or kills it.

use crate::limits::{SEPARATED_COPY, SEPARATED_FEW};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One way.
#[derive(Debug, Default)]
struct Way {
    /// Read and not yet written, from `sent` on; empty for nothing.
    waiting: Vec<u8>,
    sent: usize,
    /// The last read filled its buffer: there is probably more.
    many: bool,
    ended: bool,
    over: bool,
}

impl Way {
    /// Ready when the end of `from` was passed on. No task is kept from the other way: the runtime
    /// has a connection wait after so many calls.
    fn poll<R, W>(&mut self, from: &mut R, to: &mut W, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while !self.over {
            while let Some(rest) = self.waiting.get(self.sent..).filter(|rest| !rest.is_empty()) {
                match ready!(Pin::new(&mut *to).poll_write(cx, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => self.sent += written,
                }
            }
            (self.waiting, self.sent) = (Vec::new(), 0);
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.over = true;
                break;
            }
            let mut space = vec![0; if self.many { SEPARATED_COPY } else { SEPARATED_FEW }];
            let mut place = ReadBuf::new(&mut space);
            if Pin::new(&mut *from).poll_read(cx, &mut place)?.is_pending() {
                ready!(Pin::new(to).poll_flush(cx))?;
                return Poll::Pending;
            }
            let length = place.filled().len();
            self.many = length == space.len();
            self.ended = length == 0;
            space.truncate(length);
            self.waiting = space;
        }
        Poll::Ready(Ok(()))
    }
}

/// Carries until both sides have ended.
///
/// # Errors
/// Of the first connection that broke.
pub(super) async fn both_ways<A, B>(one: &mut A, other: &mut B) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut there, mut back) = (Way::default(), Way::default());
    poll_fn(|cx| {
        let there = there.poll(one, other, cx)?;
        let back = back.poll(other, one, cx)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    fn with_runtime<F: Future>(story: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
    }

    #[test]
    fn all_bytes_pass_both_ways_at_once_and_each_end_is_passed_on() {
        with_runtime(async {
            // Both connections hold less than a buffer: each write is split.
            let (mut left, mut one) = duplex(700);
            let (mut other, mut right) = duplex(900);
            let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
            let carried = async { both_ways(&mut one, &mut other).await.unwrap() };
            let from_left = async {
                left.write_all(&sent).await.unwrap();
                left.shutdown().await.unwrap();
                let mut got = Vec::new();
                left.read_to_end(&mut got).await.unwrap();
                got
            };
            let from_right = async {
                let (mut reader, mut writer) = tokio::io::split(&mut right);
                let mut got = Vec::new();
                let read = async { reader.read_to_end(&mut got).await.unwrap() };
                let write = async {
                    writer.write_all(&sent).await.unwrap();
                    writer.shutdown().await.unwrap();
                };
                tokio::join!(read, write);
                got
            };
            let ((), at_left, at_right) = tokio::join!(carried, from_left, from_right);
            assert!(at_left == sent && at_right == sent, "all of it, in order");
        });
    }

    #[test]
    fn one_way_goes_on_after_the_other_has_ended() {
        with_runtime(async {
            let (mut left, mut one) = duplex(64);
            let (mut other, mut right) = duplex(64);
            left.shutdown().await.unwrap();
            let carried = async { both_ways(&mut one, &mut other).await.unwrap() };
            let story = async {
                assert_eq!(right.read(&mut [0; 8]).await.unwrap(), 0, "the end came through");
                right.write_all(b"late").await.unwrap();
                right.shutdown().await.unwrap();
                let mut got = Vec::new();
                left.read_to_end(&mut got).await.unwrap();
                assert_eq!(got, b"late");
            };
            tokio::join!(carried, story);
        });
    }

    #[test]
    fn nothing_is_held_while_no_bytes_are_under_way() {
        with_runtime(async {
            let (mut left, mut one) = duplex(64);
            let (mut other, mut right) = duplex(64);
            let mut way = Way::default();
            left.write_all(b"key").await.unwrap();
            poll_fn(|cx| {
                assert!(way.poll(&mut one, &mut other, cx).is_pending());
                Poll::Ready(())
            })
            .await;
            assert_eq!(way.waiting.capacity(), 0);
            let mut key = [0; 3];
            right.read_exact(&mut key).await.unwrap();
            assert_eq!(&key, b"key");
        });
    }
}
