//! The closed list of served operations: how each is called, signed, named in policies and
//! authorised.
//!
//! Data flow: `X-Amz-Target` or the STS form's `Action` -> [`Operation`] -> the gateway's dispatch,
//! one exhaustive `match`.
//!
//! # Invariants
//! - One table row holds all there is to say of an operation; a new one without a row does not
//!   compile.
//! - [`Operation::ALL`] is complete, so that tests (access matrix) can be made from it.
//!
//! # Not here
//! - No handlers and no decision: the gateway has those.

use crate::error::{ApiError, ErrorCode};

/// The action of who may use the place of a device that is kept for a repair. Policies name it; no
/// operation has this name. Its resource is the device.
pub const USE_RESERVED_SESSION: &str = "towline:UseReservedSession";

/// The right to say which requests for access need which approvals: what making or changing a
/// document of these types needs beside the right to documents.
pub const MANAGE_APPROVAL_POLICIES: &str = "towline:ManageApprovalPolicies";

/// The action of who may watch a session without its owner being told. Policies name it; no
/// operation has this name. Its resource is the session.
pub const WATCH_SESSION_UNSEEN: &str = "towline:WatchSessionUnseen";

/// The action of who may take the seat of a session over without the consent of who has it.
/// Policies name it; no operation has this name. Its resource is the session.
pub const TAKE_OVER_SESSION: &str = "towline:TakeOverSession";

/// The API an operation belongs to. It decides the target prefix, the body format and the signing
/// name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Systems Manager: AWS JSON 1.1, prefix `AmazonSSM`.
    Ssm,
    /// Security Token Service: form body, XML answer, no target header.
    Sts,
    /// Our administration: AWS JSON 1.1, prefix `Towline`.
    Towline,
    /// CloudTrail, as far as looking events up goes: AWS JSON 1.1, prefix as in its model.
    CloudTrail,
}

impl Service {
    /// The service name in the credential scope of a signature, and in front of the colon in IAM
    /// actions.
    #[must_use]
    pub const fn signing_name(self) -> &'static str {
        match self {
            Self::Ssm => "ssm",
            Self::Sts => "sts",
            Self::Towline => "towline",
            Self::CloudTrail => "cloudtrail",
        }
    }

    /// What stands before the dot in `X-Amz-Target`; STS has no such header.
    #[must_use]
    pub const fn target_prefix(self) -> Option<&'static str> {
        match self {
            Self::Ssm => Some("AmazonSSM"),
            Self::Sts => None,
            Self::Towline => Some("Towline"),
            Self::CloudTrail => Some("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"),
        }
    }
}

