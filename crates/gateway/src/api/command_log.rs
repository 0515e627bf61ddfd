//! What a session, or the step of a command, executed: for those who may see the one's recording,
//! or may ask this of the other's device.

use towline_ssm::api::evidence::{
    ListSessionCommandsRequest, ListSessionCommandsResponse, MAX_COMMANDS, SessionCommand,
};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::StoredCommand;

use super::call::Call;
use super::internal::OrInternal as _;
use super::ownership::About;
use super::paging::page;
use super::service::Api;
use crate::program_file::program_file;

impl Api {
    pub(super) async fn list_session_commands(
        &self,
        call: &Call,
        request: ListSessionCommandsRequest,
    ) -> Result<ListSessionCommandsResponse, ApiError> {
        // A row goes earlier than what stands in the log: only both together say that there is
        // nothing.
        let known;
        match crate::sessions::of_step(&request.session_id) {
            Some((command, device)) => {
                call.note("commandId", &*command);
                let (about, is_known) = self.about_device_on_record(&device).await?;
                self.authorize(call, &about).await?;
                if !is_known {
                    return Err(nothing());
                }
                let sent = self.store().run_commands().invocation(&command, &device).await;
                known = sent.or_internal("cannot read a command")?.is_some();
            }
            None => {
                let session = self.authorize_session(call, &request.session_id, About::Record);
                known = session.await?.is_some();
            }
        }
        let cursor = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let after = cursor.parse().unwrap_or(0);
        let most = request.max_results.unwrap_or(MAX_COMMANDS);
        let rows =
            self.store().command_log().of_session(&request.session_id, after, most + 1).await;
        let rows = rows.or_internal("cannot read the command log")?;
        if rows.is_empty() && !known && after == 0 {
            return Err(nothing());
        }
        let size = usize::try_from(most).unwrap_or(1);
        let (rows, next_token) =
            page(rows, size, &self.pages, call.operation, |row| row.id.to_string());
        Ok(ListSessionCommandsResponse {
            commands: rows.into_iter().map(shown).collect(),
            next_token,
        })
    }
}

fn nothing() -> ApiError {
    let message = "there is no such session or command";
    ApiError::new(ErrorCode::DoesNotExistException, message)
}

fn shown(row: StoredCommand) -> SessionCommand {
    let kind = match row.kind.as_str() {
        "exec" => "Command",
        "begin" => "Begin",
        "line" => "Line",
        "end" => "End",
        _ => "Gap",
    };
    let exited = row.end.as_deref() == Some("exit");
    let (started_at, ended_at) = (row.at.0, row.ended_at.map(|at| at.0));
    let replaced_after = ended_at.map(|end| u64::try_from(end - started_at).unwrap_or(0));
    let arguments = row.arguments.strip_suffix(b"\0").unwrap_or(&row.arguments);
    let words =
        arguments.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    SessionCommand {
        kind: kind.to_owned(),
        number: row.number,
        covers: (kind == "Gap").then_some(row.covers),
        started_at,
        ended_at,
        duration: if exited { row.lasted } else { replaced_after },
        pid: row.pid,
        parent_pid: row.parent,
        user_id: row.uid,
        arguments: if row.arguments.is_empty() { Vec::new() } else { words.collect() },
        executable: row.executable.as_ref().map(|file| program_file(file, &row.arguments)),
        cut: row.cut,
        directory: String::from_utf8_lossy(&row.directory).into_owned(),
        exit_code: row.code,
        signal: row.signal,
        replaced: row.end.as_deref() == Some("exec"),
        detail: row.detail,
    }
}
