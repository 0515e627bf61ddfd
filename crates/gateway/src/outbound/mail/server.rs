//! The server that mail is handed to.

use std::fmt;
use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::super::client::{Outbound, OutboundError};
use super::conversation::Conversation;
use super::letter::Mail;
use super::mailbox::Mailbox;
use crate::limits::MAIL_TIMEOUT;

/// Port of mail with TLS from the first byte (RFC 8314).
const PORT_OF_TLS: u16 = 465;
/// Port of mail with STARTTLS (RFC 6409).
const PORT_OF_SUBMISSION: u16 = 587;

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// As of any request.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(io::Error),
    /// It is slow.
    #[error("it took longer than {} s", MAIL_TIMEOUT.as_secs())]
    Late,
    /// Use `smtps://`, or have the server offer it.
    #[error("the server does not offer STARTTLS: nothing is sent in plain text")]
    NoTls,
    /// Somebody on the way may have put them there.
    #[error("the server sent more than an answer before TLS began")]
    Early,
    /// Another server, or none of user and password.
    #[error("the server offers neither AUTH PLAIN nor AUTH LOGIN")]
    NoLogIn,
    /// Another address: no server of mail listens there.
    #[error("the server sent something that is no reply of SMTP")]
    NoReply,
    /// It sends without an end.
    #[error("the server sent a reply that is too long")]
    TooLong,
    /// It says no.
    #[error("the server refused {what}: {said}")]
    Refused {
        /// What was said to it.
        what: &'static str,
        /// Its reply.
        said: String,
    },
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    host: String,
    port: u16,
    /// TLS from the first byte, not by STARTTLS.
    is_tls: bool,
}

impl ServerAddress {
    /// From `smtps://HOST`, or `smtp://HOST` for STARTTLS, each with a port or without.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let uri: hyper::Uri = url.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "smtps" => true,
            "smtp" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let plain = !authority.as_str().contains('@') && matches!(uri.path(), "" | "/");
        let port = authority.port_u16();
        let port = port.unwrap_or(if is_tls { PORT_OF_TLS } else { PORT_OF_SUBMISSION });
        (plain && uri.query().is_none() && !host.is_empty()).then_some(Self { host, port, is_tls })
    }
}

/// User and password at the server.
#[derive(Clone)]
pub struct LogIn {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for LogIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogIn").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A server that takes mail of this gateway.
#[derive(Debug, Clone)]
pub struct MailServer {
    client: Outbound,
    address: ServerAddress,
    from: Mailbox,
    log_in: Option<LogIn>,
}

impl MailServer {
    /// A server that is dialled as addresses of requests are.
    #[must_use]
    pub const fn new(
        client: Outbound,
        address: ServerAddress,
        from: Mailbox,
        log_in: Option<LogIn>,
    ) -> Self {
        Self { client, address, from, log_in }
    }

    /// Hands a mail over.
    ///
    /// # Errors
    /// [`MailError`]; the server does not have it, or its answer was lost.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<(), MailError> {
        timeout(MAIL_TIMEOUT, self.hand_over(mail)).await.unwrap_or(Err(MailError::Late))
    }

    async fn hand_over(&self, mail: &Mail<'_>) -> Result<(), MailError> {
        let ServerAddress { host, port, is_tls } = &self.address;
        let tcp = self.client.connect(host, *port).await?;
        let name = name_of(tcp.local_addr().map_err(MailError::Lost)?.ip());
        if *is_tls {
            let mut said = Conversation::over(self.client.secure(host, tcp).await?);
            said.greeting().await?;
            return self.deliver(said, &name, mail).await;
        }
        let mut said = Conversation::over(tcp);
        said.greeting().await?;
        let offered = said.hello(&name).await?;
        let tcp = said.start_tls(&offered).await?;
        let said = Conversation::over(self.client.secure(host, tcp).await?);
        self.deliver(said, &name, mail).await
    }

    async fn deliver<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut said: Conversation<S>,
        name: &str,
        mail: &Mail<'_>,
    ) -> Result<(), MailError> {
        let offered = said.hello(name).await?;
        if let Some(log_in) = &self.log_in {
            said.log_in(&offered, log_in).await?;
        }
        said.deliver(&self.from, mail.to, &mail.letter(&self.from)).await?;
        said.quit().await;
        Ok(())
    }
}

/// What this end calls itself: its address (RFC 5321, section 4.1.3).
fn name_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(four) => format!("[{four}]"),
        IpAddr::V6(six) => format!("[IPv6:{six}]"),
    }
}
