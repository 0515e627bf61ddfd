//! Which of two places is on a device.

use std::path::PathBuf;

use crate::platform;

/// One of the two.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// On this machine.
    Here(PathBuf),
    /// On a device; relative to its user's home.
    Device {
        /// As the operator calls it.
        device: String,
        /// There; `.` for the home.
        path: String,
    },
}

impl Side {
    /// `DEVICE:PATH`, where no slash stands before the colon; else a path of this machine. A tag
    /// has a colon of its own, and so has a drive of Windows.
    pub(super) fn parse(text: &str) -> Self {
        let skip = if text.starts_with("tag:") { 4 } else { 0 };
        match text[skip..].split_once(':') {
            Some((device, path))
                if !device.is_empty()
                    && !device.contains('/')
                    && !text.starts_with('.')
                    && !platform::is_own_path(text) =>
            {
                let path = path.trim_end_matches('/');
                let path = if path.is_empty() {
                    if text.ends_with('/') { "/" } else { "." }
                } else {
                    path
                };
                let path = if path == "~" { "." } else { path };
                let path = path.strip_prefix("~/").or(path.strip_prefix("./")).unwrap_or(path);
                Self::Device {
                    device: text[..skip + device.len()].to_owned(),
                    path: path.to_owned(),
                }
            }
            _ => Self::Here(text.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, device: &str, path: &str) {
        assert_eq!(
            Side::parse(text),
            Side::Device { device: device.into(), path: path.into() },
            "{text}"
        );
    }

    #[test]
    fn a_device_stands_before_the_first_colon_and_no_slash_does() {
        check("pi:/etc/hosts", "pi", "/etc/hosts");
        check("pi:", "pi", ".");
        check("pi:/", "pi", "/");
        check("pi:logs/", "pi", "logs");
        check("pi:~/a", "pi", "a");
        check("pi:~/", "pi", ".");
        check("pi:./a", "pi", "a");
        check("tag:room=5:x:y", "tag:room=5", "x:y");
        for here in ["a", "./a:b", "/a:b", ":a", "dir/x:y", ".:a"] {
            assert_eq!(Side::parse(here), Side::Here(here.into()), "{here}");
        }
    }
}
