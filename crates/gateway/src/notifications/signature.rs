//! The signature of a message, in the form of Standard Webhooks.
//!
//! # Invariants
//! - Id, time and body are signed together: none can be taken for another message's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use towline_host::entropy::{self, NoRandom};
use towline_ssm::api::webhook::SECRET_PREFIX;

/// A new secret, as receivers are given it.
///
/// # Errors
/// [`NoRandom`].
pub fn new_secret() -> Result<String, NoRandom> {
    let random: [u8; 32] = entropy::random()?;
    Ok(format!("{SECRET_PREFIX}{}", STANDARD.encode(random)))
}

/// The key in a secret; nothing when it is none of 24 to 64 bytes.
#[must_use]
pub fn secret_bytes(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

/// The value of the header `webhook-signature`. `at`: seconds, as in `webhook-timestamp`.
#[must_use]
pub fn signature(key: &[u8], id: &str, at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_comes_out() {
        let key = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let made = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_made_secret_is_a_secret_and_a_short_one_is_none() {
        assert_eq!(secret_bytes(&new_secret().unwrap()).unwrap().len(), 32);
        for none in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(secret_bytes(none).is_none(), "{none}");
        }
    }
}
