//! The name of a step's session: it tells command, device and step.
//!
//! # Invariants
//! - No other session has such a name, so [`of_step`] tells steps from sessions of people.

use towline_ssm::ids::DeviceId;

/// The name of a step's session: no other device of the command, and no other step, has the same.
/// At most 61 characters.
pub(crate) fn session_name(command: &str, device: &str, step: usize) -> String {
    format!("cmd-{command}-{}-{step}", device.trim_start_matches("mi-"))
}

/// Command and device of a step's session; `None` for the name of any other session.
pub(crate) fn of_step(session: &str) -> Option<(String, String)> {
    let (command, rest) = session.strip_prefix("cmd-")?.split_at_checked(36)?;
    let (device, step) = rest.strip_prefix('-')?.rsplit_once('-')?;
    let uuid = command.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    let number = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    let device: DeviceId = format!("mi-{device}").parse().ok()?;
    (uuid && number).then(|| (command.to_owned(), device.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steps_session_names_its_command_and_its_device_and_no_other_session_does() {
        let (command, device) = ("137dc699-d400-47fb-916e-01a2dc3e4c86", "mi-0123456789abcdef0");
        let name = session_name(command, device, 12);
        assert_eq!(of_step(&name), Some((command.to_owned(), device.to_owned())));
        for other in [
            "cmd-0123456789abcdefg",
            "ann-0123456789abcdefg",
            "cmd-",
            &name[1..],
            &name[..name.len() - 2],
        ] {
            assert_eq!(of_step(other), None, "{other}");
        }
    }
}
