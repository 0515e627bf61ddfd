//! Every bound of the policy language in one place, with its reason.
//!
//! Numbers marked (IAM) are the quotas of the page "IAM and AWS STS quotas" of the IAM User Guide,
//! so that a document that fits here fits there. The others bound what one evaluation can cost: a
//! policy is data from a person who may be careless or hostile, a request is data from the network.
//!
//! # Not here
//! - How many policies a principal may carry: that is the gateway's store, see `IAM` quota "managed
//!   policies attached".

/// Longest document text that is read at all, in bytes, white space included. The `PolicyDocument`
/// parameter of the IAM API has this maximum (IAM); it also bounds the memory of the parser to a
/// small multiple of it.
pub const MAX_DOCUMENT_BYTES: usize = 131_072;

/// Most statements in one document. IAM has no such number, only the size; this one bounds the
/// smallest statements that fit in [`MAX_DOCUMENT_BYTES`].
pub const MAX_STATEMENTS: usize = 2_048;

/// Longest single pattern (an action, a resource, a condition value), in bytes. An ARN has at most
/// 2,048 characters. Matching costs at most pattern times text, so this is the bound of one match.
pub const MAX_PATTERN_BYTES: usize = 2_048;

/// Longest text after the policy variables of one pattern were replaced, in bytes. Longer: the
/// pattern matches nothing.
pub const MAX_EXPANDED_BYTES: usize = 8 * MAX_PATTERN_BYTES;

/// Longest name of a condition key, in bytes: a prefix such as `aws:PrincipalTag/` and a tag key of
/// 128 characters (IAM) of up to four bytes.
pub const MAX_KEY_BYTES: usize = 1_024;

/// Longest `Sid` and `Id`, in bytes. IAM counts them in the size only; a log line must stay
/// readable.
pub const MAX_NAME_BYTES: usize = 512;

/// Most keys in a request's context. A device has at most 50 tags, a principal and a session 50
/// each (IAM).
pub const MAX_CONTEXT_KEYS: usize = 512;

/// Most values of one key in a request's context: the lines of the largest script, one byte each.
pub const MAX_CONTEXT_VALUES: usize = 65_536;

/// Longest value in a request's context, in bytes: the largest script that a device takes.
pub const MAX_VALUE_BYTES: usize = 65_536;

/// Longest name of a resource, action or principal in a request, in bytes. An ARN has at most 2,048
/// characters.
pub const MAX_ARN_BYTES: usize = 2_048;

/// Most names (aliases) under which one resource may be asked for.
pub const MAX_ALIASES: usize = 16;

/// Longest line of a batch, in bytes: eight documents of the largest size.
pub const MAX_BATCH_LINE_BYTES: usize = 8 * MAX_DOCUMENT_BYTES;

/// Most warnings about one document.
pub const MAX_WARNINGS: usize = 50;

/// A managed policy or a permission boundary, in characters without white space (IAM).
pub const MANAGED_CHARS: usize = 6_144;

/// The inline policies of one user, in characters without white space (IAM).
pub const USER_INLINE_CHARS: usize = 2_048;

/// The inline policies of one group, in characters without white space (IAM).
pub const GROUP_INLINE_CHARS: usize = 5_120;

/// The inline policies of one role, in characters without white space (IAM).
pub const ROLE_INLINE_CHARS: usize = 10_240;

/// A role's trust policy, in characters without white space: the default quota (IAM).
pub const TRUST_CHARS: usize = 2_048;

/// A session policy, in characters (IAM: the `Policy` parameter of `AssumeRole`).
pub const SESSION_CHARS: usize = 2_048;

/// A resource policy, in characters. Services differ; this is what Systems Manager and most others
/// take at least.
pub const RESOURCE_CHARS: usize = 10_240;

const _: () = assert!(MAX_PATTERN_BYTES <= MAX_DOCUMENT_BYTES, "a pattern is part of a document");
