//! How a refusal is told to an AWS client: a code from a closed list, and a sentence for the person
//! who must act.
//!
//! Data flow: any module -> [`ApiError`] -> [`ApiError::status`] and [`ApiError::json_body`] -> the
//! client, which turns the code into an exception of that name.
//!
//! # Invariants
//! - All codes are in [`ErrorCode`]; [`ErrorCode::ALL`] lists them, so tests and documents can be
//!   made from it.
//! - Client errors are HTTP 400, as AWS JSON 1.1 has them; only [`ErrorCode::InternalServerError`]
//!   is 500.
//!
//! # Not here
//! - No logging and no secrets: a message is shown to the caller as it is.

use serde_json::json;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Every error code this product answers with. The variant is spelled as the code on the
        /// wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)+
        }

        impl ErrorCode {
            /// All codes, for tests that must cover each of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as clients see it in `__type`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

codes! {
    /// The principal is known, its policies do not allow this.
    AccessDeniedException,
    /// Never answered: nothing here is associated with a document. In the model of DeleteDocument.
    AssociatedInstances,
    /// A document of this name is there already.
    DocumentAlreadyExists,
    /// There are as many documents as may be.
    DocumentLimitExceeded,
    /// The document has as many versions as it may have.
    DocumentVersionLimitExceeded,
    /// A session or device that should exist does not.
    DoesNotExistException,
    /// The document has a version with this content already.
    DuplicateDocumentContent,
    /// The document has a version of this name already.
    DuplicateDocumentVersionName,
    /// A device is named twice.
    DuplicateInstanceId,
    /// A token of an identity provider is past its time. STS calls it `ExpiredTokenException`.
    ExpiredIdentityToken,
    /// A security token is past its time.
    ExpiredTokenException,
    /// An identity provider cannot be asked for its keys.
    IDPCommunicationError,
    /// An identity provider's token is right, and its subject is not let in.
    IDPRejectedClaim,
    /// The `Authorization` header is there, but not in a form that can be read.
    IncompleteSignatureException,
    /// Our fault; the client may try again.
    InternalServerError,
    /// No such activation, or it cannot be used so.
    InvalidActivation,
    /// Never answered: an id of another form breaks a limit. In the model of DeleteActivation.
    InvalidActivationId,
    /// Inventory is not aggregated here.
    InvalidAggregatorException,
    /// No command has this id.
    InvalidCommandId,
    /// No such document, or one this target cannot run.
    InvalidDocument,
    /// The text is not a document of its kind.
    InvalidDocumentContent,
    /// The document cannot be changed or removed like that.
    InvalidDocumentOperation,
    /// The schema version is not one of this kind of document.
    InvalidDocumentSchemaVersion,
    /// The document has no such version.
    InvalidDocumentVersion,
    /// A filter of activations or of inventory is not known.
    InvalidFilter,
    /// A filter key is not known.
    InvalidFilterKey,
    /// No such device, or not in a state for this.
    InvalidInstanceId,
    /// A filter value of a device listing is malformed.
    InvalidInstanceInformationFilterValue,
    /// Never answered: there are no groups of inventory here. In the model of GetInventory.
    InvalidInventoryGroupException,
    /// A token of an identity provider that is not believed.
    InvalidIdentityToken,
    /// A paging token that this gateway did not give.
    InvalidNextToken,
    /// Notifications that cannot be sent.
    InvalidNotificationConfig,
    /// A place for output that this gateway cannot write to.
    InvalidOutputFolder,
    /// Parameters that the document or operation does not take.
    InvalidParameters,
    /// Documents have one type of permission, `Share`.
    InvalidPermissionType,
    /// The document has no such step, or several and none was named.
    InvalidPluginName,
    /// The resource to tag does not exist.
    InvalidResourceId,
    /// Resources of this type cannot be tagged here.
    InvalidResourceType,
    /// Never answered: an attribute of another form breaks a limit. In the model of GetInventory.
    InvalidResultAttributeException,
    /// A role that cannot be used.
    InvalidRole,
    /// The signature is not the one the secret key gives, or its time is too far off.
    InvalidSignatureException,
    /// Never answered: a type that no device reports has no devices. In the model of GetInventory.
    InvalidTypeNameException,
    /// The command was not sent to this device.
    InvocationDoesNotExist,
    /// A principal, key or policy text that breaks a rule of its own (administration).
    MalformedPolicyDocument,
    /// The document is larger than a document may be.
    MaxDocumentSizeExceeded,
    /// No `Authorization` header at all.
    MissingAuthenticationTokenException,
    /// Never answered: nothing here was given up. In the model of CreateDocument.
    NoLongerSupportedException,
    /// The device has the program and cannot execute it: a shell's 126. Not in AWS's models.
    ProgramNotExecutable,
    /// The device has no such program: a shell's 127. Not in AWS's models.
    ProgramNotFound,
    /// The thing to create is there already (administration).
    ResourceAlreadyExistsException,
    /// A thing named in the request does not exist.
    ResourceNotFoundException,
    /// The body is not the JSON this operation takes.
    SerializationException,
    /// A number of things would go over its limit.
    ServiceQuotaExceededException,
    /// The device is known and not connected.
    TargetNotConnected,
    /// The device is connected and refuses by its own settings. Not in AWS's models: a policy of
    /// the gateway has allowed it.
    TargetRefused,
    /// Too many requests; the client may try again later.
    ThrottlingException,
    /// More tags than one resource may have.
    TooManyTagsError,
    /// Another change of the same thing is under way.
    TooManyUpdates,
    /// No operation of this name is served.
    UnknownOperationException,
    /// The access key or token is not known, or switched off.
    UnrecognizedClientException,
    /// The platform of the device cannot do this.
    UnsupportedPlatformType,
    /// A member of the request breaks its length, pattern or list of values.
    ValidationException,
}

impl ErrorCode {
    /// The HTTP status that goes with the code in AWS JSON 1.1.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InternalServerError => 500,
            _ => 400,
        }
    }

    /// The spelling that services with the query protocol (STS) use for the same thing. Their codes
    /// are older than the JSON ones, lack the suffix, and the signature errors come with other
    /// names.
    #[must_use]
    pub const fn query_str(self) -> &'static str {
        match self {
            Self::AccessDeniedException => "AccessDenied",
            Self::ExpiredIdentityToken => "ExpiredTokenException",
            Self::ExpiredTokenException => "ExpiredToken",
            Self::IncompleteSignatureException => "IncompleteSignature",
            Self::InternalServerError => "InternalFailure",
            Self::InvalidSignatureException => "SignatureDoesNotMatch",
            Self::MissingAuthenticationTokenException => "MissingAuthenticationToken",
            Self::SerializationException => "MalformedInput",
            Self::ThrottlingException => "Throttling",
            Self::UnknownOperationException => "InvalidAction",
            Self::UnrecognizedClientException => "InvalidClientTokenId",
            Self::ValidationException => "ValidationError",
            other => other.as_str(),
        }
    }

    /// The HTTP status in the query protocol, where failed authentication is 403.
    #[must_use]
    pub const fn query_status(self) -> u16 {
        match self {
            Self::AccessDeniedException
            | Self::ExpiredTokenException
            | Self::IDPRejectedClaim
            | Self::InvalidSignatureException
            | Self::MissingAuthenticationTokenException
            | Self::UnrecognizedClientException => 403,
            other => other.status(),
        }
    }
}

