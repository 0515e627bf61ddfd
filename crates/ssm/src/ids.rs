//! Names of things in the forms AWS clients and IAM policies expect: devices, sessions, access
//! keys, ARNs.
//!
//! Data flow: random bytes from the caller -> a new id; text from outside -> `parse` -> a value
//! that cannot be malformed.
//!
//! # Invariants
//! - A value of these types always has its form; there is no other way to make one.
//! - A session id starts with the name of its owner, because IAM patterns such as
//!   `session/${aws:username}-*` need it.
//! - [`SecretAccessKey`] shows nothing in `Debug` and is wiped when dropped.
//!
//! # Not here
//! - No randomness: the caller brings it. No check that the thing exists.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{ApiError, ErrorCode};

/// A text that is not of the form its type wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {what} must be {form}")]
pub struct BadId {
    what: &'static str,
    form: &'static str,
}

/// Number of random characters at the end of a device id and of a session id, as in AWS.
const RANDOM_CHARS: usize = 17;
/// Longest session id of the AWS model.
pub const MAX_SESSION_ID: usize = 96;
/// Longest owner name that still fits a session id with its hyphen and random part.
pub const MAX_OWNER_IN_SESSION_ID: usize = MAX_SESSION_ID - RANDOM_CHARS - 1;
/// Longest user name, the limit of IAM.
pub const MAX_USER_NAME: usize = 64;

macro_rules! text_id {
    ($name:ident) => {
        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::check(&text).map(|()| Self(text))
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::check(text).map(|()| Self(text.to_owned()))
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

/// A device: `mi-` and 17 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(String);
text_id!(DeviceId);

impl DeviceId {
    /// A new id from 68 of these random bits.
    #[must_use]
    pub fn from_random(random: [u8; 9]) -> Self {
        let mut hex = hex_lower(&random);
        hex.truncate(RANDOM_CHARS);
        Self(format!("mi-{hex}"))
    }

    fn check(text: &str) -> Result<(), BadId> {
        let hex = text.strip_prefix("mi-").unwrap_or_default();
        let good = hex.len() == RANDOM_CHARS
            && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then_some(())
            .ok_or(BadId { what: "device id", form: "`mi-` and 17 lower-case hex digits" })
    }
}

/// A session: `<owner>-` and 17 lower-case letters or digits, at most 96 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);
text_id!(SessionId);

impl SessionId {
    /// A new id for a session of `owner`, with about 88 of these random bits.
    #[must_use]
    pub fn from_random(owner: &UserName, random: [u8; 16]) -> Self {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut rest = u128::from_be_bytes(random);
        let mut tail = String::with_capacity(RANDOM_CHARS);
        for _ in 0..RANDOM_CHARS {
            tail.push(char::from(DIGITS[(rest % 36) as usize]));
            rest /= 36;
        }
        Self(format!("{owner}-{tail}"))
    }

    /// The owner's name in front of the random part.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(owner, _)| owner)
    }

    fn check(text: &str) -> Result<(), BadId> {
        let bad = BadId {
            what: "session id",
            form: "a user name, a hyphen and 17 lower-case letters or digits",
        };
        let Some((owner, tail)) = text.rsplit_once('-') else { return Err(bad) };
        let tail_good = tail.len() == RANDOM_CHARS
            && tail.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let owner_good =
            (1..=MAX_OWNER_IN_SESSION_ID).contains(&owner.len()) && owner.bytes().all(is_user_byte);
        (tail_good && owner_good).then_some(()).ok_or(bad)
    }
}

/// A user: 1 to 64 letters, digits or `+ = , . @ _ -`, the form of IAM.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);
text_id!(UserName);

impl UserName {
    fn check(text: &str) -> Result<(), BadId> {
        let good = (1..=MAX_USER_NAME).contains(&text.len()) && text.bytes().all(is_user_byte);
        good.then_some(())
            .ok_or(BadId { what: "user name", form: "1 to 64 letters, digits or any of +=,.@_-" })
    }
}

const _: () =
    assert!(MAX_USER_NAME <= MAX_OWNER_IN_SESSION_ID, "every user name must fit a session id");

fn is_user_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte)
}

/// An access key id: 20 characters, a four-letter prefix and 16 of `A-Z2-7`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessKeyId(String);
text_id!(AccessKeyId);

impl AccessKeyId {
    /// A new long-lived key id from these 80 random bits.
    #[must_use]
    pub fn from_random(random: [u8; 10]) -> Self {
        Self(format!("AKIA{}", base32(random)))
    }

