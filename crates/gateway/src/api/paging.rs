//! Paging: `NextToken`s that mean something to this gateway only.
//!
//! A token is the operation and the last row's key under a MAC, so that a client cannot make one,
//! nor use one operation's with another. The key is made at each start: a token does not outlive
//! the process, a client then begins anew. Among several gateways it follows from the store's key,
//! so that each of them reads the tokens of all.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use towline_host::entropy::{NoRandom, random};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::operation::Operation;

use crate::limits::MAX_PAGE_TOKEN;

/// Bytes of the MAC that a token carries. Guessing one gives a page of a list that the caller may
/// read anyway.
const TAG: usize = 16;

/// Makes and reads tokens.
#[derive(Debug)]
pub(super) struct Pages {
    key: hmac::Key,
}

impl Pages {
    pub(super) fn new() -> Result<Self, NoRandom> {
        Ok(Self::with_key(&random()?))
    }

    /// Under this key.
    pub(super) fn with_key(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The token with which `operation` goes on after `cursor`.
    pub(super) fn token(&self, operation: Operation, cursor: &str) -> String {
        let mut bytes = self.tag(operation, cursor.as_bytes()).to_vec();
        bytes.extend_from_slice(cursor.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor of a request: empty without a token.
    ///
    /// # Errors
    /// `InvalidNextToken` for what this process did not make for this operation.
    pub(super) fn cursor(
        &self,
        operation: Operation,
        token: Option<&str>,
    ) -> Result<String, ApiError> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(String::new()) };
        self.open(operation, token).ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidNextToken,
                "this NextToken is not one of this list: start again without one",
            )
        })
    }

    fn open(&self, operation: Operation, token: &str) -> Option<String> {
        if token.len() > MAX_PAGE_TOKEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (tag, cursor) = bytes.split_at_checked(TAG)?;
        let same: bool =
            subtle::ConstantTimeEq::ct_eq(self.tag(operation, cursor).as_slice(), tag).into();
        if same { String::from_utf8(cursor.to_vec()).ok() } else { None }
    }

    fn tag(&self, operation: Operation, cursor: &[u8]) -> [u8; TAG] {
        let mut mac = hmac::Context::with_key(&self.key);
        mac.update(operation.name().as_bytes());
        mac.update(&[0]);
        mac.update(cursor);
        let mut tag = [0; TAG];
        for (to, from) in tag.iter_mut().zip(mac.sign().as_ref()) {
            *to = *from;
        }
        tag
    }
}

/// Cuts a list that was read one row too long to its page. `cursor` names a row; the token is made
/// of the last one kept.
pub(super) fn page<T>(
    mut rows: Vec<T>,
    size: usize,
    pages: &Pages,
    operation: Operation,
    cursor: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    if rows.len() <= size {
        return (rows, None);
    }
    rows.truncate(size);
    let token = rows.last().map(|last| pages.token(operation, &cursor(last)));
    (rows, token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_by_its_own_operation_and_process_only() {
        let pages = Pages::new().unwrap();
        let token = pages.token(Operation::DescribeSessions, "mi-1");
        assert_eq!(pages.cursor(Operation::DescribeSessions, Some(&token)).unwrap(), "mi-1");
        assert_eq!(pages.cursor(Operation::DescribeSessions, None).unwrap(), "");
        for (pages, operation, token) in [
            (&pages, Operation::DescribeActivations, token.as_str()),
            (&Pages::new().unwrap(), Operation::DescribeSessions, token.as_str()),
            (&pages, Operation::DescribeSessions, "bWktMQ"),
            (&pages, Operation::DescribeSessions, "not base64!"),
            (&pages, Operation::DescribeSessions, &token[..token.len() - 2]),
        ] {
            let error = pages.cursor(operation, Some(token)).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidNextToken, "{token}");
        }
    }
}
