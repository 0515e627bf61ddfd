//! The conversation with a server of mail (RFC 5321), over any stream.
//!
//! # Invariants
//! - A line to the server is made of constants, of [`Mailbox`] and of base64 alone.
//! - What a server sends before TLS counts for nothing behind it: bytes that came too early end the
//!   conversation.
//! - Replies are bounded while they are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use towline_wire::text::plain;

use super::mailbox::Mailbox;
use super::server::{LogIn, MailError};
use crate::limits::MAX_MAIL_REPLY;

/// Most characters of a reply that an error repeats.
const SHOWN: usize = 200;
/// The server takes the mail, and forwards it (RFC 5321, section 4.2.3).
const FORWARDS: u16 = 251;

/// A reply: its code, and its lines without it.
#[derive(Debug)]
pub(super) struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    /// Whether a server offers an extension, and its words.
    fn offers<'r>(&'r self, extension: &str) -> Option<Vec<&'r str>> {
        self.lines.iter().skip(1).find_map(|line| {
            let mut words = line.split(' ');
            let first = words.next()?;
            first.eq_ignore_ascii_case(extension).then(|| words.collect())
        })
    }
}

/// A conversation with a server.
pub(super) struct Conversation<S> {
    stream: S,
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// Over a stream on which nothing was said, or on which TLS has begun.
    pub(super) const fn over(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// The server speaks first.
    pub(super) async fn greeting(&mut self) -> Result<(), MailError> {
        let reply = self.reply().await?;
        expect(reply, 220, "its greeting").map(drop)
    }

    /// Names this end; what the server offers.
    pub(super) async fn hello(&mut self, name: &str) -> Result<Reply, MailError> {
        self.say(&format!("EHLO {name}"), 250, "EHLO").await
    }

    /// Asks for TLS on this connection, and gives the stream back for it.
    pub(super) async fn start_tls(mut self, offered: &Reply) -> Result<S, MailError> {
        if offered.offers("STARTTLS").is_none() {
            return Err(MailError::NoTls);
        }
        self.say("STARTTLS", 220, "STARTTLS").await?;
        if self.unread.is_empty() { Ok(self.stream) } else { Err(MailError::Early) }
    }

    /// Proves who sends.
    pub(super) async fn log_in(
        &mut self,
        offered: &Reply,
        LogIn { user, password }: &LogIn,
    ) -> Result<(), MailError> {
        let ways = offered.offers("AUTH").unwrap_or_default();
        let offers = |way: &str| ways.iter().any(|one| one.eq_ignore_ascii_case(way));
        if offers("PLAIN") {
            let secret = STANDARD.encode(format!("\0{user}\0{}", password.as_str()));
            return self.say(&format!("AUTH PLAIN {secret}"), 235, "AUTH").await.map(drop);
        }
        if !offers("LOGIN") {
            return Err(MailError::NoLogIn);
        }
        self.say("AUTH LOGIN", 334, "AUTH").await?;
        self.say(&STANDARD.encode(user), 334, "AUTH").await?;
        self.say(&STANDARD.encode(password.as_str()), 235, "AUTH").await.map(drop)
    }

    /// Hands a letter over. Once the server has taken it, nothing that follows counts.
    pub(super) async fn deliver(
        &mut self,
        from: &Mailbox,
        to: &Mailbox,
        letter: &str,
    ) -> Result<(), MailError> {
        self.say(&format!("MAIL FROM:<{from}>"), 250, "MAIL").await?;
        self.write(&format!("RCPT TO:<{to}>\r\n")).await?;
        let reply = self.reply().await?;
        if reply.code != FORWARDS {
            expect(reply, 250, "RCPT")?;
        }
        self.say("DATA", 354, "DATA").await?;
        self.write(&format!("{letter}.\r\n")).await?;
        let reply = self.reply().await?;
        expect(reply, 250, "the mail").map(drop)
    }

    /// Takes leave, without waiting for an answer.
    pub(super) async fn quit(&mut self) {
        let _ = self.write("QUIT\r\n").await;
    }

    async fn say(
        &mut self,
        line: &str,
        expected: u16,
        what: &'static str,
    ) -> Result<Reply, MailError> {
        self.write(&format!("{line}\r\n")).await?;
        let reply = self.reply().await?;
        expect(reply, expected, what)
    }

    async fn write(&mut self, text: &str) -> Result<(), MailError> {
        self.stream.write_all(text.as_bytes()).await.map_err(MailError::Lost)?;
        self.stream.flush().await.map_err(MailError::Lost)
    }

    async fn reply(&mut self) -> Result<Reply, MailError> {
        let (mut lines, mut read) = (Vec::new(), 0);
        loop {
            let line = self.line(MAX_MAIL_REPLY - read).await?;
            read += line.len();
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let code = code.filter(|code| (200..600).contains(code)).ok_or(MailError::NoReply)?;
            let more = match line.as_bytes().get(3) {
                Some(b'-') => true,
                None | Some(b' ') => false,
                Some(_) => return Err(MailError::NoReply),
            };
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if !more {
                return Ok(Reply { code, lines });
            }
        }
    }

    /// One line without its end, of at most so many bytes.
    async fn line(&mut self, most: usize) -> Result<String, MailError> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                return if line.len() < most { Ok(line) } else { Err(MailError::TooLong) };
            }
            if self.unread.len() >= most {
                return Err(MailError::TooLong);
            }
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece).await.map_err(MailError::Lost)? {
                0 => return Err(MailError::Lost(std::io::ErrorKind::UnexpectedEof.into())),
                n => self.unread.extend_from_slice(&piece[..n]),
            }
        }
    }
}

fn expect(reply: Reply, expected: u16, what: &'static str) -> Result<Reply, MailError> {
    if reply.code == expected {
        return Ok(reply);
    }
    let said = format!("{} {}", reply.code, reply.lines.join(" "));
    Err(MailError::Refused { what, said: plain(said.trim_end(), SHOWN) })
}
