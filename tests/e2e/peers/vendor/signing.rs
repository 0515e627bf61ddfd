//! Signature Version 4 as amazon-ssm-agent makes it, with its own lists of signed headers: written
//! here once more, so that a fault of the product's own code shows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PSS_SHA256, RsaKeyPair};
use ring::{digest, hmac};
use towline_ssm::clock::format_amz_date;
use towline_testkit::{Outcome, Trouble, https};

use super::Issued;

/// Headers, with names in lower case.
pub(crate) type Headers = Vec<(String, String)>;

/// For where a signature is.
pub(crate) struct Signer<'a> {
    pub(crate) host: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    /// Seconds by which the clock is wrong.
    pub(crate) clock: i64,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

impl Signer<'_> {
    /// What is signed, its scope and the names of its headers.
    fn string(
        &self,
        (method, path, query): (&str, &str, &str),
        body: &[u8],
        headers: &mut Headers,
    ) -> (String, String, String) {
        let date = format_amz_date(https::now() + self.clock);
        headers.push(("x-amz-date".into(), date.clone()));
        let mut signed = headers.clone();
        signed.push(("host".into(), self.host.into()));
        signed.sort();
        let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String =
            signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{}", sha256(body));
        let scope = format!("{}/{}/{}/aws4_request", &date[..8], self.region, self.service);
        let string = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
        (string, scope, names)
    }

    /// By keys that were issued.
    pub(crate) fn by_keys(
        &self,
        keys: &Issued,
        what: (&str, &str, &str),
        body: &[u8],
        headers: &mut Headers,
    ) {
        headers.push(("x-amz-security-token".into(), keys.token.clone()));
        let (string, scope, names) = self.string(what, body, headers);
        let mut key = format!("AWS4{}", keys.secret).into_bytes();
        for part in scope.split('/') {
            let next = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes());
            key = next.as_ref().to_vec();
        }
        let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), string.as_bytes());
        headers.push(authorization(&keys.id, &scope, &names, &hex(made.as_ref())));
    }

    /// By the agent's own key.
    pub(crate) fn by_rsa(
        &self,
        pair: &RsaKeyPair,
        device: &str,
        path: &str,
        body: &[u8],
        headers: &mut Headers,
    ) -> Outcome {
        let (string, scope, names) = self.string(("POST", path, ""), body, headers);
        let mut made = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), string.as_bytes(), &mut made)
            .map_err(|e| Trouble::new(e.to_string()))?;
        headers.push(authorization(device, &scope, &names, &STANDARD.encode(made)));
        Ok(())
    }
}

fn authorization(key: &str, scope: &str, names: &str, signature: &str) -> (String, String) {
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    ("authorization".into(), value)
}

/// A public key as the agent registers it: base64 of its SubjectPublicKeyInfo.
pub(crate) fn public_key(pair: &RsaKeyPair) -> String {
    let value = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap_or(0).to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    };
    let algorithm =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0x00];
    let bits = value(0x03, &[&[0], pair.public_key().as_ref()].concat());
    STANDARD.encode(value(0x30, &[&algorithm[..], &bits].concat()))
}
