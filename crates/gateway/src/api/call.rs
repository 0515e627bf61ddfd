//! One request on its way through the API: who asks, from where, and what will stand in its audit
//! line.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;

use towline_host::clock::UnixMillis;
use towline_ssm::ids::UserName;
use towline_ssm::operation::Operation;

use super::root::Root;
use super::token::{Token, tag};
use crate::limits::MAX_AUDIT_FACTS;
use crate::plane::{Person, Sitter};

/// What showed whose request it is. Policy, audit trail and limits make no difference between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// A signature by an access key.
    Signature,
    /// The cookie of a browser's sign-in.
    Cookie {
        /// Its id.
        sign_in: String,
    },
    /// A link that was made on the server. It makes a sign-in and nothing else.
    Link,
    /// A token of an identity provider, in a request without a signature.
    Token(Box<Vouch>),
}

/// What an identity provider says of somebody, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vouch {
    /// The provider.
    pub(super) provider: towline_store::IdentityProvider,
    /// Its settings.
    pub(super) settings: towline_ssm::api::provider::ProviderSettings,
    /// The claims of its token.
    pub(super) claims: towline_oidc::Claims,
}

/// Who makes the request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The user behind it: whose decisions, sessions and deeds these are.
    pub(super) person: Person,
    /// The user's name, or that of the role's session: what session ids begin with.
    pub(super) name: UserName,
    /// The caller's ARN.
    pub(super) arn: String,
    /// `aws:userid`.
    pub(super) user_id: String,
    /// Whose policies count: a user's name, or `role/NAME`.
    pub(super) principal: String,
    /// Id of that principal.
    pub(super) principal_id: String,
    /// The key that signed, or that made the sign-in.
    pub(super) access_key: String,
    /// How it was shown.
    pub(super) proof: Proof,
    /// Tags of the user, or of the role and its session.
    pub(super) tags: BTreeMap<String, String>,
    /// For temporary credentials.
    pub(super) temporary: Option<Temporary>,
}

impl Caller {
    /// Whether the caller is herself, and in no role.
    pub(super) fn is_person(&self) -> bool {
        self.principal_id == self.person.id
    }

    /// The caller as one who types into a session of somebody else.
    pub(super) fn sitter(&self) -> Sitter {
        Sitter {
            arn: self.arn.clone(),
            person_id: self.person.id.clone(),
            principal_id: self.principal_id.clone(),
        }
    }

    /// The request for access whose credentials these are.
    pub(super) fn access_request(&self) -> Option<&str> {
        let access = self.temporary.as_ref().and_then(|temporary| temporary.access.as_ref());
        access.map(|(request, _)| request.as_str())
    }

    /// What began the chain of this caller's credentials.
    pub(super) fn root(&self) -> Root {
        let own = || Root::Key(self.access_key.clone());
        self.temporary.as_ref().map_or_else(own, |temporary| temporary.root.clone())
    }

    /// The value of a tag, in whatever letter case its key is written.
    pub(super) fn tag(&self, key: &str) -> Option<&String> {
        tag(&self.tags, key)
    }
}

/// What temporary credentials bring.
#[derive(Debug, Clone)]
pub(super) struct Temporary {
    /// When they were made.
    pub(super) issued_at: UnixMillis,
    /// What began the chain.
    pub(super) root: Root,
    /// When an identity provider began it: what is known from there.
    pub(super) federated: Option<Federated>,
    /// The session policy's text.
    pub(super) policy: Option<String>,
    /// Tags that further sessions inherit.
    pub(super) transitive: BTreeMap<String, String>,
    /// Who is really behind it.
    pub(super) source_identity: Option<String>,
    /// When the user proved a second factor of her own, if it still is hers; milliseconds.
    pub(super) second_factor_at: Option<i64>,
    /// The approved request, and the policy that it adds.
    pub(super) access: Option<(String, String)>,
    /// The token itself.
    pub(super) token: Box<Token>,
}

/// What an identity provider said when the credentials were made.
#[derive(Debug, Clone)]
pub(super) struct Federated {
    /// The provider.
    pub(super) provider_arn: String,
    /// Who it is there.
    pub(super) subject: String,
    /// Whether a second factor was proved.
    pub(super) second_factor: bool,
    /// When the person proved who she is, seconds.
    pub(super) auth_time: Option<i64>,
}

/// A request of a proven caller.
pub(super) struct Call {
    /// What is asked.
    pub(super) operation: Operation,
    /// Who asks.
    pub(super) caller: Caller,
    /// From where.
    pub(super) source: IpAddr,
    /// What the client calls itself; at most 256 characters.
    pub(super) user_agent: String,
    /// The host that the client used, with its port; signed.
    pub(super) host: String,
    /// When it arrived.
    pub(super) now: UnixMillis,
    /// For an operation that makes a sign-in: the sign-in that the browser has.
    pub(super) sign_in_before: Option<String>,
    /// Another gateway has passed it on, and asks others itself.
    pub(super) is_passed_on: bool,
    record: Mutex<Record>,
}

/// What happened to a request so far.
#[derive(Default, Clone)]
pub(super) struct Record {
    /// Whether policy was asked and said yes.
    pub(super) allowed: bool,
    /// ARNs that policy was asked about.
    pub(super) resources: Vec<String>,
    /// Facts for the audit line.
    pub(super) facts: Vec<(&'static str, String)>,
    /// The cookie that the answer sets: a secret.
    pub(super) set_cookie: Option<String>,
}

impl Call {
    pub(super) fn new(
        operation: Operation,
        caller: Caller,
        source: IpAddr,
        user_agent: String,
        host: String,
        now: UnixMillis,
    ) -> Self {
        let call = Self {
            operation,
            caller,
            source,
            user_agent,
            host,
            now,
            sign_in_before: None,
            is_passed_on: false,
            record: Mutex::default(),
        };
        match call.caller.proof {
            Proof::Signature | Proof::Token(_) => {}
            Proof::Cookie { .. } => call.note("proof", "cookie"),
            Proof::Link => call.note("proof", "link"),
        }
        call
    }

    /// With which program the request was made: the condition key `towline:Client`. A cookie proves
    /// the console. For a signature the program's own name is taken, which proves nothing: any
    /// holder of an access key may call itself as it likes.
    pub(super) fn client(&self) -> &'static str {
        match self.caller.proof {
            Proof::Cookie { .. } | Proof::Link => "console",
            Proof::Signature if self.user_agent.starts_with("towline/") => "cli",
            // What the official plugin calls itself, and the only operation that it asks for.
            Proof::Signature
                if self.operation == Operation::ResumeSession
                    && self.user_agent.starts_with("aws-sdk-go") =>
            {
                "plugin"
            }
            Proof::Signature | Proof::Token(_) => "aws",
        }
    }

    /// The answer sets this cookie.
    pub(super) fn set_cookie(&self, cookie: String) {
        self.lock().set_cookie = Some(cookie);
    }

    /// Notes a fact for the audit line. Never a secret.
    pub(super) fn note(&self, name: &'static str, value: impl Into<String>) {
        let mut record = self.lock();
        if record.facts.len() < MAX_AUDIT_FACTS {
            record.facts.push((name, value.into()));
        }
    }

    /// Notes that policy was asked about a resource, and its answer.
    pub(super) fn asked(&self, resource: &str, allowed: bool) {
        let mut record = self.lock();
        record.allowed = allowed;
        if record.resources.len() < MAX_AUDIT_FACTS {
            record.resources.push(resource.to_owned());
        }
    }

    /// What happened so far.
    pub(super) fn record(&self) -> Record {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
