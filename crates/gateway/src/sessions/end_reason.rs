//! The one place where the gateway's reasons for an end become the wire's, and the other way.

use towline_wire::message::EndReason as WireReason;

use crate::plane::EndReason;

impl EndReason {
    /// For the session's row, and for programs that ask for it later.
    #[must_use]
    pub fn code(self) -> String {
        WireReason::from(self).to_code()
    }
}

impl From<EndReason> for WireReason {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Exited(status) => Self::Exited(status),
            EndReason::IdleTimeout => Self::IdleTimeout,
            EndReason::MaxDuration => Self::MaxDuration,
            EndReason::Terminated => Self::Terminated,
            EndReason::ClosedByClient => Self::ClosedByOperator,
            EndReason::ClientLost => Self::OperatorGone,
            EndReason::DeviceLost => Self::DeviceGone,
            EndReason::NotOpened => Self::NotOpened,
            EndReason::DeviceRemoved => Self::DeviceRevoked,
            EndReason::Violation => Self::Violation,
        }
    }
}

impl From<WireReason> for EndReason {
    fn from(reason: WireReason) -> Self {
        match reason {
            WireReason::Exited(status) => Self::Exited(status),
            WireReason::IdleTimeout => Self::IdleTimeout,
            WireReason::MaxDuration => Self::MaxDuration,
            WireReason::Terminated => Self::Terminated,
            WireReason::ClosedByOperator => Self::ClosedByClient,
            WireReason::OperatorGone => Self::ClientLost,
            WireReason::DeviceGone => Self::DeviceLost,
            WireReason::NotOpened => Self::NotOpened,
            WireReason::DeviceRevoked => Self::DeviceRemoved,
            WireReason::Violation => Self::Violation,
        }
    }
}
