//! Faults of several gateways: each is done, and healed as far as it does not heal by itself.

use std::time::Duration;

use super::{BACK, Gateways};
use crate::process::Signal;
use crate::trouble::{ensure, pause};
use crate::{Outcome, eventually};

/// What can happen to one gateway or to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A gateway gets SIGKILL.
    Killed,
    /// A gateway stands still until it was declared dead (SIGSTOP), and goes on.
    StoodStill,
    /// A gateway stands still for less than its lease.
    Paused,
    /// The devices' links to a gateway are cut, and its door is closed for a while.
    LinksCut,
    /// The database gets SIGKILL, and is started again.
    DatabaseKilled,
    /// The database stands still for longer than a lease.
    DatabaseStoodStill,
    /// A gateway is told to stop, and is started again.
    Restarted,
}

/// How often each happened.
pub type Faults = std::collections::BTreeMap<Fault, usize>;

impl Fault {
    /// All of them, in the order in which a run draws from them.
    pub const ALL: [Self; 7] = [
        Self::Killed,
        Self::Restarted,
        Self::StoodStill,
        Self::LinksCut,
        Self::DatabaseKilled,
        Self::Paused,
        Self::DatabaseStoodStill,
    ];

    /// Whether it ends the process of the gateway, sooner or later.
    const fn ends_its_process(self) -> bool {
        matches!(self, Self::Killed | Self::Restarted | Self::StoodStill)
    }
}

impl Gateways {
    /// Lets it happen to gateway number `victim`; `lead_away` is called when a balancer would have
    /// noticed.
    ///
    /// # Errors
    /// Something does not come back, or a gateway ends that should not.
    pub fn suffer(&mut self, fault: Fault, victim: usize, mut lead_away: impl FnMut()) -> Outcome {
        match fault {
            Fault::Killed => {
                self.nodes[victim].signal(Signal::KILL)?;
                lead_away();
                self.nodes[victim].wait()?;
            }
            Fault::Restarted => {
                self.nodes[victim].signal(Signal::TERM)?;
                lead_away();
                let ended = self.nodes[victim].wait()?;
                ensure(ended.success(), || {
                    format!("told to stop: {ended}\n{}", self.nodes[victim].tail())
                })?;
            }
            Fault::StoodStill => {
                self.nodes[victim].signal(Signal::STOP)?;
                lead_away();
                let over = format!("nodes where name = 'node{victim}' and expires_at = 0");
                eventually("it is declared dead", BACK, || {
                    (self.count(&over).ok()? == 1).then_some(())
                })?;
                self.nodes[victim].signal(Signal::CONT)?;
                let ended = self.nodes[victim].wait()?;
                ensure(!ended.success(), || "declared dead, and ended without an error".into())?;
            }
            Fault::Paused => {
                self.nodes[victim].signal(Signal::STOP)?;
                pause(Duration::from_secs(4));
                self.nodes[victim].signal(Signal::CONT)?;
            }
            Fault::LinksCut => {
                self.doors[victim].close(true);
                self.doors[victim].cut();
                pause(Duration::from_secs(3));
                self.doors[victim].close(false);
            }
            Fault::DatabaseKilled => {
                self.server.kill()?;
                pause(Duration::from_secs(2));
                self.server.start_again()?;
            }
            Fault::DatabaseStoodStill => {
                self.server.signal_all(Signal::STOP)?;
                pause(Duration::from_secs(12));
                self.server.signal_all(Signal::CONT)?;
            }
        }
        for (nth, node) in self.nodes.iter_mut().enumerate() {
            let may_end = nth == victim && fault.ends_its_process();
            ensure(may_end || node.is_running(), || {
                format!("a gateway ended in a round of {fault:?} at {victim}\n{}", node.tail())
            })?;
        }
        Ok(())
    }
}