    /// A new key id of temporary credentials, which AWS tools tell from the prefix.
    #[must_use]
    pub fn temporary_from_random(random: [u8; 10]) -> Self {
        Self(format!("ASIA{}", base32(random)))
    }

    /// The unique id of a role, which goes in front of the session's name in `aws:userid`.
    #[must_use]
    pub fn role_id_from_random(random: [u8; 10]) -> String {
        unique_id("AROA", random)
    }

    /// Whether requests with it must bring a security token.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.0.starts_with("ASIA")
    }

    fn check(text: &str) -> Result<(), BadId> {
        let good = text.len() == 20
            && (text.starts_with("AKIA") || text.starts_with("ASIA"))
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        good.then_some(()).ok_or(BadId {
            what: "access key id",
            form: "20 capital letters or digits from AKIA or ASIA",
        })
    }
}

/// An id that is given once: a prefix of four letters for the kind, and 16 random characters.
#[must_use]
pub fn unique_id(prefix: &str, random: [u8; 10]) -> String {
    format!("{prefix}{}", base32(random))
}

fn base32(random: [u8; 10]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits = random.iter().fold(0_u128, |all, byte| (all << 8) | u128::from(*byte));
    (0..16).rev().map(|place| char::from(ALPHABET[((bits >> (5 * place)) & 31) as usize])).collect()
}

/// The secret half of an access key. Shows nothing in `Debug`, is wiped when dropped, has no
/// `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretAccessKey(Zeroizing<String>);

impl SecretAccessKey {
    /// A new secret from 240 random bits: 40 characters of letters, digits, `+` and `/`, the form
    /// of AWS.
    #[must_use]
    pub fn from_random(random: [u8; 30]) -> Self {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let random = Zeroizing::new(random);
        let mut text = Zeroizing::new(String::with_capacity(40));
        for three in random.chunks_exact(3) {
            let bits =
                (u32::from(three[0]) << 16) | (u32::from(three[1]) << 8) | u32::from(three[2]);
            for shift in [18, 12, 6, 0] {
                text.push(char::from(ALPHABET[((bits >> shift) & 63) as usize]));
            }
        }
        Self(text)
    }

    /// A secret that was stored or configured. Any text will do: old tools have other lengths.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself. Only for signing, sealing, and showing it once to its new owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretAccessKey(..)")
    }
}

/// Where ARNs live: one gateway answers for one region and one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm {
    /// Region name, for example `eu-central-1`.
    pub region: String,
    /// Account number, twelve digits.
    pub account: String,
}

impl Realm {
    /// The device under its Systems Manager name.
    #[must_use]
    pub fn device_arn(&self, device: &DeviceId) -> String {
        format!("arn:aws:ssm:{}:{}:managed-instance/{device}", self.region, self.account)
    }

    /// The same device under the EC2 name, which most published policies use.
    #[must_use]
    pub fn device_ec2_arn(&self, device: &DeviceId) -> String {
        format!("arn:aws:ec2:{}:{}:instance/{device}", self.region, self.account)
    }

    /// A session.
    #[must_use]
    pub fn session_arn(&self, session: &SessionId) -> String {
        format!("arn:aws:ssm:{}:{}:session/{session}", self.region, self.account)
    }

    /// A session document. Built-in documents that are named `AWS-...` belong to no account, as at
    /// AWS.
    #[must_use]
    pub fn document_arn(&self, name: &str) -> String {
        let account = if name.starts_with("AWS-") { "" } else { &self.account };
        format!("arn:aws:ssm:{}:{account}:document/{name}", self.region)
    }

