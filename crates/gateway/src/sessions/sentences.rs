//! The sentences for a session's end, and the names of its kinds.

use towline_wire::message::EndReason;

/// The AWS dialect's name for what a session does, as stored; a shell's for a row of an older
/// version.
pub(super) fn session_type_of(stored: &str) -> &'static str {
    let names = ["InteractiveCommands", "NonInteractiveCommands", "Port"];
    names.into_iter().find(|name| *name == stored).unwrap_or("Standard_Stream")
}

/// The sentence for a reason, for people and for the record.
#[must_use]
pub fn sentence(reason: EndReason) -> String {
    use towline_wire::message::ExitStatus;
    match reason {
        EndReason::Exited(ExitStatus::Code(0)) => "the program ended".to_owned(),
        EndReason::Exited(ExitStatus::Code(code)) => {
            format!("the program ended with exit code {code}")
        }
        EndReason::Exited(ExitStatus::Signal(signal)) => {
            format!("the program was killed by signal {signal}")
        }
        EndReason::Exited(ExitStatus::TimedOut) => "the program took longer than it may".to_owned(),
        EndReason::IdleTimeout => {
            "ended: nothing was typed or shown for the idle time-out".to_owned()
        }
        EndReason::MaxDuration => "ended: the session reached its maximum duration".to_owned(),
        EndReason::Terminated => "terminated".to_owned(),
        EndReason::ClosedByOperator => "closed by the operator".to_owned(),
        EndReason::OperatorGone => "ended: no client came back in time".to_owned(),
        EndReason::DeviceGone => {
            "ended: the device did not come back in time, or without the session".to_owned()
        }
        EndReason::NotOpened => "could not be opened".to_owned(),
        EndReason::DeviceRevoked => "ended: the device was removed".to_owned(),
        EndReason::Violation => "ended: one side broke the rules of the stream".to_owned(),
    }
}
