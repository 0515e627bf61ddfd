//! The enrollment of this device: written by `enroll`, read at each start.

use super::key::{hex, unhex32};
use super::{Dir, StateError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

const FILE: &str = "enrolment.toml";
const CA_FILE: &str = "gateway-ca.pem";

/// How the gateway's certificate is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// By the public certificate authorities that are compiled in.
    Public,
    /// By certificates in PEM form, and no others.
    Ca(String),
    /// By the SHA-256 of the server's SubjectPublicKeyInfo, whatever its certificate says.
    Pin([u8; 32]),
}

/// Host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Port of a gateway unless told otherwise.
pub const DEFAULT_PORT: u16 = 8443;

impl Address {
    /// Reads `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT` or a bare IPv6 address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let whole = |host: &str, port: &str| {
            let port = if port.is_empty() {
                DEFAULT_PORT
            } else {
                port.parse().ok().filter(|port| *port != 0)?
            };
            let plain = !host.is_empty() && !host.contains(['/', ' ', '@', '"', '\\']);
            plain.then(|| Self { host: host.to_owned(), port })
        };
        if let Some(rest) = text.strip_prefix('[') {
            let (host, port) = rest.split_once(']')?;
            return whole(host, port.strip_prefix(':').unwrap_or(port));
        }
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return whole(text, "");
        }
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        whole(host, port)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Everything the agent needs to know to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrollment {
    /// Where the gateway is.
    pub gateway: Address,
    /// How its certificate is judged.
    pub trust: Trust,
    /// The device's name, `mi-` and 17 hexadecimal digits.
    pub device: String,
    /// Ed25519 key whose grants are accepted.
    pub authority: [u8; 32],
}

impl Enrollment {
    /// Reads the enrollment of a state directory.
    ///
    /// # Errors
    /// [`StateError::NotEnrolled`] when there is none.
    pub fn load(dir: &Dir) -> Result<Self, StateError> {
        let damaged = |why: String| StateError::Damaged { path: dir.file(FILE), why };
        let text =
            String::from_utf8(dir.read(FILE)?).map_err(|_| damaged("not UTF-8".to_owned()))?;
        let value =
            |key: &str| value_of(&text, key).ok_or_else(|| damaged(format!("`{key}` is missing")));
        let trust = match value("trust")? {
            "public" => Trust::Public,
            "ca" => Trust::Ca(Self::load_ca(dir)?),
            pin => match pin.strip_prefix("pin:").and_then(unhex32) {
                Some(pin) => Trust::Pin(pin),
                None => return Err(damaged(format!("`trust` is \"{pin}\""))),
            },
        };
        let gateway = Address::parse(value("gateway")?)
            .ok_or_else(|| damaged("`gateway` is not an address".to_owned()))?;
        let authority = unhex32(value("authority")?)
            .ok_or_else(|| damaged("`authority` is not a key".to_owned()))?;
        Ok(Self { gateway, trust, device: value("device")?.to_owned(), authority })
    }

    fn load_ca(dir: &Dir) -> Result<String, StateError> {
        let damaged = |why| StateError::Damaged { path: dir.file(CA_FILE), why };
        let pem =
            String::from_utf8(dir.read(CA_FILE)?).map_err(|_| damaged("not UTF-8".to_owned()))?;
        certificates(&pem).map_err(damaged)?;
        Ok(pem)
    }

    /// Stores the enrollment. The CA first: an enrollment that names it must find it.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn store(&self, dir: &Dir) -> Result<(), StateError> {
        let trust = match &self.trust {
            Trust::Public => "public".to_owned(),
            Trust::Pin(pin) => format!("pin:{}", hex(pin)),
            Trust::Ca(pem) => {
                dir.write(CA_FILE, pem.as_bytes())?;
                "ca".to_owned()
            }
        };
        let (gateway, device, authority) = (&self.gateway, &self.device, hex(&self.authority));
        let text = format!(
            "# Written by `towline-agent enroll`. To move this device to another gateway: enroll \
             --reenroll.\n\
             gateway = \"{gateway}\"\ndevice = \"{device}\"\nauthority = \"{authority}\"\ntrust = \"{trust}\"\n"
        );
        dir.write(FILE, text.as_bytes())
    }
}

/// `key = "value"` lines, as [`Enrollment::store`] writes them; no value holds a quote.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .and_then(|(_, value)| value.trim().strip_prefix('"')?.strip_suffix('"'))
}

/// The certificates of a PEM text, at least one.
///
/// # Errors
/// What is wrong with the text.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if all.is_empty() => Err("it holds no PEM certificate".to_owned()),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("it is not PEM: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enrollment(trust: Trust) -> Enrollment {
        let gateway = Address { host: "fd00::1".into(), port: 8443 };
        Enrollment { gateway, trust, device: "mi-0123456789abcdef0".into(), authority: [7; 32] }
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::at(temp.path());
        for trust in [Trust::Public, Trust::Pin([9; 32])] {
            let enrollment = enrollment(trust);
            enrollment.store(&dir).unwrap();
            assert_eq!(Enrollment::load(&dir).unwrap(), enrollment);
        }
    }

    #[test]
    fn a_missing_enrollment_says_how_to_enroll() {
        let temp = tempfile::tempdir().unwrap();
        let error = Enrollment::load(&Dir::at(temp.path())).unwrap_err();
        assert!(error.to_string().contains("run `towline-agent enroll"), "{error}");
    }

    #[test]
    fn a_ca_that_is_no_pem_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::at(temp.path());
        enrollment(Trust::Ca("hello".into())).store(&dir).unwrap();
        let error = Enrollment::load(&dir).unwrap_err().to_string();
        assert!(
            error.contains("gateway-ca.pem") && error.contains("no PEM certificate"),
            "{error}"
        );
    }

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        let parse = |text| Address::parse(text).map(|a| (a.host, a.port));
        assert_eq!(parse("gw.example"), Some(("gw.example".into(), 8443)));
        assert_eq!(parse("gw.example:443"), Some(("gw.example".into(), 443)));
        assert_eq!(parse("[fd00::1]:443"), Some(("fd00::1".into(), 443)));
        assert_eq!(parse("fd00::1"), Some(("fd00::1".into(), 8443)));
        assert_eq!(parse("[::1]"), Some(("::1".into(), 8443)));
        for wrong in ["", ":443", "gw:", "gw:0", "gw:99999", "https://gw", "gw:1:2"] {
            let expected = (wrong == "gw:").then(|| ("gw".to_owned(), 8443));
            assert_eq!(parse(wrong), expected, "{wrong}");
        }
    }
}
