//! Verification: lines and a public key in, the first fault by its record out.
//!
//! Data flow: lines of one recording -> [`RecordingVerifier`]; lines of a node's chain ->
//! [`NodeVerifier`] -> [`ProvenChain`]; both together, for a whole sink -> [`ProvenChain::check`].
//!
//! ```
//! use towline_evidence::cast::Header;
//! use towline_evidence::recording::{Lane, Recording};
//! use towline_evidence::verify::{Fault, RecordingVerifier};
//!
//! # fn header() -> Header {
//! #     let towline = Some(towline_evidence::cast::Facts {
//! #         session: "ann-0123456789abcdefg".into(),
//! #         ..Default::default()
//! #     });
//! #     let (title, env) = (String::new(), Default::default());
//! #     Header { version: 2, width: 80, height: 24, timestamp: 1, title, env, towline }
//! # }
//! let session = "ann-0123456789abcdefg";
//! let mut recording = Recording::start(session, &header());
//! recording.output(1_000, Lane::Io, 0, b"$ uptime\r\n", "");
//! recording.end(2_000, "the program ended");
//! let lines = recording.take(2_000);
//!
//! let verify = |lines: &[u8]| {
//!     let mut verifier = RecordingVerifier::new(Some(session), Vec::new());
//!     for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
//!         verifier.line(line)?;
//!     }
//!     verifier.finish()
//! };
//! assert!(verify(&lines)?.ended);
//!
//! let altered = String::from_utf8_lossy(&lines).replace("uptime", "reboot");
//! assert_eq!(verify(altered.as_bytes()), Err(Fault::Altered(1)));
//! # Ok::<(), Fault>(())
//! ```
//!
//! # Invariants
//! - Memory is bounded by a block, whatever is verified; nothing in a file is believed before it is
//!   checked.
//! - A change is named by the first record that it concerns.
//!
//! # Not here
//! - Whether the newest segments of a node's chain were taken away together with the recordings
//!   that they name: no chain can know its own end. Compare the last checkpoint with one seen
//!   before ([`ProvenChain::last_checkpoint`]), or keep segments where they cannot be removed
//!   (Object Lock).

mod node;
mod recording;

pub use node::{Checkpoint, Ended, Followed, NodeFault, NodeVerifier, ProvenChain, SetFault};
pub use recording::{Fault, RecordingVerifier, Sealed};