/// On what an operation is authorised: which ARN the policy is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// No permission is needed: any valid signature will do.
    None,
    /// No single resource: `*`.
    Any,
    /// A device, under both of its names.
    Device,
    /// A device and the session document that is to run on it: both must be allowed.
    DeviceAndDocument,
    /// Devices and the command document that is to run on them: each must be allowed.
    DevicesAndDocument,
    /// A session.
    Session,
    /// Whatever the tags hang on, by `ResourceType` and `ResourceId`.
    Tagged,
    /// An activation.
    Activation,
    /// A user.
    User,
    /// A document.
    Document,
    /// A role.
    Role,
    /// A group of users.
    Group,
    /// A request for access for a time.
    AccessRequest,
    /// An identity provider.
    IdentityProvider,
    /// A command that was sent; conditions see the tags of the device.
    Command,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident: $service:ident, $access:ident, $resource:ident
        $(, as $whose:ident $action:ident)?;)+) => {
        /// Every operation this gateway serves. The variant is spelled as the operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$doc])* $name,)+
        }

        impl Operation {
            /// All operations.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The bare name, as in `AmazonSSM.<name>`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// The API it belongs to.
            #[must_use]
            pub const fn service(self) -> Service {
                match self { $(Self::$name => Service::$service,)+ }
            }

            /// Whether it leaves everything as it is; audit events and read-only principals go by
            /// it.
            #[must_use]
            pub const fn read_only(self) -> bool {
                match self { $(Self::$name => operations!(@ $access),)+ }
            }

            /// On what it is authorised.
            #[must_use]
            pub const fn resource_kind(self) -> ResourceKind {
                match self { $(Self::$name => ResourceKind::$resource,)+ }
            }

            /// The action as policies write it, for example `ssm:StartSession`. An operation that
            /// answers from what another one lists may have the action of that one.
            #[must_use]
            pub const fn iam_action(self) -> &'static str {
                match self { $(Self::$name => operations!(% $service $name $($whose $action)?),)+ }
            }
        }
    };
    (@ read) => { true };
    (@ write) => { false };
    (% $service:ident $name:ident) => { operations!(# $service $name) };
    (% $service:ident $name:ident $whose:ident $action:ident) => { operations!(# $whose $action) };
    (# Ssm $name:ident) => { concat!("ssm:", stringify!($name)) };
    (# Sts $name:ident) => { concat!("sts:", stringify!($name)) };
    (# CloudTrail $name:ident) => { concat!("cloudtrail:", stringify!($name)) };
    (# Towline $name:ident) => { concat!("towline:", stringify!($name)) };
}

operations! {
    /// Opens a session on a device.
    StartSession: Ssm, write, DeviceAndDocument;
    /// Gives a new token for a session whose connection was lost.
    ResumeSession: Ssm, write, Session;
    /// Ends a session.
    TerminateSession: Ssm, write, Session;
    /// Lists sessions, active ones or history.
    DescribeSessions: Ssm, read, Any;
    /// Says whether a device is connected.
    GetConnectionStatus: Ssm, read, Device;
    /// Lists devices.
    DescribeInstanceInformation: Ssm, read, Any;
    /// Makes an activation for new devices.
    CreateActivation: Ssm, write, Any;
    /// Lists activations.
    DescribeActivations: Ssm, read, Any;
    /// Removes an activation.
    DeleteActivation: Ssm, write, Any;
    /// Sets tags.
    AddTagsToResource: Ssm, write, Tagged;
    /// Removes tags.
    RemoveTagsFromResource: Ssm, write, Tagged;
    /// Lists tags.
    ListTagsForResource: Ssm, read, Tagged;
    /// Forgets a device.
    DeregisterManagedInstance: Ssm, write, Device;
    /// Says who the caller is.
    GetCallerIdentity: Sts, read, None;
    /// Makes a user.
    CreatePrincipal: Towline, write, User;
    /// Lists users.
    ListPrincipals: Towline, read, Any;
    /// Removes a user with its keys and policies.
    DeletePrincipal: Towline, write, User;
    /// Makes an access key.
    CreateAccessKey: Towline, write, User;
    /// Lists the access keys of a user, without secrets.
    ListAccessKeys: Towline, read, User;
    /// Switches an access key on or off.
    UpdateAccessKey: Towline, write, User;
    /// Removes an access key.
    DeleteAccessKey: Towline, write, User;
    /// Stores a policy of a user under a name.
    PutPrincipalPolicy: Towline, write, User;
    /// Reads a policy of a user.
    GetPrincipalPolicy: Towline, read, User;
    /// Lists the names of a user's policies.
    ListPrincipalPolicies: Towline, read, User;
    /// Removes a policy of a user.
    DeletePrincipalPolicy: Towline, write, User;
    /// Asks a device to make a new key.
    RotateDeviceKey: Towline, write, Device;
    /// Bans a device key from now on.
    RevokeDeviceKey: Towline, write, Device;
    /// Lists the keys of a device, past and present.
    ListDeviceKeys: Towline, read, Device;
    /// Searches devices by text, name, tags and state. The right to list devices is the right to
    /// search them.
    SearchDevices: Towline, read, Any, as Ssm DescribeInstanceInformation;
    /// Lets a pending device in.
    ApproveDevice: Towline, write, Device;
    /// Gives a device another name.
    RenameDevice: Towline, write, Device;
    /// Checks a session's recording by its seals.
    VerifyRecording: Towline, read, Session, as Towline GetRecording;
    /// Searches programs and typed lines of all sessions whose commands the caller may list.
    SearchSessionCommands: Towline, read, None, as Towline ListSessionCommands;
    /// Where a player begins to draw a moment of a recording.
    GetRecordingIndex: Towline, read, Session, as Towline GetRecording;
    /// Reads a session's recording, piece by piece.
    GetRecording: Towline, read, Session;
    /// Gives a token to watch a live session with.
    WatchSession: Towline, write, Session;
    /// Gives a token to type into another user's session in that user's place.
    JoinSession: Towline, write, Session;
    /// Shows a message to who has the seat of a session.
    SendSessionMessage: Towline, write, Session;
    /// Looks events of the audit trail up.
    LookupEvents: CloudTrail, read, Any;
    /// Makes a document.
    CreateDocument: Ssm, write, Document;
    /// Adds a version to a document.
    UpdateDocument: Ssm, write, Document;
    /// Chooses a document's default version.
    UpdateDocumentDefaultVersion: Ssm, write, Document;
    /// Reads a document's text.
    GetDocument: Ssm, read, Document;
    /// Says what is known of a document.
    DescribeDocument: Ssm, read, Document;
    /// Lists documents.
    ListDocuments: Ssm, read, Any;
    /// Lists the versions of a document.
    ListDocumentVersions: Ssm, read, Document;
    /// Lists the accounts that share a document: none.
    DescribeDocumentPermission: Ssm, read, Document;
    /// Reads the inventory of devices.
    GetInventory: Ssm, read, Any;
    /// Removes a document or one of its versions.
    DeleteDocument: Ssm, write, Document;
    /// Gives temporary credentials of a role.
    AssumeRole: Sts, write, Role;
    /// Gives temporary credentials of a role for a token of an identity provider. It has no
    /// signature: the role's trust policy judges the token.
    AssumeRoleWithWebIdentity: Sts, write, None;
    /// Gives the caller temporary credentials of her own.
    GetSessionToken: Sts, write, None;
    /// Changes who may assume a role, and for how long.
    UpdateRole: Towline, write, Role;
    /// Puts a user into a group.
    AddGroupMember: Towline, write, Group;
    /// Takes a user out of a group.
    RemoveGroupMember: Towline, write, Group;
    /// Sets the most that a user or role can be granted.
    PutPrincipalBoundary: Towline, write, User;
    /// Reads that.
    GetPrincipalBoundary: Towline, read, User;
    /// Removes it.
    DeletePrincipalBoundary: Towline, write, User;
    /// Asks for access for a time.
    StartAccessRequest: Ssm, write, Device;
    /// Gives the credentials of an approved request.
    GetAccessToken: Ssm, write, AccessRequest;
    /// Opens access to devices at once, in an emergency, and tells everybody.
    BreakGlass: Towline, write, Device;
    /// Decides about a request for access.
    ApproveAccessRequest: Towline, write, AccessRequest;
    /// Lists requests for access.
    ListAccessRequests: Towline, read, Any;
    /// Says whether a principal may do something, and why.
    ExplainAccess: Towline, read, Any;
    /// Says who may do what on a device.
    ListDeviceAccess: Towline, read, Device;
    /// Lists what a session executed, by its device's word.
    ListSessionCommands: Towline, read, Session;
    /// Has devices run a document.
    SendCommand: Ssm, write, DevicesAndDocument;
    /// Lists commands.
    ListCommands: Ssm, read, Any;
    /// Lists what became of commands on devices.
    ListCommandInvocations: Ssm, read, Any;
    /// Shows what became of a command on one device, with its output.
    GetCommandInvocation: Ssm, read, Device;
    /// Stops a command.
    CancelCommand: Ssm, write, Any;
    /// Reads the whole output of a step of a command on one device, piece by piece.
    GetCommandOutput: Towline, read, Command;
    /// Shows the state of the gateway itself.
    GetHealth: Towline, read, Any;
    /// Signs a browser in: the answer sets a cookie that stands for the access key.
    CreateSignIn: Towline, write, None;
    /// Signs a browser in by a link that was made on the server; the link is the proof.
    RedeemSignInLink: Towline, write, None;
    /// Says whose sign-in the cookie of this request is.
    GetSignIn: Towline, read, None;
    /// Voids the sign-in of this request's cookie.
    DeleteSignIn: Towline, write, None;
    /// Proves a one-time code for the sign-in of this request's cookie.
    ProveSecondFactor: Towline, write, None;
    /// Shows the request of a program that waits for a sign-in, by the code that it shows.
    GetSignInRequest: Towline, read, None;
    /// Signs such a program in as the person of this request's cookie, or rejects it.
    DecideSignInRequest: Towline, write, None;
    /// Makes an identity provider known, whose tokens are then accepted.
    CreateIdentityProvider: Towline, write, IdentityProvider;
    /// Lists identity providers.
    ListIdentityProviders: Towline, read, Any;
    /// Reads the settings of an identity provider, without its secret.
    GetIdentityProvider: Towline, read, IdentityProvider;
    /// Changes an identity provider.
    UpdateIdentityProvider: Towline, write, IdentityProvider;
    /// Removes an identity provider with what hangs on it.
    DeleteIdentityProvider: Towline, write, IdentityProvider;
    /// Stops an identity provider at once, or lets it in again.
    UpdateIdentityProviderStatus: Towline, write, IdentityProvider;
    /// Lists the people and jobs that an identity provider vouched for.
    ListFederatedPeople: Towline, read, IdentityProvider;
    /// Makes a second factor of the caller.
    CreateSecondFactor: Towline, write, User;
    /// Enables it with a first code.
    EnableSecondFactor: Towline, write, User;
    /// Removes the second factor of a user.
    DeleteSecondFactor: Towline, write, User;
    /// Makes a receiver of notifications.
    CreateWebhook: Towline, write, Any;
    /// Lists receivers of notifications.
    ListWebhooks: Towline, read, Any;
    /// Removes a receiver of notifications with what waits for it.
    DeleteWebhook: Towline, write, Any;
    /// Lists notifications that a receiver did not take.
    ListDeadLetters: Towline, read, Any;
    /// Sends them again.
    ResendDeadLetters: Towline, write, Any;
    /// Lets a person or job of an identity provider in no more, or again.
    UpdateFederatedPerson: Towline, write, IdentityProvider;
}

impl Operation {
    /// The operation that an `X-Amz-Target` header names.
    ///
    /// # Errors
    /// `UnknownOperationException` for anything that is not served, however it is written.
    pub fn parse(target: &str) -> Result<Self, ApiError> {
        let unknown = || {
            ApiError::new(
                ErrorCode::UnknownOperationException,
                "X-Amz-Target names no operation of this service",
            )
        };
        let (prefix, name) = target.rsplit_once('.').ok_or_else(unknown)?;
        Self::ALL
            .iter()
            .copied()
            .find(|op| op.service().target_prefix() == Some(prefix) && op.name() == name)
            .ok_or_else(unknown)
    }

    /// The operation that the `Action` of an STS form names.
    ///
    /// # Errors
    /// `UnknownOperationException` for anything that is not served.
    pub fn parse_sts_action(action: &str) -> Result<Self, ApiError> {
        Self::ALL
            .iter()
            .copied()
            .find(|op| op.service() == Service::Sts && op.name() == action)
            .ok_or_else(|| {
                ApiError::new(
                    ErrorCode::UnknownOperationException,
                    "Action names no operation of this service",
                )
            })
    }

    /// The `X-Amz-Target` header a client sends for it; none for STS.
    #[must_use]
    pub fn target(self) -> Option<String> {
        self.service().target_prefix().map(|prefix| format!("{prefix}.{}", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_the_name_its_clients_send() {
        for op in Operation::ALL.iter().copied() {
            let found = match op.target() {
                Some(target) => Operation::parse(&target),
                None => Operation::parse_sts_action(op.name()),
            };
            assert_eq!(found, Ok(op));
            let own = format!("{}:{}", op.service().signing_name(), op.name());
            // Operations of our own that show what another one's right shows.
            let right = match op {
                Operation::SearchDevices => "ssm:DescribeInstanceInformation",
                Operation::SearchSessionCommands => "towline:ListSessionCommands",
                Operation::GetRecordingIndex | Operation::VerifyRecording => "towline:GetRecording",
                _ => &own,
            };
            assert_eq!(op.iam_action(), right);
        }
    }

    #[test]
    fn a_target_that_is_not_served_is_an_unknown_operation() {
        for target in [
            "",
            "AmazonSSM",
            "AmazonSSM.",
            "AmazonSSM.startsession",
            "Towline.StartSession",
            "AmazonSSM.GetCallerIdentity",
            "X.StartSession",
        ] {
            assert_eq!(
                Operation::parse(target).unwrap_err().code,
                ErrorCode::UnknownOperationException,
                "{target}"
            );
        }
    }
}
