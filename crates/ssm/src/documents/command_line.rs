//! The whole command of a session or of a step, as policies see it in `towline:CommandLine`.
//!
//! # Invariants
//! - Arguments are quoted as a shell reads them, so that two lists never have one command line.

use super::plan::SessionPlan;

/// The command line of a session that runs one.
///
/// ```
/// use towline_ssm::documents::{SessionPlan, command_line};
///
/// let argv = ["journalctl", "-u", "my unit"].map(str::to_owned).to_vec();
/// let plan = SessionPlan::Exec { argv, run_as: None, terminal: false, detach: false };
/// assert_eq!(command_line(&plan).as_deref(), Some("journalctl -u 'my unit'"));
/// ```
#[must_use]
pub fn command_line(plan: &SessionPlan) -> Option<String> {
    match plan {
        SessionPlan::Exec { argv, .. } => Some(quoted(argv)),
        SessionPlan::InteractiveCommand { command }
        | SessionPlan::NonInteractiveCommand { command, .. } => Some(command.clone()),
        SessionPlan::Shell { .. }
        | SessionPlan::Port { .. }
        | SessionPlan::Ssh { .. }
        | SessionPlan::Copy { .. } => None,
    }
}

/// Arguments as one line that a shell reads as these arguments. Words of letters, digits and
/// `_@%+=:,./-` stand as they are, others in single quotes.
#[must_use]
pub fn quoted(arguments: &[String]) -> String {
    arguments.iter().map(|argument| word(argument)).collect::<Vec<_>>().join(" ")
}

fn word(argument: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&b);
    if !argument.is_empty() && argument.bytes().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], line: &str) {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        assert_eq!(quoted(&arguments), line);
    }

    #[test]
    fn two_lists_of_arguments_never_have_one_line() {
        check(&["uptime"], "uptime");
        check(&["systemctl", "restart", "nginx.service"], "systemctl restart nginx.service");
        check(&["systemctl", "restart nginx.service"], "systemctl 'restart nginx.service'");
        check(&["sh", "-c", "id; reboot"], "sh -c 'id; reboot'");
        check(&["echo", ""], "echo ''");
        check(&["echo", "it's"], r"echo 'it'\''s'");
        check(&["echo", "*", "$HOME", "a\nb"], "echo '*' '$HOME' 'a\nb'");
    }
}