    /// The bare name of a document that a request names by name, or by the ARN that it has here.
    ///
    /// # Errors
    /// `InvalidDocument` for what can name no document here: an ARN of another region, account or
    /// service means another document.
    pub fn document_name<'n>(&self, name: &'n str) -> Result<&'n str, ApiError> {
        let bare = bare_name(name)?;
        let own = format!("arn:aws:ssm:{}:{}:document/{bare}", self.region, self.account);
        if !name.starts_with("arn:") || name == own || name == self.document_arn(bare) {
            return Ok(bare);
        }
        let message = "the ARN is not of a document of this gateway: name the document alone";
        Err(ApiError::new(ErrorCode::InvalidDocument, message))
    }

    /// A user. IAM names have no region.
    #[must_use]
    pub fn user_arn(&self, user: &UserName) -> String {
        format!("arn:aws:iam::{}:user/{user}", self.account)
    }

    /// A role.
    #[must_use]
    pub fn role_arn(&self, role: &UserName) -> String {
        format!("arn:aws:iam::{}:role/{role}", self.account)
    }

    /// A group of users.
    #[must_use]
    pub fn group_arn(&self, group: &UserName) -> String {
        format!("arn:aws:iam::{}:group/{group}", self.account)
    }

    /// An identity provider, by its issuer: the URL without its scheme.
    #[must_use]
    pub fn provider_arn(&self, issuer: &str) -> String {
        let bare = issuer.split_once("://").map_or(issuer, |(_, bare)| bare);
        format!("arn:aws:iam::{}:oidc-provider/{bare}", self.account)
    }

    /// Who holds a role for a time.
    #[must_use]
    pub fn role_session_arn(&self, role: &UserName, session: &UserName) -> String {
        format!("arn:aws:sts::{}:assumed-role/{role}/{session}", self.account)
    }

    /// The name of the role that an ARN of this account names.
    #[must_use]
    pub fn role_of_arn(&self, arn: &str) -> Option<UserName> {
        arn.strip_prefix(&format!("arn:aws:iam::{}:role/", self.account))?.parse().ok()
    }

    /// A request for access to devices.
    #[must_use]
    pub fn access_request_arn(&self, request: &str) -> String {
        format!("arn:aws:ssm:{}:{}:opsitem/{request}", self.region, self.account)
    }

    /// A command that was sent.
    #[must_use]
    pub fn command_arn(&self, command: &str) -> String {
        format!("arn:aws:ssm:{}:{}:command/{command}", self.region, self.account)
    }

    /// An activation.
    #[must_use]
    pub fn activation_arn(&self, activation: &str) -> String {
        format!("arn:aws:ssm:{}:{}:activation/{activation}", self.region, self.account)
    }
}

/// The bare name of a document that a request names by name or ARN.
///
/// # Errors
/// `InvalidDocument` for what can name no document.
pub(crate) fn bare_name(name: &str) -> Result<&str, ApiError> {
    let bare = if name.starts_with("arn:") {
        name.rsplit_once(":document/").map(|(_, bare)| bare)
    } else {
        Some(name)
    };
    bare.filter(|bare| is_plain_name(bare))
        .ok_or_else(|| ApiError::new(ErrorCode::InvalidDocument, "no document can have this name"))
}

