//! Faults of several gateways: each is done, and healed as far as it does not heal by itself.

use std::time::Duration;

use super::{BACK, Gateways};
use crate::process::Signal;
use crate::trouble::{ensure, pause};
use crate::{Outcome, eventually};

/// A lease holds 8 s.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(12);

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
    /// The database takes no writes for longer than a lease.
    DatabaseReadOnly,
    /// Each answer of the database takes 10 s, for longer than a lease.
    DatabaseSlow,
    /// A gateway is told to stop, and is started again.
    Restarted,
}

/// How often each happened.
pub type Faults = std::collections::BTreeMap<Fault, usize>;

impl Fault {
    /// All of them, in the order in which a run draws from them.
    pub const ALL: [Self; 9] = [
        Self::Killed,
        Self::Restarted,
        Self::StoodStill,
        Self::LinksCut,
        Self::DatabaseKilled,
        Self::Paused,
        Self::DatabaseStoodStill,
        Self::DatabaseReadOnly,
        Self::DatabaseSlow,
    ];

    /// Whether it ends the process of the gateway, sooner or later.
    pub(super) const fn ends_its_process(self) -> bool {
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
            _ => self.suffer_database(fault)?,
        }
        for (nth, node) in self.nodes.iter_mut().enumerate() {
            let may_end = nth == victim && fault.ends_its_process();
            ensure(may_end || node.is_running(), || {
                format!("a gateway ended in a round of {fault:?} at {victim}\n{}", node.tail())
            })?;
        }
        Ok(())
    }

    fn suffer_database(&mut self, fault: Fault) -> Outcome {
        match fault {
            Fault::DatabaseKilled => {
                self.server.kill()?;
                pause(Duration::from_secs(2));
                self.server.start_again()?;
            }
            Fault::DatabaseStoodStill => {
                self.server.signal_all(Signal::STOP)?;
                pause(LONGER_THAN_A_LEASE);
                self.server.signal_all(Signal::CONT)?;
            }
            Fault::DatabaseReadOnly => {
                self.read_only("on")?;
                pause(LONGER_THAN_A_LEASE);
                self.read_only("off")?;
            }
            Fault::DatabaseSlow => {
                self.wire.delay(Duration::from_secs(5));
                pause(LONGER_THAN_A_LEASE);
                self.wire.delay(Duration::ZERO);
            }
            _ => {}
        }
        Ok(())
    }

    fn read_only(&self, on: &str) -> Outcome {
        let set = format!("alter system set default_transaction_read_only = {on}");
        self.server.psql("postgres", &set)?;
        self.server.psql("postgres", "select pg_reload_conf()").map(drop)
    }
}
