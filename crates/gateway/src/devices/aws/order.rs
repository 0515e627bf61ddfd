//! An order to a device: what its document means, in the agent's form.
//!
//! # Invariants
//! - A device of Linux or macOS is always told the user. The agent makes the account `ssm-user`,
//!   with every right by sudo, when it is told none: that happens when `ssm-user` was asked for by
//!   name, and not otherwise.
//! - Windows has no run-as: there the session is `ssm-user`'s, and somebody has asked for it by
//!   name.
//! - A session is ordered where the device runs the system by which its request was judged, and no
//!   other: who may be which user depends on it.
//! - The agent dials what it is told. An address of a cloud's services is not told to it; what a
//!   name leads to nobody judges.

use std::sync::Arc;

use towline_ssm::command_document::Platform;
use towline_ssm::documents::SessionPlan;
use towline_ssm::message::payload::Size;
use towline_ssm::message::{HEADER, MessageType};
use towline_ssm::vendor::control::interactive_shell;
use towline_ssm::vendor::{SessionOrder, session_content};
use towline_wire::canonical;
use towline_wire::guarded::{is_guarded, is_no_host, unwrapped};

use super::carrier;
use super::control::{ControlChannel, Queued};
use super::session::{Kind, VendorSession};
use crate::limits::{VENDOR_CONTROL_BYTES, VENDOR_SESSIONS};
use crate::plane::StartError;
use crate::sessions::{DeviceEnd, Order, Session, Work};

/// The account that the agent makes by itself.
const OWN_USER: &str = "ssm-user";

impl ControlChannel {
    /// Orders a session.
    pub(super) fn order(
        self: &Arc<Self>,
        order: &Order<'_>,
        session: &Arc<Session>,
    ) -> Result<(), StartError> {
        let (plan, terminal, preferences) = match &order.work {
            Work::Session { plan, terminal, preferences, .. } => (*plan, *terminal, *preferences),
            Work::Script(script) => return self.order_job(order, script, session),
        };
        let platform = self.checked_system(order.platform, plan)?;
        check_user(platform, plan, order.run_as)?;
        check_target(plan)?;
        let content = session_content(&SessionOrder {
            session: order.session,
            document: order.document,
            plan,
            run_as: order.run_as,
            owner: order.principal,
            profile: preferences.shell_profile.of(platform),
        });
        let content = content.map_err(|why| StartError::Refused { why: why.into() })?;
        let kind = (kind_of(plan), tells_exit(plan));
        let (new, arrivals) = VendorSession::new(self.id(), kind, session);
        if let Some(terminal) = terminal {
            let size = Size { cols: terminal.cols.into(), rows: terminal.rows.into() };
            new.told(|told| told.size = Some(size));
        }
        if !self.agents.registry.add(&new) {
            return Err(StartError::TooManySessions { limit: VENDOR_SESSIONS });
        }
        session.device_up(Arc::clone(&new) as Arc<dyn DeviceEnd>);
        let payload = interactive_shell(order.session, &content);
        if let Err(error) = self.send_order(MessageType::InteractiveShell, payload, "command") {
            self.agents.registry.remove(&new);
            return Err(error);
        }
        tokio::spawn(carrier::carry(Arc::clone(&self.agents), new, arrivals));
        Ok(())
    }

    /// Queues an order. `what` is named when it is too large.
    pub(super) fn send_order(
        &self,
        message_type: MessageType,
        payload: Vec<u8>,
        what: &str,
    ) -> Result<(), StartError> {
        if HEADER + payload.len() > VENDOR_CONTROL_BYTES {
            let why = format!(
                "the {what} is too large for amazon-ssm-agent: its order has more than \
                 {VENDOR_CONTROL_BYTES} bytes, in which quotes and line ends count several times"
            );
            return Err(StartError::Refused { why });
        }
        match self.send(message_type, payload) {
            Queued::Yes => Ok(()),
            Queued::Full => {
                let why = "other orders wait for the agent's slow link: try again".to_owned();
                Err(StartError::Busy { why })
            }
            Queued::Closed => Err(StartError::NotConnected),
        }
    }

    /// The system of the device, which must be the one by which the session was judged.
    fn checked_system(
        &self,
        judged: Option<Platform>,
        plan: &SessionPlan,
    ) -> Result<Platform, StartError> {
        let as_judged = judged.unwrap_or(Platform::Linux);
        let why = match self.platform {
            Some(own) if own == as_judged => return Ok(own),
            None if judged.is_some() || is_port(plan) => return Ok(as_judged),
            None => "it has not said yet which system it runs: try again in a minute".to_owned(),
            Some(own) => format!(
                "its control channel was opened as {}, and its last report says {}: restart \
                 amazon-ssm-agent there if that lasts",
                own.name(),
                as_judged.name()
            ),
        };
        Err(StartError::Refused { why })
    }
}

