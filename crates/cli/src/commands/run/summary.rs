//! The summary: devices with the same result and the same output are grouped.

use std::collections::BTreeMap;

use serde::Serialize;
use towline_ssm::api::command::{Command, CommandInvocation, CommandStatus};

use crate::exit;
use crate::limits::{SUMMARY_DEVICES, SUMMARY_LINES};
use crate::terminal::printable;

/// What the gateway puts behind output that is cut, as AWS does.
const CUT_MARK: &str = "--output truncated--";

/// The result as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Whole<'a> {
    pub(super) command: &'a Command,
    pub(super) command_invocations: &'a [CommandInvocation],
}

/// One line about a device that did not do well.
pub(super) fn failure(one: &CommandInvocation) -> String {
    let name = if one.instance_name.is_empty() {
        String::new()
    } else {
        format!(" ({})", one.instance_name)
    };
    let why = one.towline_reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{}{name}: {}{why}", one.instance_id, one.status_details)
}

/// The code that a script can rely on: 0 when it went well everywhere; of a single device the
/// script's own code.
pub(super) fn exit_code(command: &Command, invocations: &[CommandInvocation]) -> u8 {
    if command.status == CommandStatus::Success {
        return 0;
    }
    if let [one] = invocations {
        let mut codes =
            one.command_plugins.iter().map(|plugin| plugin.response_code).filter(|code| *code > 0);
        if let Some(code) = codes.next_back().and_then(|code| u8::try_from(code).ok()) {
            return code;
        }
    }
    match (command.status, command.status_details.as_str()) {
        (CommandStatus::Cancelled, _) => exit::ENDED,
        (_, "DeliveryTimedOut") => exit::NOT_CONNECTED,
        (_, "ExecutionTimedOut") => 124, // as timeout(1)
        _ => 1,
    }
}

/// Groups of devices, the largest first, and a last line with the counts.
pub(super) fn text(command: &Command, invocations: &[CommandInvocation]) -> String {
    let mut groups: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for one in invocations {
        let name = if one.instance_name.is_empty() { &one.instance_id } else { &one.instance_name };
        groups.entry((result(one), output(one))).or_default().push(name);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, devices)| std::cmp::Reverse(devices.len()));
    let mut text = String::new();
    for ((result, output), devices) in groups {
        let more = devices.len().saturating_sub(SUMMARY_DEVICES);
        let named = devices.iter().take(SUMMARY_DEVICES).copied().collect::<Vec<_>>().join(", ");
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("== {} × {result}: {}{rest}\n", devices.len(), printable(&named)));
        let lines: Vec<&str> = output.lines().collect();
        for line in lines.iter().take(SUMMARY_LINES) {
            text.push_str(&format!("   {}\n", printable(line)));
        }
        if lines.len() > SUMMARY_LINES {
            text.push_str(&format!("   … {} more lines\n", lines.len() - SUMMARY_LINES));
        }
        if output.contains(CUT_MARK) {
            text.push_str(&format!(
                "   … the output is cut here. All of it: towline outputs {} DEVICE\n",
                command.command_id
            ));
        }
    }
    let Command { target_count, completed_count, error_count, delivery_timed_out_count, .. } =
        command;
    let details = &command.status_details;
    text.push_str(&format!(
        "{details}: {completed_count} of {target_count} devices, {error_count} errors, \
         {delivery_timed_out_count} not reached\n"
    ));
    text
}

fn result(one: &CommandInvocation) -> String {
    let codes: Vec<String> = one
        .command_plugins
        .iter()
        .filter(|p| p.response_code >= 0)
        .map(|p| p.response_code.to_string())
        .collect();
    if codes.is_empty() {
        one.status_details.clone()
    } else {
        format!("{}, exit {}", one.status_details, codes.join(" "))
    }
}

/// Stands for an output that the gateway withholds.
const WITHHELD: &str = "(the output is not shown: it needs the right ssm:GetCommandInvocation)";

fn output(one: &CommandInvocation) -> String {
    let shown = one.command_plugins.iter().map(|plugin| match plugin.towline_output_withheld {
        true => WITHHELD,
        false => plugin.output.as_str(),
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn command(status: &str, details: &str) -> Command {
        serde_json::from_value(json!({
            "CommandId": "c", "DocumentName": "d", "Status": status, "StatusDetails": details, "MaxConcurrency": "50",
            "MaxErrors": "0", "TargetCount": 3, "CompletedCount": 3, "ErrorCount": 1, "DeliveryTimedOutCount": 0,
        }))
        .unwrap()
    }

    fn invocation(name: &str, status: &str, code: i64, output: &str) -> CommandInvocation {
        serde_json::from_value(json!({
            "CommandId": "c", "InstanceId": name, "DocumentName": "d", "Status": status, "StatusDetails": status,
            "CommandPlugins": [{ "Name": "p", "Status": status, "ResponseCode": code, "Output": output }],
        }))
        .unwrap()
    }

    #[test]
    fn devices_with_the_same_output_are_said_together_the_most_first() {
        let all = [
            invocation("mi-1", "Failed", 2, "oh\n"),
            invocation("mi-2", "Success", 0, "up 3 days\n"),
            invocation("mi-3", "Success", 0, "up 3 days\n"),
        ];
        let expected = "== 2 × Success, exit 0: mi-2, mi-3\n   up 3 days\n== 1 × Failed, exit 2: \
                        mi-1\n   oh\n\
                        Failed: 3 of 3 devices, 1 errors, 0 not reached\n";
        assert_eq!(text(&command("Failed", "Failed"), &all), expected);
    }

    #[test]
    fn an_output_that_may_not_be_read_has_its_reason_in_its_place() {
        let mut one = invocation("mi-1", "Success", 0, "");
        assert!(!text(&command("Success", "Success"), &[one.clone()]).contains("GetCommand"));
        one.command_plugins[0].towline_output_withheld = true;
        assert!(text(&command("Success", "Success"), &[one]).contains(WITHHELD));
    }

    #[test]
    fn what_a_device_prints_does_not_steer_the_terminal() {
        let all = [invocation("mi-1", "Success", 0, "\x1b[2Jgone")];
        assert!(!text(&command("Success", "Success"), &all).contains('\x1b'));
    }

    #[test]
    fn the_exit_code_says_how_it_went() {
        let one = [invocation("mi-1", "Failed", 3, "")];
        assert_eq!(exit_code(&command("Success", "Success"), &one), 0);
        assert_eq!(exit_code(&command("Failed", "Failed"), &one), 3);
        let many = [invocation("mi-1", "Failed", 3, ""), invocation("mi-2", "Failed", 4, "")];
        assert_eq!(exit_code(&command("Failed", "Failed"), &many), 1);
        assert_eq!(exit_code(&command("TimedOut", "DeliveryTimedOut"), &many), exit::NOT_CONNECTED);
        assert_eq!(exit_code(&command("Cancelled", "Cancelled"), &many), exit::ENDED);
    }
}
