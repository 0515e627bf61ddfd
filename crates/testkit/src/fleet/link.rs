//! One link of a simulated device: the greeting, and what it answers to orders.
//!
//! A session is opened and says nothing; a script "runs" for the fleet's time and prints a line.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use towline_wire::epoch::Epoch;
use towline_wire::frame::{Frame, FrameReader};
use towline_wire::lane::Lanes;
use towline_wire::message::{
    ExitStatus, FromAgent, Hello, Launch, Open, Platform, ToAgent, decode, encode,
};

use super::device::Fleet;
use crate::{Outcome, Trouble};

/// What it prints.
const OUTPUT: &[u8] = b"Linux simulated 6.1.0 #1 SMP PREEMPT armv7l GNU/Linux\n";
/// Seconds between its pings, as agents try at the longest.
const PING: u32 = 1500;

/// Why a link is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The gateway asked for so many seconds.
    Later(u32),
    /// It broke.
    Lost,
}

/// A link that was welcomed.
pub(super) struct Link<S> {
    stream: S,
    reader: FrameReader,
    order: Option<(Open, usize)>,
}

/// Says hello; a link, or what the gateway said instead of a welcome.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    device: &str,
    epoch: Epoch,
) -> Outcome<Result<Link<S>, End>> {
    let mut link = Link { stream, reader: FrameReader::new(), order: None };
    let platform = Platform {
        agent_version: "0.1.0.0".into(),
        name: "Simulated".into(),
        version: "1".into(),
        hostname: device.into(),
        ..Platform::default()
    };
    let hello = Hello { device: device.into(), epoch, challenge: [7; 16], platform };
    link.send(&[Frame::Version { min: 1, max: 1 }, control(&FromAgent::Hello(hello))?.frame()])
        .await?;
    loop {
        match link.hear().await? {
            Some(Heard::Message(ToAgent::Welcome(_))) => break,
            Some(Heard::Message(ToAgent::Refuse { retry_after, .. })) => {
                return Ok(Err(End::Later(retry_after)));
            }
            Some(_) => {}
            None => return Err(Trouble::new("hung up in the greeting")),
        }
    }
    let ping = Frame::Ping { next_in: PING };
    link.send(&[control(&FromAgent::HeldEnd)?.frame(), ping]).await?;
    Ok(Ok(link))
}

/// An encoded message, which a frame borrows.
struct Control(Vec<u8>);

impl Control {
    fn frame(&self) -> Frame<'_> {
        Frame::Control(&self.0)
    }
}

fn control(message: &FromAgent) -> Outcome<Control> {
    Ok(Control(encode(message)?))
}

/// What matters of a frame.
enum Heard {
    Message(ToAgent),
    Data(usize),
    Other,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Stays until the link is over.
    pub(super) async fn carry(mut self, fleet: &Fleet) -> End {
        let every = std::time::Duration::from_secs(PING.into());
        loop {
            let heard = match tokio::time::timeout(every, self.hear()).await {
                Ok(Ok(Some(heard))) => heard,
                Ok(Ok(None) | Err(_)) => return End::Lost,
                Err(_) => match self.send(&[Frame::Ping { next_in: PING }]).await {
                    Ok(()) => continue,
                    Err(_) => return End::Lost,
                },
            };
            let done = match heard {
                Heard::Message(ToAgent::GoAway { retry_after }) => return End::Later(retry_after),
                Heard::Message(message) => self.obey(message, fleet).await,
                Heard::Data(bytes) => self.take_script(bytes, fleet).await,
                Heard::Other => Ok(()),
            };
            if done.is_err() {
                return End::Lost;
            }
        }
    }

    async fn obey(&mut self, message: ToAgent, fleet: &Fleet) -> Outcome {
        match message {
            ToAgent::Open(open) => match decode(&open.launch)? {
                Launch::Script(script) => {
                    self.order = Some((open, usize::try_from(script.length)?));
                    Ok(())
                }
                _ => self.say(&FromAgent::Opened { session: open.session }).await,
            },
            ToAgent::Attach { session, attachment, .. } => {
                let (output, input, room) = (Lanes::default(), 0, 0);
                self.say(&FromAgent::Attached { session, attachment, output, input, room }).await?;
                match self.order.take() {
                    Some((open, _)) => self.work(&open, fleet).await,
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    async fn take_script(&mut self, bytes: usize, fleet: &Fleet) -> Outcome {
        let Some((open, left)) = &mut self.order else { return Ok(()) };
        *left = left.saturating_sub(bytes);
        if *left > 0 {
            return Ok(());
        }
        let session = open.session.clone();
        fleet.scripts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        fleet.works(true);
        self.say(&FromAgent::Opened { session }).await
    }

    async fn work(&mut self, open: &Open, fleet: &Fleet) -> Outcome {
        tokio::time::sleep(fleet.work).await;
        fleet.works(false);
        let (io, err) = (open.io, open.err.unwrap_or(0));
        let (session, status) = (open.session.clone(), ExitStatus::Code(0));
        let exited = control(&FromAgent::Exited { session, status })?;
        self.send(&[
            Frame::Data { stream: io, offset: 0, data: OUTPUT },
            Frame::Fin { stream: io, length: OUTPUT.len() as u64 },
            Frame::Fin { stream: err, length: 0 },
            exited.frame(),
        ])
        .await
    }

    async fn say(&mut self, message: &FromAgent) -> Outcome {
        let message = control(message)?;
        self.send(&[message.frame()]).await
    }

    async fn send(&mut self, frames: &[Frame<'_>]) -> Outcome {
        let mut out = Vec::new();
        for frame in frames {
            frame.encode(&mut out)?;
        }
        self.stream.write_all(&out).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next frame; `None`: the gateway has hung up. Losing the future loses nothing.
    async fn hear(&mut self) -> Outcome<Option<Heard>> {
        loop {
            if let Some(frame) = self.reader.next()? {
                return Ok(Some(match frame {
                    Frame::Control(body) => Heard::Message(decode(body)?),
                    Frame::Data { data, .. } => Heard::Data(data.len()),
                    _ => Heard::Other,
                }));
            }
            match self.stream.read(self.reader.spare()).await? {
                0 => return Ok(None),
                n => self.reader.filled(n),
            }
        }
    }
}
