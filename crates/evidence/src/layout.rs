//! Where things lie in a sink: keys of objects.
//!
//! Recordings lie where Session Manager puts its logs (`<prefix>/<session id>...`, colons removed);
//! audit files where CloudTrail puts its own
//! (`AWSLogs/<account>/CloudTrail/<region>/<y>/<m>/<d>/...json.gz`), so that tools which look there
//! find them. The node's chain lies under `towline-seals/<node>/`.
//!
//! # Invariants
//! - A key has no empty part, no `..` and no colon, whatever names it is made of.

use time::OffsetDateTime;

/// Suffix of recordings: asciicast v2, gzip.
pub const RECORDING: &str = ".cast.gz";
/// Folder of the nodes' chains.
pub const SEALS: &str = "towline-seals";

/// `part` as one part of a key.
fn part(part: &str) -> String {
    let safe: String = part
        .chars()
        .filter(|c| *c != ':')
        .map(|c| if c.is_ascii_alphanumeric() || "._@=+,-".contains(c) { c } else { '_' })
        .collect();
    if safe.is_empty() || safe.bytes().all(|b| b == b'.') { "_".to_owned() } else { safe }
}

fn under(prefix: &str, rest: &str) -> String {
    let prefix: Vec<String> = prefix.split('/').filter(|p| !p.is_empty()).map(part).collect();
    if prefix.is_empty() { rest.to_owned() } else { format!("{}/{rest}", prefix.join("/")) }
}

/// Key of a session's recording.
#[must_use]
pub fn recording(prefix: &str, session: &str) -> String {
    under(prefix, &format!("{}{RECORDING}", part(session)))
}

/// The name of a part of a session's recording, which lies under it as a recording of its own. The
/// first part has the session's name.
#[must_use]
pub fn part_name(session: &str, part: u32) -> String {
    if part <= 1 { session.to_owned() } else { format!("{session}.{part}") }
}

/// Session and number of the part that a recording of this name is. No session has a name that ends
/// with a point and digits alone.
#[must_use]
pub fn part_of(name: &str) -> (&str, u32) {
    let numbered = name.rsplit_once('.').and_then(|(session, number)| {
        let is_number = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse().ok().filter(|number| is_number && *number > 1)?;
        Some((session, number))
    });
    numbered.unwrap_or((name, 1))
}

/// Suffix of the indexes of recordings.
const INDEX: &str = ".cast.index";

/// Key of the index of a session's recording: beside the recording.
#[must_use]
pub fn index(prefix: &str, session: &str) -> String {
    under(prefix, &format!("{}{INDEX}", part(session)))
}

/// Whether a key is that of a recording's index.
#[must_use]
pub fn is_index(key: &str) -> bool {
    key.ends_with(INDEX)
}

/// Key of a session's plain log, named as Session Manager names it.
#[must_use]
pub fn log(prefix: &str, session: &str) -> String {
    under(prefix, &format!("{}.log", part(session)))
}

/// Folder of the outputs of commands that name no place of their own.
pub const OUTPUTS: &str = "commands";

/// Key of a command's output on one device, as Run Command lays it out:
/// `<prefix>/<command>/<device>/<plugin>/<step>/stdout`; `folder` is plugin and step.
#[must_use]
pub fn output(prefix: &str, command: &str, device: &str, folder: &str, name: &str) -> String {
    under(prefix, &under(&format!("{command}/{device}/{folder}"), &part(name)))
}

/// Whether a key is that of a command's output.
#[must_use]
pub fn is_output(key: &str) -> bool {
    let (folder, _) = key.rsplit_once('/').unwrap_or_default();
    folder.split('/').any(|part| part == OUTPUTS)
        && (key.ends_with("/stdout") || key.ends_with("/stderr"))
}

/// The session whose recording lies under this key; `None` when it is none.
#[must_use]
pub fn session_of(key: &str) -> Option<&str> {
    key.rsplit('/').next()?.strip_suffix(RECORDING)
}

/// Key of a segment of a node's chain, which begins with record `first`.
#[must_use]
pub fn segment(prefix: &str, node: &str, first: u64) -> String {
    under(prefix, &format!("{SEALS}/{}/{first:012}.jsonl", part(node)))
}