/// Whether a text can be the bare name of a document.
pub(crate) fn is_plain_name(name: &str) -> bool {
    (3..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// The forms of all ARNs of a [`Realm`], with `*` for what differs from thing to thing.
pub const ARN_FORMS: &[&str] = &[
    "arn:aws:ssm:*:*:managed-instance/mi-*",
    "arn:aws:ec2:*:*:instance/mi-*",
    "arn:aws:ssm:*:*:session/*",
    "arn:aws:ssm:*:*:document/*",
    "arn:aws:ssm:*::document/AWS-*",
    "arn:aws:ssm:*:*:opsitem/oi-*",
    "arn:aws:ssm:*:*:activation/*",
    "arn:aws:iam::*:user/*",
    "arn:aws:iam::*:role/*",
    "arn:aws:iam::*:group/*",
    "arn:aws:sts::*:assumed-role/*/*",
];

/// Fronts of the resources that [`Realm`] gives no account.
pub const OF_NO_ACCOUNT: &[&str] = &["document/AWS-"];

/// Whether a text can stand in front of an object's key: no name between its slashes is `.` or
/// `..`, with which a client of S3 would mean another place.
#[must_use]
pub fn is_key_prefix(text: &str) -> bool {
    text.split('/').all(|name| !matches!(name, "." | "..") && !name.contains(char::is_control))
}

/// Lower-case hex of some bytes.
#[must_use]
pub fn hex_lower(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_of_another_place_names_no_document_here() {
        let realm = Realm { region: "xx-1".into(), account: "000000000000".into() };
        for name in [
            "AWS-RunShellScript",
            "arn:aws:ssm:xx-1::document/AWS-RunShellScript",
            "arn:aws:ssm:xx-1:000000000000:document/AWS-RunShellScript",
        ] {
            assert_eq!(realm.document_name(name).unwrap(), "AWS-RunShellScript", "{name}");
        }
        for name in [
            "arn:aws:ssm:xx-2:000000000000:document/Mine",
            "arn:aws:ssm:xx-1:999999999999:document/Mine",
            "arn:aws:ssm:xx-1::document/Mine",
            "arn:aws:ssm:*:*:document/Mine",
            "arn:aws-cn:ssm:xx-1:000000000000:document/Mine",
            "arn:aws:s3:xx-1:000000000000:document/Mine",
            "arn:x:document/Mine",
            "arn:aws:ssm:xx-1:000000000000:document/x:document/Mine",
        ] {
            assert!(realm.document_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_new_id_always_has_the_form_its_own_parser_wants() {
        for byte in [0_u8, 1, 0x5a, 0xff] {
            let device = DeviceId::from_random([byte; 9]);
            assert_eq!(device.as_str().parse(), Ok(device.clone()));
            let user: UserName = "a.b@c-d".parse().unwrap();
            let session = SessionId::from_random(&user, [byte; 16]);
            assert_eq!(session.as_str().parse(), Ok(session.clone()));
            assert_eq!(session.owner(), "a.b@c-d");
            let key = AccessKeyId::from_random([byte; 10]);
            assert_eq!(key.as_str().parse(), Ok(key.clone()));
            assert_eq!(SecretAccessKey::from_random([byte; 30]).expose().len(), 40);
        }
    }

    #[test]
    fn the_longest_user_name_still_fits_a_session_id() {
        let user: UserName = "u".repeat(MAX_USER_NAME).parse().unwrap();
        assert!(SessionId::from_random(&user, [9; 16]).as_str().len() <= MAX_SESSION_ID);
    }

    #[test]
    fn ids_of_another_form_are_refused() {
        for text in [
            "",
            "mi-",
            "i-0123456789abcdef0",
            "mi-0123456789abcdef",
            "mi-0123456789ABCDEF0",
            "mi-0123456789abcdef01",
        ] {
            assert!(text.parse::<DeviceId>().is_err(), "{text}");
        }
        for text in [
            "",
            "x",
            "-0123456789abcdefg",
            "a b-0123456789abcdefg",
            "a-0123456789ABCDEFG",
            "a-0123456789",
        ] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
        for text in
            ["", "AKIA", "AKIAabcdefghijklmnop", "AXIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNO/"]
        {
            assert!(text.parse::<AccessKeyId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_key_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", SecretAccessKey::new("hush".into())), "SecretAccessKey(..)");
    }

    #[test]
    fn each_arn_of_a_realm_has_one_of_the_known_forms() {
        let realm = Realm { region: "eu-central-1".into(), account: "123456789012".into() };
        let device = DeviceId::from_random([7; 9]);
        let user: UserName = "ann".parse().unwrap();
        let session = SessionId::from_random(&user, [7; 16]);
        for arn in [
            realm.device_arn(&device),
            realm.device_ec2_arn(&device),
            realm.session_arn(&session),
            realm.document_arn("Mine"),
            realm.document_arn("AWS-StartSSHSession"),
            realm.user_arn(&user),
            realm.role_arn(&user),
            realm.group_arn(&user),
            realm.role_session_arn(&user, &user),
            realm.access_request_arn("oi-0123456789ab"),
            realm.activation_arn("0f0e"),
        ] {
            let policy =
                format!(r#"{{"Statement":{{"Effect":"Deny","Action":"a:b","Resource":"{arn}"}}}}"#);
            let vocabulary = towline_policy::Vocabulary {
                actions: &["a:b"],
                resources: ARN_FORMS,
                single_parameters: &[],
                without_account: OF_NO_ACCOUNT,
                evasive_parameters: &[],
                own_keys: &[],
            };
            let policy = towline_policy::Policy::parse(&policy).unwrap();
            assert_eq!(policy.warnings(&vocabulary), [], "{arn}");
        }
    }

    #[test]
    fn a_prefix_of_keys_leads_nowhere_else() {
        for good in ["", "a", "a/b", "/a/b/", "a//b", "...", "a b"] {
            assert!(is_key_prefix(good), "{good:?}");
        }
        for bad in ["..", "a/../b", "./a", "a/.", "/..", "a\0"] {
            assert!(!is_key_prefix(bad), "{bad:?}");
        }
    }

    #[test]
    fn documents_of_aws_belong_to_no_account() {
        let realm = Realm { region: "eu-central-1".into(), account: "123456789012".into() };
        assert_eq!(
            realm.document_arn("AWS-StartSSHSession"),
            "arn:aws:ssm:eu-central-1::document/AWS-StartSSHSession"
        );
        assert_eq!(
            realm.document_arn("Mine"),
            "arn:aws:ssm:eu-central-1:123456789012:document/Mine"
        );
    }

    #[test]
    fn a_document_is_named_by_its_name_or_by_its_arn() {
        assert_eq!(bare_name("Mine"), Ok("Mine"));
        assert_eq!(bare_name("arn:aws:ssm:eu-central-1:123456789012:document/Mine"), Ok("Mine"));
        for bad in ["arn:aws:ssm:x:1:parameter/Mine", "a/b", "arn:aws:ssm:x:1:document/"] {
            assert_eq!(bare_name(bad).unwrap_err().code, ErrorCode::InvalidDocument, "{bad}");
        }
    }
}