/// What a client can do about a refusal, where its code does not say it. Clients branch on it, and
/// never on the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The same caller would be allowed after a second factor that was proved just now: clients ask
    /// for the factor and call again.
    SecondFactor,
    /// The same signature was used before: signed anew, the request may be allowed.
    SignAgain,
}

impl Remedy {
    const ALL: [Self; 2] = [Self::SecondFactor, Self::SignAgain];

    /// As an answer has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecondFactor => "SecondFactor",
            Self::SignAgain => "SignAgain",
        }
    }

    /// Of an answer.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|remedy| remedy.as_str() == text)
    }
}

/// The member of an answer that has the remedy.
pub(crate) const REMEDY: &str = "TowlineRemedy";

/// An error answer, as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What kind of refusal.
    pub code: String,
    /// The sentence for a person.
    pub message: String,
    /// What can be done.
    pub remedy: Option<Remedy>,
}

/// A refusal, ready to be sent. `message` is for a person: it says what to change, and holds no
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .code.as_str())]
pub struct ApiError {
    /// What kind of refusal; clients branch on it.
    pub code: ErrorCode,
    /// The sentence for a person.
    pub message: String,
    /// What a client can do, where the code does not say it.
    pub remedy: Option<Remedy>,
}

impl ApiError {
    /// A refusal of this kind with this sentence.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: None }
    }

    /// The same, with what a client can do about it.
    #[must_use]
    pub fn with_remedy(self, remedy: Remedy) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// Shorthand for the most frequent kind.
    #[must_use]
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ValidationException, message)
    }

    /// HTTP status for AWS JSON 1.1.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.code.status()
    }

    /// The body for AWS JSON 1.1: `{"__type": code, "message": text}`, and a remedy where there is
    /// one.
    #[must_use]
    pub fn json_body(&self) -> String {
        let mut body = json!({ "__type": self.code.as_str(), "message": self.message });
        if let Some(remedy) = self.remedy {
            body[REMEDY] = remedy.as_str().into();
        }
        body.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_two_members_that_clients_read() {
        let error = ApiError::new(ErrorCode::TargetNotConnected, "mi-1 is not \"connected\"");
        let body: serde_json::Value = serde_json::from_str(&error.json_body()).unwrap();
        assert_eq!(
            body,
            json!({"__type": "TargetNotConnected", "message": "mi-1 is not \"connected\""})
        );
        assert_eq!(error.status(), 400);
    }

    #[test]
    fn a_remedy_comes_back_as_it_went_and_no_message_is_one() {
        use crate::api::error_from_answer;
        let text = "a second factor that was proved just now would allow it";
        let error = ApiError::new(ErrorCode::AccessDeniedException, text);
        let read = |error: &ApiError| error_from_answer(error.json_body().as_bytes()).unwrap();
        assert_eq!(read(&error).remedy, None);
        for remedy in Remedy::ALL {
            let with = read(&error.clone().with_remedy(remedy));
            assert_eq!((with.remedy, with.message.as_str()), (Some(remedy), text));
        }
    }

    #[test]
    fn only_our_own_fault_is_a_500() {
        for code in ErrorCode::ALL {
            let expected = if *code == ErrorCode::InternalServerError { 500 } else { 400 };
            assert_eq!(code.status(), expected, "{}", code.as_str());
        }
    }
}
