//! SearchSessionCommands: programs and typed lines of all sessions that the caller may see.
//!
//! Data flow: rows of the command log, newest first -> those with all words -> those of sessions
//! whose commands the caller may list -> one page.
//!
//! # Invariants
//! - The right is that of ListSessionCommands, asked for each session (or for the device, of a step
//!   of Run Command): nothing is found that could not be listed.
//! - A search looks at a bounded number of rows for a bounded time, and then gives a token to go
//!   on, found or not.
//!
//! # Not here
//! - What the screens showed: the player searches that, one recording at a time.

use std::collections::HashMap;

use tokio::time::Instant;
use towline_host::clock::UnixMillis;
use towline_ssm::api::evidence::{
    FoundCommand, MAX_FOUND_COMMANDS, SearchSessionCommandsRequest, SearchSessionCommandsResponse,
};
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::ApiError;
use towline_store::CommandText;

use super::call::Call;
use super::internal::OrInternal as _;
use super::service::Api;
use crate::limits::{COMMANDS_PER_READ, MAX_SEARCHED_COMMANDS, SEARCH_TIME};

impl Api {
    pub(super) async fn search_session_commands(
        &self,
        call: &Call,
        request: SearchSessionCommandsRequest,
    ) -> Result<SearchSessionCommandsResponse, ApiError> {
        let cursor = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let most = usize::try_from(request.max_results.unwrap_or(MAX_FOUND_COMMANDS)).unwrap_or(1);
        let words: Vec<String> =
            request.query.to_lowercase().split_whitespace().map(Into::into).collect();
        let from = UnixMillis(request.start_time.map_or(i64::MIN, millis));
        let to = request.end_time.map(|time| UnixMillis(millis(time).saturating_add(1000)));
        let mut before = cursor.parse().unwrap_or(i64::MAX);
        let _turn = self.searches.turn(call).await?;
        let until = Instant::now() + SEARCH_TIME;
        let mut rights = HashMap::new();
        let (mut commands, mut looked, mut searched_to) = (Vec::new(), 0, None);
        while looked < MAX_SEARCHED_COMMANDS && Instant::now() < until {
            let device = request.instance_id.as_deref();
            let rows = self.store().command_log().newest(before, device, COMMANDS_PER_READ).await;
            let rows = rows.or_internal("cannot read the command log")?;
            let is_last = rows.len() < usize::try_from(COMMANDS_PER_READ).unwrap_or(0);
            looked += rows.len();
            for row in rows {
                if row.stored_at < from {
                    return Ok(SearchSessionCommandsResponse { commands, ..Default::default() });
                }
                before = row.id;
                searched_to = Some(EpochSeconds::from_secs(row.stored_at.0.div_euclid(1000)));
                let early = to.is_none_or(|to| row.stored_at < to);
                if !early || !has_all(&row, &words) || !self.sees(call, &row, &mut rights).await? {
                    continue;
                }
                commands.push(shown(row));
                if commands.len() == most {
                    break;
                }
            }
            if commands.len() == most {
                break;
            }
            if is_last {
                return Ok(SearchSessionCommandsResponse { commands, ..Default::default() });
            }
        }
        let next_token = Some(self.pages.token(call.operation, &before.to_string()));
        Ok(SearchSessionCommandsResponse { commands, searched_to, next_token })
    }

    /// Whether the caller may list what this session executed.
    async fn sees(
        &self,
        call: &Call,
        row: &CommandText,
        rights: &mut HashMap<String, bool>,
    ) -> Result<bool, ApiError> {
        if let Some(known) = rights.get(&row.session) {
            return Ok(*known);
        }
        let sees = match crate::sessions::of_step(&row.session) {
            Some((_, device)) => {
                let (question, is_known) = self.about_device_on_record(&device).await?;
                is_known && self.would_allow(call, &question).await?
            }
            None => self.would_allow_session(call, &row.session, &row.device).await?,
        };
        rights.insert(row.session.clone(), sees);
        Ok(sees)
    }
}

fn millis(time: EpochSeconds) -> i64 {
    time.secs().saturating_mul(1000)
}

/// What is searched: the arguments, the path of what was executed, a typed line.
fn text(row: &CommandText) -> String {
    if row.kind == "line" {
        return row.detail.clone();
    }
    let arguments = row.arguments.strip_suffix(b"\0").unwrap_or(&row.arguments);
    String::from_utf8_lossy(arguments).replace('\0', " ")
}

fn has_all(row: &CommandText, words: &[String]) -> bool {
    let mut text = text(row).to_lowercase();
    text.push(' ');
    text.push_str(&String::from_utf8_lossy(&row.path).to_lowercase());
    words.iter().all(|word| text.contains(word.as_str()))
}

fn shown(row: CommandText) -> FoundCommand {
    FoundCommand {
        kind: if row.kind == "line" { "Line" } else { "Command" }.to_owned(),
        text: text(&row),
        path: String::from_utf8_lossy(&row.path).into_owned(),
        session_id: row.session,
        instance_id: row.device,
        started_at: row.at.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(arguments: &[u8]) -> CommandText {
        CommandText {
            id: 1,
            device: "mi-1".into(),
            session: "ann-1".into(),
            kind: "exec".into(),
            at: UnixMillis(1),
            stored_at: UnixMillis(1),
            arguments: arguments.to_vec(),
            path: b"/usr/bin/rm".to_vec(),
            detail: String::new(),
        }
    }

    #[test]
    fn all_words_stand_in_arguments_or_path_whatever_the_letter_case() {
        let row = row(b"rm\0-rf\0/Tmp/\xff\0");
        for (words, found) in [
            (&["rm", "-rf"][..], true),
            (&["/tmp"], true),
            (&["usr/bin"], true),
            (&["rm -rf"], true),
            (&["rm", "home"], false),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(has_all(&row, &words), found, "{words:?}");
        }
        assert_eq!(shown(row).text, "rm -rf /Tmp/\u{fffd}");
    }
}
