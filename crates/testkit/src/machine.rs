//! Keeps settings of the machine out of tests (AWS profile, proxy, gateway), and finds the Python
//! that tests use.
//!
//! # Invariants
//! - A command that went through [`forget`] knows no key, no proxy and no endpoint but those that
//!   the test gives it.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

/// Names the Python that has boto3, the AWS CLI and moto: `cargo xtask test` finds or makes one.
pub const PYTHON: &str = "TOWLINE_PYTHON";
/// How long a scripted Python client may take: the longest one makes some hundred calls.
pub const SCRIPT: Duration = Duration::from_secs(240);

/// Variables of the person who runs the tests; tests must not inherit them.
const SOMEBODYS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "TOWLINE_ENDPOINT",
    "TOWLINE_CA",
    "TOWLINE_CONFIG",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Takes what belongs to somebody out of a command's environment. What the command sets itself must
/// be set afterwards.
pub fn forget(command: &mut Command) {
    for name in SOMEBODYS {
        command.env_remove(name);
    }
}

/// A Python that has read nobody's files.
#[must_use]
pub fn python() -> Command {
    let mut command = Command::new(program());
    forget(&mut command);
    settle(&mut command);
    command
}

/// The Python's path.
#[must_use]
pub fn program() -> OsString {
    std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into())
}

/// Sets the home of the person who runs us, because `python3` may be a wrapper that looks there for
/// its settings; but no profile in it.
pub fn settle(command: &mut Command) {
    if let Some(home) = std::env::var_os("HOME") {
        command.env("HOME", home);
    }
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command.env("PYTHONDONTWRITEBYTECODE", "1");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    #[test]
    fn a_command_that_forgot_the_machine_has_nothing_of_it() {
        let mut command = Command::new("env");
        command.env("AWS_PROFILE", "mine").env("https_proxy", "http://mine").env("KEPT", "kept");
        forget(&mut command);
        let out = process::finish(command, SCRIPT).unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(!said.contains("mine") && said.contains("KEPT=kept"), "{said}");
    }
}