/// Whether this user can be had on such a system.
fn check_user(
    platform: Platform,
    plan: &SessionPlan,
    run_as: Option<&str>,
) -> Result<(), StartError> {
    let why = match run_as {
        Some(OWN_USER) => return Ok(()),
        _ if is_port(plan) => return Ok(()),
        Some(_) if platform != Platform::Windows => return Ok(()),
        Some(user) => format!(
            "sessions on Windows with amazon-ssm-agent run as {OWN_USER}, not as {user}: ask \
                 for {OWN_USER}"
        ),
        None => format!(
            "name the user: amazon-ssm-agent would make the account {OWN_USER}, which may do \
                 everything by sudo. Use --user NAME, the tag SSMSessionRunAs of the principal, or \
                 runAsDefaultUser in the document SSM-SessionManagerRunShell; {OWN_USER} is taken, \
                 too"
        ),
    };
    Err(StartError::Refused { why })
}

/// Whether the agent may be told to connect to this host. Each spelling of an address that is not
/// the one of [`canonical`] is refused: the agent's system may read it as another one.
fn check_target(plan: &SessionPlan) -> Result<(), StartError> {
    let SessionPlan::Port { host: Some(host), .. } = plan else { return Ok(()) };
    let why = match (canonical::check_host(host), host.parse().map(unwrapped)) {
        (Err(fault), _) => format!("the host {fault}"),
        (Ok(()), Ok(address)) if is_no_host(address) || is_guarded(address) => format!(
            "{host} is an address of a cloud's services or of no single host, which no forward \
             through amazon-ssm-agent leads to"
        ),
        (Ok(()), _) => return Ok(()),
    };
    Err(StartError::Refused { why })
}

/// Whether no program runs.
const fn is_port(plan: &SessionPlan) -> bool {
    matches!(plan, SessionPlan::Port { .. } | SessionPlan::Ssh { .. })
}

fn kind_of(plan: &SessionPlan) -> Kind {
    match plan {
        SessionPlan::Shell { .. } => Kind::Shell,
        SessionPlan::InteractiveCommand { .. } | SessionPlan::Exec { terminal: true, .. } => {
            Kind::Interactive
        }
        SessionPlan::Exec { .. }
        | SessionPlan::NonInteractiveCommand { .. }
        | SessionPlan::Copy { .. } => Kind::Command,
        SessionPlan::Port { .. } | SessionPlan::Ssh { .. } => Kind::Port,
    }
}

/// Whether the agent sends an exit code: where it keeps the outputs apart.
const fn tells_exit(plan: &SessionPlan) -> bool {
    matches!(
        plan,
        SessionPlan::Exec { terminal: false, .. }
            | SessionPlan::NonInteractiveCommand { separate_output: true, .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str) -> Result<(), StartError> {
        let host = Some(host.to_owned());
        check_target(&SessionPlan::Port { host, port: 80, local_port: 0 })
    }

    #[test]
    fn the_agent_is_not_sent_to_a_guarded_address() {
        for host in [
            "169.254.169.254",
            "169.254.1.1",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fe80::1",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            let Err(StartError::Refused { why }) = to(host) else { panic!("{host} is dialled") };
            assert!(why.contains("a cloud's services"), "{why}");
        }
    }

    #[test]
    fn no_other_spelling_of_an_address_is_sent_to_the_agent() {
        for host in [
            "2852039166",
            "0xa9fea9fe",
            "0xa9.254.169.254",
            "0251.0376.0251.0376",
            "169.254.43518",
            "169.16689662",
            "169.254.169.254.",
            "[fe80::1]",
            "fe80::1%eth0",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "FD00:EC2::254",
            "fd00:0ec2::254",
            "0",
            "",
        ] {
            assert!(matches!(to(host), Err(StartError::Refused { .. })), "{host} is dialled");
        }
    }

    #[test]
    fn other_hosts_are() {
        for host in ["10.0.0.5", "127.0.0.1", "::1", "2001:db8::1", "localhost", "db.example.com"] {
            assert_eq!(to(host), Ok(()), "{host}");
        }
        let own = SessionPlan::Port { host: None, port: 80, local_port: 0 };
        assert_eq!(check_target(&own), Ok(()));
    }
}
