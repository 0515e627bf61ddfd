//! What the agent's two processes say to each other: the monitor (all rights, no network) and the
//! network process (no rights; it looks names up, speaks to proxies and does TLS).
//!
//! Data flow: one message is one datagram of a SEQPACKET socket, in the encoding of
//! [`crate::message`]. The monitor sends [`ToNetwork`], the other one [`FromNetwork`]. Bytes of the
//! link pass another socket. Both processes run the same program file, so there are no versions.
//!
//! # Invariants
//! - A message has at most [`MAX`] bytes. Decoding is total: any bytes are a message or an error.
//! - The device's key is asked for one form of signature alone, and the request cannot express
//!   another: it names the hash of a TLS 1.3 handshake ([`certificate_verify`]).
//!
//! # Not here
//! - Sessions, grants, processes, files: the network process has no message about them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Bytes of the largest message.
pub const MAX: usize = 16 * 1024;

/// From the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToNetwork {
    /// The first message: give up all rights and become this account.
    Begin {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// An empty directory, the new root; `None` for a look-up, which reads the files of the
        /// system's resolver.
        root: Option<String>,
    },
    /// Look a name up, and end.
    Resolve {
        /// The name.
        host: String,
        /// The port to put into the addresses.
        port: u16,
    },
    /// Connect.
    Dial(Dial),
    /// The answer to [`FromNetwork::Sign`].
    Signature(Vec<u8>),
}

/// From the network process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromNetwork {
    /// The answer to [`ToNetwork::Begin`]: the rights are given up.
    Confined {
        /// The version of Landlock that took part; 0 where the kernel has none.
        landlock: u32,
    },
    /// The other answer: they cannot be given up here. The process ends.
    NotConfined(String),
    /// The answer to [`ToNetwork::Resolve`].
    Addresses(Vec<Place>),
    /// Asks for the signature of a TLS 1.3 client CertificateVerify over this transcript hash.
    Sign(Vec<u8>),
    /// The TLS connection is open; its bytes pass the other socket.
    Linked {
        /// The device's own address on it.
        local: String,
        /// The gateway showed the next key, not the present one.
        met_next: bool,
    },
    /// The look-up or the dial failed, or the connection broke. The process ends.
    Failed {
        /// Why, in words.
        text: String,
        /// What the log should have as well; may be empty.
        note: String,
    },
}

/// Where to dial, and what to believe there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dial {
    /// The gateway's name or address.
    pub host: String,
    /// The gateway's port.
    pub port: u16,
    /// The proxy on the way.
    pub proxy: Option<Via>,
    /// Addresses of the proxy, else of the gateway, in the order of their turns.
    pub addresses: Vec<Place>,
    /// How the gateway is judged.
    pub trust: Judged,
    /// The last time that the authority signed, in seconds since the epoch; 0 for none.
    pub signed: u32,
    /// The device's public key.
    pub spki: Vec<u8>,
}

/// Without the proxy's password.
impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A proxy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `USER:PASSWORD`.
    pub credentials: Option<String>,
}

/// How the gateway's certificate is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Judged {
    /// By the public CAs.
    Public,
    /// By the CA whose PEM text is in the file that the process was started with.
    Ca,
    /// By the SHA-256 of its key.
    Pin {
        /// Of the key in use.
        current: [u8; 32],
        /// Of the next one.
        next: Option<[u8; 32]>,
    },
}

/// An address of the network: IPv4 as IPv6 maps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The address.
    pub ip: [u8; 16],
    /// The port.
    pub port: u16,
    /// The interface of a link-local address.
    pub scope: u32,
}

/// What stands in front of the hash: RFC 8446, section 4.4.3.
const CLIENT: &[u8; 34] = b"TLS 1.3, client CertificateVerify\0";
const PAD: [u8; 64] = [0x20; 64];

/// What a client signs in a TLS 1.3 handshake with this transcript hash; `None` if no hash of TLS
/// 1.3 has this length.
#[must_use]
pub fn certificate_verify(hash: &[u8]) -> Option<Vec<u8>> {
    matches!(hash.len(), 32 | 48).then(|| [&PAD[..], CLIENT, hash].concat())
}

/// The transcript hash in what a client signs; `None` for anything else.
#[must_use]
pub fn transcript_hash(signed: &[u8]) -> Option<&[u8]> {
    let hash = signed.strip_prefix(&PAD)?.strip_prefix(CLIENT)?;
    matches!(hash.len(), 32 | 48).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_client_s_form_of_a_handshake_can_be_asked_for() {
        for length in 0..70 {
            let hash = alloc::vec![7; length];
            let form = certificate_verify(&hash);
            assert_eq!(form.is_some(), length == 32 || length == 48, "{length}");
            if let Some(form) = form {
                assert_eq!(transcript_hash(&form), Some(&hash[..]));
            }
        }
        let server = [&PAD[..], b"TLS 1.3, server CertificateVerify\0", &[7; 32]].concat();
        assert_eq!(transcript_hash(&server), None);
        assert_eq!(transcript_hash(b"any other text that a key could sign"), None);
    }

    #[test]
    fn the_password_of_a_proxy_is_in_no_debug_print() {
        let via = Via { host: "p".into(), port: 1, credentials: Some("u:hunter2".into()) };
        let dial = Dial {
            host: "gw".into(),
            port: 8443,
            proxy: Some(via),
            addresses: Vec::new(),
            trust: Judged::Public,
            signed: 0,
            spki: Vec::new(),
        };
        assert!(!alloc::format!("{dial:?}").contains("hunter2"));
    }
}
