//! Devices written into the store of a gateway that is stopped: by Python's SQLite, since the kit
//! links no product.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::identity::rows;
use crate::trouble::ensure;
use crate::{Outcome, Trouble};

/// Every hundredth device has the same value of `Site`, every second one that of `Env`.
const FILL: &str = r#"
import hashlib, sqlite3, sys
store = sqlite3.connect(sys.argv[1])
for n, line in enumerate(sys.stdin):
    id, spki = line.split()
    key = bytes.fromhex(spki)
    store.execute(
        "INSERT INTO devices (id, name, status, agent_version, platform_name, platform_version, hostname, ip,"
        " activation_id, registered_at, last_ping)"
        " VALUES (?, ?, 'active', '0.1.0', 'Debian GNU/Linux', '12', ?, ?, 'a', 1, 1)",
        (id, "dev-%06d" % n, "host-%06d" % n, "10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255)))
    store.execute(
        "INSERT INTO device_keys (fingerprint, spki, device_id, status, created_at) VALUES (?, ?, ?, 'active', 1)",
        (hashlib.sha256(key).hexdigest(), key, id))
    for key, value in (("Site", "site%d" % (n % 100)), ("Env", "prod" if n % 2 else "dev"), ("Model", "m%d" % (n % 7))):
        store.execute(
            "INSERT INTO tags (kind, id, key, value, key_folded) VALUES ('device', ?, ?, ?, ?)",
            (id, key, value, key.lower()))
store.commit()
"#;

/// Writes the first `devices` devices with their keys and three tags each into a
/// gateway's store. The gateway must be stopped.
///
/// # Errors
/// Python has not written them.
pub fn store(path: &Path, devices: usize) -> Outcome {
    let mut python = Command::new("python3");
    python.args(["-c", FILL]).arg(path).stdin(Stdio::piped());
    let mut child = python.spawn()?;
    let mut input = child.stdin.take().ok_or_else(|| Trouble::new("python3 has no input"))?;
    input.write_all(rows(0..devices)?.as_bytes())?;
    drop(input);
    ensure(child.wait()?.success(), || "python3 did not fill the store".into())
}
