//! Facts about the device that the gateway shows: system, kernel, address, version.

use std::fs;
use towline_wire::message::Platform;

/// This agent's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The target triple it was built for.
pub const TARGET: &str = env!("TOWLINE_TARGET");

/// What DescribeInstanceInformation says of this device. `address` is the source address of the
/// link.
#[must_use]
pub fn describe(address: String) -> Platform {
    let release = fs::read_to_string("/etc/os-release")
        .or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    let release = release.unwrap_or_default();
    Platform {
        agent_version: format!("{VERSION}.0"), // AWS wants four numbers
        target: TARGET.to_owned(),
        name: os_value(&release, "NAME").unwrap_or_else(|| "Linux".to_owned()),
        version: os_value(&release, "VERSION_ID").unwrap_or_default(),
        hostname: fs::read_to_string("/proc/sys/kernel/hostname")
            .map(|name| short(name.trim()))
            .unwrap_or_default(),
        address,
    }
}

/// A value of os-release(5), unquoted.
fn os_value(release: &str, key: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(short(value.trim_matches(['"', '\''])))
}

/// No value is long enough to fill a frame.
fn short(value: &str) -> String {
    value.chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_is_read_with_and_without_quotes() {
        let release = "PRETTY_NAME=\"X 1\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=13\n";
        assert_eq!(os_value(release, "NAME").as_deref(), Some("Debian GNU/Linux"));
        assert_eq!(os_value(release, "VERSION_ID").as_deref(), Some("13"));
        assert_eq!(os_value(release, "VERSION"), None);
    }

    #[test]
    fn the_version_has_four_numbers() {
        assert_eq!(describe(String::new()).agent_version.split('.').count(), 4);
    }
}
