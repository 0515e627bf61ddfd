//! An order to a device: what its document means, in the agent's form.
//!
//! # Invariants
//! - A device of Linux or macOS is always told the user. The agent makes the account `ssm-user`,
//!   with every right by sudo, when it is told none: that happens when `ssm-user` was asked for by
//!   name, and not otherwise.
//! - Windows has no run-as: there the session is `ssm-user`'s, and somebody has asked for it by
//!   name.

use std::sync::Arc;

use towline_ssm::command_document::Platform;
use towline_ssm::documents::SessionPlan;
use towline_ssm::message::MessageType;
use towline_ssm::message::payload::Size;
use towline_ssm::vendor::control::interactive_shell;
use towline_ssm::vendor::{SessionOrder, session_content};

use super::carrier;
use super::control::ControlChannel;
use super::session::{Kind, VendorSession};
use crate::limits::VENDOR_SESSIONS;
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
        let (plan, terminal, profile) = match &order.work {
            Work::Session { plan, terminal, preferences, .. } => {
                let profile = preferences.shell_profile.of(self.platform);
                (*plan, *terminal, profile)
            }
            Work::Script(script) => return self.order_job(order, script, session),
        };
        self.check_user(plan, order.run_as)?;
        let content = session_content(&SessionOrder {
            session: order.session,
            document: order.document,
            plan,
            run_as: order.run_as,
            owner: order.principal,
            profile,
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
        if !self.send(MessageType::InteractiveShell, payload) {
            self.agents.registry.remove(&new);
            return Err(StartError::NotConnected);
        }
        tokio::spawn(carrier::carry(Arc::clone(&self.agents), new, arrivals));
        Ok(())
    }

    /// Whether this user can be had here.
    fn check_user(&self, plan: &SessionPlan, run_as: Option<&str>) -> Result<(), StartError> {
        let is_port = matches!(plan, SessionPlan::Port { .. } | SessionPlan::Ssh { .. });
        let why = match run_as {
            Some(OWN_USER) => return Ok(()),
            _ if is_port => return Ok(()), // no program runs
            Some(_) if self.platform != Platform::Windows => return Ok(()),
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
