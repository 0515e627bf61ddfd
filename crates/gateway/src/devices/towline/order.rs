//! Orders in the wire's form: what the document means, with a signed grant.
//!
//! Data flow: [`Order`] -> launch bytes -> signed grant -> `Open` on the agent's link.
//!
//! # Invariants
//! - A grant names the device, the start of its agent, the session, the principal and the digest of
//!   the launch bytes: nothing of it can be used for something else.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use towline_host::clock::Clock;
use towline_ssm::command_document::Interpreter;
use towline_ssm::documents::SessionPlan;
use towline_wire::canonical::relative_to_home;
use towline_wire::grant::{Grant, SignedGrant};
use towline_wire::message::{self, Launch, Open, Size, encode};
use towline_wire::{DETACHES, RUNS_ON_TERMINALS};

use super::link::Link;
use crate::authority::Authority;
use crate::limits::GRANT_LIFE_MS;
use crate::plane::{StartError, Terminal};
use crate::sessions::{Order, Work};

/// Signs grants.
pub(super) struct Grants {
    /// The key that devices pin at their enrollment.
    pub(super) authority: Arc<Authority>,
    /// The clock of this server, see `LinkClock`.
    pub(super) clock: Clock,
}

impl Grants {
    /// An order with its grant, on streams that the link has not used.
    pub(super) fn open(&self, link: &Link, order: &Order<'_>) -> Result<Open, StartError> {
        let internal = |what: &str| StartError::Internal(what.to_owned());
        let launch = launch_of(link, &order.work)?;
        if let Some(why) = too_old(&launch, link.version()) {
            return Err(StartError::Refused { why: why.to_owned() });
        }
        let launch_bytes =
            encode(&launch).map_err(|_| internal("the command is too long for the wire"))?;
        let mut nonce = [0; 16];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| internal("the system gave no random bytes"))?;
        let issued_at = link.grant_time(order)?;
        let grant = Grant {
            device: link.device.as_str().to_owned(),
            session: order.session.to_owned(),
            principal: order.principal.to_owned(),
            document: order.document.to_owned(),
            launch: sha256(&launch_bytes),
            run_as: order.run_as.map(str::to_owned),
            boot: link.epoch.boot,
            nonce,
            issued_at,
            not_after: issued_at + GRANT_LIFE_MS,
        };
        let grant = SignedGrant::sign(&grant, |bytes| self.authority.sign(bytes))
            .map_err(|_| internal("the grant is too long for the wire"))?;
        let (io, err) = link.new_streams();
        let wants_err = launch.wants_err();
        let terminal = match order.work {
            Work::Session { terminal: told, .. } if launch.wants_terminal() => Some(terminal(told)),
            Work::Session { .. } | Work::Script(_) => None,
        };
        Ok(Open {
            session: order.session.to_owned(),
            grant,
            launch: launch_bytes,
            terminal,
            io,
            err: wants_err.then_some(err),
        })
    }
}

/// Why an agent of this wire version cannot read a launch.
fn too_old(launch: &Launch, version: u16) -> Option<&'static str> {
    match launch {
        Launch::ExecOnTerminal { .. } if version < RUNS_ON_TERMINALS => {
            Some("its agent is too old to run one program on a terminal; upgrade it")
        }
        Launch::Detached { .. } if version < DETACHES => {
            Some("its agent is too old to detach a program; upgrade it")
        }
        _ => None,
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref()); // SHA-256 has 32 bytes
    sum
}

/// The wire's form of what the document means.
fn launch_of(link: &Link, work: &Work<'_>) -> Result<Launch, StartError> {
    let (plan, tunnel, preferences) = match *work {
        Work::Script(script) => {
            if script.interpreter != Interpreter::Shell {
                return Err(StartError::Refused { why: "towline-agent runs no PowerShell".into() });
            }
            return Ok(Launch::Script(message::Script {
                length: u32::try_from(script.bytes.len()).unwrap_or(u32::MAX),
                sha256: sha256(script.bytes),
                working_directory: script.working_directory.to_owned(),
                timeout: script.timeout,
                given_to: script.given_to.to_vec(),
            }));
        }
        Work::Session { plan, tunnel, preferences, .. } => (plan, tunnel, preferences),
    };
    Ok(match plan {
        SessionPlan::Shell { .. } => match preferences.shell_profile.linux.clone() {
            Some(profile) => Launch::ShellWithProfile { profile },
            None => Launch::Shell,
        },
        SessionPlan::Exec { argv, detach: true, .. } => Launch::Detached { argv: argv.clone() },
        SessionPlan::Exec { argv, terminal: true, .. } => {
            Launch::ExecOnTerminal { argv: argv.clone() }
        }
        SessionPlan::Exec { argv, .. } => Launch::Exec { argv: argv.clone() },
        SessionPlan::InteractiveCommand { command } => {
            Launch::Interactive { command: command.clone() }
        }
        SessionPlan::NonInteractiveCommand { command, .. } => {
            Launch::Exec { argv: vec!["/bin/sh".into(), "-c".into(), command.clone()] }
        }
        SessionPlan::Copy { path, put, follow, .. } => {
            let (path, put) = (relative_to_home(path).to_owned(), *put);
            // An older agent follows links in every copy.
            if *follow && link.keeps_off_links() {
                Launch::CopyFollowing { path, put }
            } else {
                Launch::Copy { path, put }
            }
        }
        SessionPlan::Port { .. } | SessionPlan::Ssh { .. } => {
            let to = tunnel.ok_or_else(|| StartError::Internal("a tunnel leads nowhere".into()))?;
            Launch::Tunnel(to.clone())
        }
    })
}

/// The client's terminal, or the one that AWS clients have until they tell its size.
fn terminal(told: Option<&Terminal>) -> message::Terminal {
    told.map_or_else(
        || message::Terminal {
            term: "xterm-256color".to_owned(),
            size: Size { rows: 24, cols: 80 },
        },
        |t| message::Terminal { term: t.term.clone(), size: Size { rows: t.rows, cols: t.cols } },
    )
}
