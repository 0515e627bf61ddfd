//! What is asked: who, what, on which resource, under which circumstances.
//!
//! The caller (the gateway, the command line) fills a [`Request`]; evaluation only reads it.
//!
//! # Invariants
//! - Key names have no case: `aws:SourceIp` and `AWS:sourceip` are one key (IAM User Guide, "IAM
//!   JSON policy elements: Condition"), by the rule of [`crate::fold()`]. Values keep theirs.
//! - A key that is set twice with other values makes the request contradictory. It is then denied,
//!   whatever the policies say: no value wins.
//! - Bounded: a request beyond [`crate::limits`] is not cut to fit, it is remembered as oversized
//!   and then denied.
//!
//! # Not here
//! - The truth of the values. Who fills in `aws:MultiFactorAuthPresent` vouches for it.

use crate::fold::fold;
use crate::limits::{
    MAX_ALIASES, MAX_ARN_BYTES, MAX_CONTEXT_KEYS, MAX_CONTEXT_VALUES, MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
};
use std::hash::{DefaultHasher, Hasher as _};

/// Parts of an ARN: `arn`, partition, service, region, account, resource.
pub(crate) const ARN_PARTS: usize = 6;

/// One question to the policies.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// ARN of the caller: user, role session or account root; or the name of a service.
    pub principal: String,
    /// Such as `ssm:StartSession`. No case.
    pub action: String,
    /// The names of ONE resource. A device is asked for under its `managed-instance` and its
    /// `instance` ARN, see [`device_aliases`]; a `Resource` matches when any name does, a
    /// `NotResource` when none of them is excepted.
    pub resources: Vec<String>,
    /// The circumstances.
    pub context: Context,
}

impl Request {
    /// A request about a resource of a single name, with the keys of the principal filled in
    /// (see [`Context::fill_from_principal`]).
    #[must_use]
    pub fn new(principal: &str, action: &str, resource: &str, mut context: Context) -> Self {
        context.fill_from_principal(principal);
        Self {
            principal: principal.into(),
            action: action.into(),
            resources: vec![resource.into()],
            context,
        }
    }

    /// Why it cannot be judged. Such a request is denied, whatever the policies say.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        let fits = !self.context.oversized
            && self.resources.len() <= MAX_ALIASES
            && self.principal.len() <= MAX_ARN_BYTES
            && self.action.len() <= MAX_ARN_BYTES
            && self.resources.iter().all(|name| name.len() <= MAX_ARN_BYTES);
        if !fits {
            return Some(Fault::Oversized);
        }
        self.context.contradictory.clone().map(Fault::Contradictory)
    }
}

/// Why a request cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It is beyond [`crate::limits`].
    #[error(
        "the request is too large to be judged by policies: a value may have {MAX_VALUE_BYTES} \
         bytes, \
         a key {MAX_CONTEXT_VALUES} values, and a request {MAX_CONTEXT_KEYS} keys"
    )]
    Oversized,
    /// This key was set twice, with different values.
    #[error("the request gives the key {0} twice with different values (letter case aside)")]
    Contradictory(Box<str>),
}

/// The two names of a device, `mi-...` being its id: as Systems Manager calls it and as EC2 does.
/// Policies written for either meaning then work unchanged.
#[must_use]
pub fn device_aliases(region: &str, account: &str, id: &str) -> Vec<String> {
    vec![
        format!("arn:aws:ssm:{region}:{account}:managed-instance/{id}"),
        format!("arn:aws:ec2:{region}:{account}:instance/{id}"),
    ]
}

/// The name of a condition key, without case, with its hash: policies hash theirs when they are
/// parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    hash: u64,
    name: Box<str>,
}

impl Key {
    pub(crate) fn new(name: &str) -> Self {
        let name = fold(name);
        // Of no seed, so that it is the same in a policy and in a request. It only orders a bounded
        // list that is searched by halving: collisions cost nothing worth an attack.
        let mut hasher = DefaultHasher::new();
        hasher.write(name.as_bytes());
        Self { hash: hasher.finish(), name: name.into() }
    }