/// Whether a key is that of a segment, and of which node.
#[must_use]
pub fn segment_of(key: &str) -> Option<(&str, u64)> {
    let (folder, file) = key.rsplit_once('/')?;
    let (before, node) = folder.rsplit_once('/')?;
    let seals = before == SEALS || before.ends_with("/towline-seals");
    let first = file.strip_suffix(".jsonl")?.parse().ok()?;
    seals.then_some((node, first))
}

/// Key of an audit file; `unique`: 16 characters that make two files of one minute differ.
#[must_use]
pub fn trail(
    prefix: &str,
    account: &str,
    region: &str,
    at: OffsetDateTime,
    unique: &str,
) -> String {
    let (account, region, unique) = (part(account), part(region), part(unique));
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let file = format!(
        "{account}_CloudTrail_{region}_{year:04}{month:02}{day:02}T{:02}{:02}Z_{unique}.json.gz",
        at.hour(),
        at.minute()
    );
    under(
        prefix,
        &format!("AWSLogs/{account}/CloudTrail/{region}/{year:04}/{month:02}/{day:02}/{file}"),
    )
}

/// Folder of the command log's files.
const COMMANDS: &str = "towline-commands";

/// Key of a file of the command log, which begins with row `first` of the node's store.
#[must_use]
pub fn commands(prefix: &str, node: &str, at: OffsetDateTime, first: i64) -> String {
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    under(
        prefix,
        &format!("{COMMANDS}/{}/{year:04}/{month:02}/{day:02}/{first:012}.jsonl.gz", part(node)),
    )
}

/// Whether a key is that of a file of the command log.
#[must_use]
pub fn is_commands(key: &str) -> bool {
    key.ends_with(".jsonl.gz") && key.split('/').any(|part| part == COMMANDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_recording_is_named_after_its_session() {
        let session = "ann.2-0123456789abcdefg";
        for part in [1, 2, 10] {
            assert_eq!(part_of(&part_name(session, part)), (session, part));
        }
        for other in ["ann-0abc.1", "ann-0abc.02", "ann-0abc.x", "ann-0abc."] {
            assert_eq!(part_of(other), (other, 1));
        }
    }

    #[test]
    fn keys_are_those_that_existing_tools_look_for() {
        assert_eq!(recording("logs/", "ann-0abc"), "logs/ann-0abc.cast.gz");
        assert_eq!(log("", "ann:x-0abc"), "annx-0abc.log");
        let index = index("logs/", "ann-0abc");
        assert_eq!(index, "logs/ann-0abc.cast.index");
        assert!(is_index(&index) && session_of(&index).is_none());
        let at = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        assert_eq!(
            trail("", "000000000000", "xx-towline-1", at, "abcDEF0123456789"),
            "AWSLogs/000000000000/CloudTrail/xx-towline-1/2023/11/14/\
             000000000000_CloudTrail_xx-towline-1_20231114T2213Z_abcDEF0123456789.json.gz"
        );
    }

    #[test]
    fn no_name_leaves_its_folder() {
        assert_eq!(recording("../a//b", "../../etc/x"), "_/a/b/.._.._etc_x.cast.gz");
        assert_eq!(segment("", "..", 7), "towline-seals/_/000000000007.jsonl");
    }

    #[test]
    fn outputs_lie_where_run_command_puts_them() {
        let key = output("out/", "0f", "mi-1", "awsrunShellScript/0.awsrunShellScript", "stdout");
        assert_eq!(key, "out/0f/mi-1/awsrunShellScript/0.awsrunShellScript/stdout");
        assert!(
            is_output(&output("p/commands", "0f", "mi-1", "a/b", "stderr"))
                && is_output("commands/x/stdout")
        );
        assert!(!is_output(&key) && !is_output("commands-2/x/stdout"));
        assert!(
            is_output("commands-2/commands/x/stdout") && is_output("a/commandsb/commands/x/stderr")
        );
    }

    #[test]
    fn a_key_tells_what_it_is() {
        assert_eq!(session_of("p/ann-1.cast.gz"), Some("ann-1"));
        assert_eq!(segment_of(&segment("p/q", "gw", 12)), Some(("gw", 12)));
        assert_eq!(segment_of("p/ann-1.cast.gz"), None);
        let key = commands("p", "gw", OffsetDateTime::UNIX_EPOCH, 7);
        assert_eq!(key, "p/towline-commands/gw/1970/01/01/000000000007.jsonl.gz");
        assert!(
            is_commands(&key) && segment_of(&key).is_none() && !is_commands("AWSLogs/x.json.gz")
        );
    }
}
