//! Connection epochs: which of two links of one device is live.
//!
//! An agent draws a boot nonce at start and counts its connections. A later connection of the same
//! boot supersedes the earlier ones, whatever order their ends are noticed in; that ends the class
//! of bugs in which a stale link keeps a device "online". Another boot with the same key is a
//! reboot, or a copied key: only asking the old link can tell.

use serde::{Deserialize, Serialize};

/// Random bytes an agent draws at each start. Grants are bound to it, so none survives a restart of
/// the agent.
pub type BootNonce = [u8; 16];

/// One connection of one agent process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// Drawn once at the agent's start.
    pub boot: BootNonce,
    /// 1 for the first connection of this boot, then one more each time.
    pub connection: u32,
}

/// What a newly arrived link means for the one that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The new link is a later one of the same process: it replaces the old one.
    Supersedes,
    /// The new link is an earlier one, delivered late: refuse it, keep the old one.
    Stale,
    /// Another process with the same key: a restart if the old link is dead, a clone if it still
    /// answers.
    OtherBoot,
}

impl Epoch {
    /// Judges `newcomer` against `self`, the link held now.
    #[must_use]
    pub fn judge(&self, newcomer: &Self) -> Verdict {
        if self.boot != newcomer.boot {
            Verdict::OtherBoot
        } else if newcomer.connection > self.connection {
            Verdict::Supersedes
        } else {
            Verdict::Stale
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_connection_of_the_same_boot_supersedes() {
        let held = Epoch { boot: [1; 16], connection: 4 };
        for (boot, connection, verdict) in [
            (1, 5, Verdict::Supersedes),
            (1, 4, Verdict::Stale),
            (1, 3, Verdict::Stale),
            (2, 1, Verdict::OtherBoot),
            (2, 9, Verdict::OtherBoot),
        ] {
            assert_eq!(
                held.judge(&Epoch { boot: [boot; 16], connection }),
                verdict,
                "{boot} {connection}"
            );
        }
    }
}