    /// In small letters.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// The circumstances of a request: keys without case, each with its values.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Hashes of the keys, sorted; apart from the entries because this list is all that most
    /// look-ups touch.
    hashes: Vec<u64>,
    /// In the order of `hashes`.
    entries: Vec<(Key, Vec<String>)>,
    oversized: bool,
    /// A key that was set twice with different values.
    contradictory: Option<Box<str>>,
    /// Beginnings of keys that may have values, which nobody knows any more.
    unknown: Vec<Box<str>>,
}

impl Context {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the values of a key. No value at all is the same as the key not being there. A key that
    /// has other values already makes the request contradictory, see [`Fault::Contradictory`].
    pub fn set<V: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) {
        let values: Vec<String> =
            values.into_iter().take(MAX_CONTEXT_VALUES + 1).map(Into::into).collect();
        let fits = values.len() <= MAX_CONTEXT_VALUES
            && values.iter().all(|value| value.len() <= MAX_VALUE_BYTES)
            && key.len() <= MAX_KEY_BYTES
            && self.entries.len() < MAX_CONTEXT_KEYS;
        if !fits {
            self.oversized = true;
            return;
        }
        if values.is_empty() {
            return;
        }
        let key = Key::new(key);
        match self.place(&key) {
            Ok(at) if self.entries[at].1 == values => {}
            Ok(_) => self.contradictory = Some(key.name),
            Err(at) => {
                self.hashes.insert(at, key.hash);
                self.entries.insert(at, (key, values));
            }
        }
    }

    /// Sets the values of a key in place of those that it has: for a question about another
    /// request.
    pub fn replace<V: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) {
        if let Ok(at) = self.place(&Key::new(key)) {
            self.hashes.remove(at);
            self.entries.remove(at);
        }
        self.set(key, values);
    }

    /// Where the key is, or where it would go.
    fn place(&self, key: &Key) -> Result<usize, usize> {
        let first = self.hashes.partition_point(|hash| *hash < key.hash);
        let same_hash =
            self.entries[first..].iter().take_while(|(known, _)| known.hash == key.hash);
        let found = same_hash.map(|(known, _)| known).position(|known| known.name == key.name);
        found.map(|offset| first + offset).ok_or(first)
    }

    /// Keys that begin like this and have no value here may have one that nobody knows: a condition
    /// on them permits nothing, and forbids.
    pub fn set_unknown(&mut self, beginning: &str) {
        self.unknown.push(fold(beginning).into());
    }

    /// Whether a key may have a value that nobody knows.
    pub(crate) fn is_unknown(&self, key: &Key) -> bool {
        self.has_unknown()
            && self.unknown.iter().any(|beginning| key.name().starts_with(&**beginning))
            && self.get(key).is_empty()
    }

    /// Whether any key may have a value that nobody knows.
    pub(crate) const fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// Sets the values of a key that has none yet.
    pub fn set_default<V: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) {
        if self.values(key).is_empty() {
            self.set(key, values);
        }
    }

    /// [`Context::set`], to be chained.
    #[must_use]
    pub fn with<V: Into<String>>(mut self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.set(key, values);
        self
    }

    /// Sets `PREFIX/KEY` for every tag, such as `aws:ResourceTag`. Two tags that differ in letter
    /// case only contradict each other, unless their values are the same.
    pub fn set_tags<'t>(
        &mut self,
        prefix: &str,
        tags: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) {
        for (key, value) in tags.into_iter().take(MAX_CONTEXT_KEYS + 1) {
            self.set(&format!("{prefix}/{key}"), [value]);
        }
    }

    /// Sets a device's tags under both names that policies use for them.
    pub fn set_resource_tags<'t>(
        &mut self,
        tags: impl IntoIterator<Item = (&'t str, &'t str)> + Clone,
    ) {
        self.set_tags("aws:ResourceTag", tags.clone());
        self.set_tags("ssm:resourceTag", tags);
    }

    /// The values of a key; empty when it is not there.
    #[must_use]
    pub(crate) fn get(&self, key: &Key) -> &[String] {
        self.place(key).map_or(&[], |at| self.entries[at].1.as_slice())
    }

    /// The values of a key; empty when it is not there.
    #[must_use]
    pub fn values(&self, key: &str) -> &[String] {
        self.get(&Key::new(key))
    }

    /// The keys, in small letters, with their values: for who keeps a question.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.entries.iter().map(|(key, values)| (key.name(), values.as_slice()))
    }

    /// Adds what follows from the caller's ARN, where not set already: `aws:PrincipalArn`,
    /// `aws:PrincipalAccount`, `aws:PrincipalType`, and for a user `aws:username`. A role session
    /// has no user name (IAM User Guide, "Variables and tags", table of principal key values), and
    /// its `aws:PrincipalArn` is the role's.
    pub fn fill_from_principal(&mut self, principal: &str) {
        let caller = Caller::read(principal);
        let known = [
            ("aws:principalarn", caller.lasting_arn()),
            ("aws:principalaccount", caller.account().map(str::to_owned)),
            ("aws:principaltype", caller.kind().map(str::to_owned)),
            ("aws:username", caller.user_name().map(str::to_owned)),
        ];
        for (key, value) in known {
            self.set_default(key, value);
        }
    }
}

/// The caller of a request, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller<'a> {
    name: &'a str,
    arn: Option<Arn<'a>>,
}

/// The parts of an ARN that name a principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    pub(crate) partition: &'a str,
    pub(crate) service: &'a str,
    pub(crate) account: &'a str,
    pub(crate) resource: &'a str,
}

impl<'a> Arn<'a> {
    pub(crate) fn split(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(ARN_PARTS, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (_region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        (arn == "arn").then_some(Self { partition, service, account, resource })
    }
}

/// Whether a text is an account number.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

impl<'a> Caller<'a> {
    pub(crate) fn read(name: &'a str) -> Self {
        Self { name, arn: Arn::split(name).filter(|arn| matches!(arn.service, "iam" | "sts")) }
    }

    /// The name by which the request calls the caller.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    pub(crate) fn account(&self) -> Option<&'a str> {
        self.arn.as_ref().map(|arn| arn.account).filter(|account| !account.is_empty())
    }

    pub(crate) fn is_root(&self) -> bool {
        self.arn.as_ref().is_some_and(|arn| arn.service == "iam" && arn.resource == "root")
    }

    /// Whether an identity provider vouches for the caller, who has no other name yet.
    pub(crate) fn is_provider(&self) -> bool {
        let resource = self.arn.as_ref().filter(|arn| arn.service == "iam").map(|arn| arn.resource);
        resource.is_some_and(|resource| resource.starts_with("oidc-provider/"))
    }

    pub(crate) fn is_session(&self) -> bool {
        self.arn.as_ref().is_some_and(|arn| arn.service == "sts")
    }

    /// Account and name of the role, for a role and for its sessions alike.
    pub(crate) fn role(&self) -> Option<(&'a str, &'a str)> {
        let arn = self.arn.as_ref()?;
        let name = match (arn.service, arn.resource.split_once('/')?) {
            ("iam", ("role", path)) => path.rsplit('/').next()?,
            ("sts", ("assumed-role", session)) => session.split('/').next()?,
            _ => return None,
        };
        Some((arn.account, name))
    }

    /// The user's name without the path.
    pub(crate) fn user_name(&self) -> Option<&'a str> {
        let arn = self.arn.as_ref()?;
        let path = arn.resource.strip_prefix("user/").filter(|_| arn.service == "iam")?;
        path.rsplit('/').next()
    }

    /// `aws:PrincipalType` as IAM spells it.
    pub(crate) fn kind(&self) -> Option<&'static str> {
        let arn = self.arn.as_ref()?;
        match (arn.service, arn.resource.split('/').next()?) {
            ("iam", "root") => Some("Account"),
            ("iam", "user") => Some("User"),
            ("iam", "role") | ("sts", "assumed-role") => Some("AssumedRole"),
            ("sts", "federated-user") => Some("FederatedUser"),
            _ => None,
        }
    }

    /// The ARN of what outlasts the session: the role of a role session, else the caller.
    pub(crate) fn lasting_arn(&self) -> Option<String> {
        let arn = self.arn.as_ref()?;
        match self.role() {
            Some((account, role)) if self.is_session() => {
                Some(format!("arn:{}:iam::{account}:role/{role}", arn.partition))
            }
            _ => Some(self.name.to_owned()),
        }
    }
}
