//! `sessions`, `terminate` and `message`.

use towline_ssm::Operation;
use towline_ssm::api::session::{
    DescribeSessionsRequest, DescribeSessionsResponse, Found, Session, SessionFilter,
    SessionStatus, TerminateSessionRequest, TerminateSessionResponse,
};
use towline_ssm::api::watch::{SendSessionMessageRequest, SendSessionMessageResponse};

use super::context::{Context, time_text};
use crate::args::session::SessionsArgs;
use crate::exit::Failure;
use crate::limits::SESSIONS_PAGE;
use crate::output::{Cell, Output};

/// `sessions`.
pub(super) async fn list(context: &mut Context, args: SessionsArgs) -> Result<(), Failure> {
    let answer =
        DescribeSessionsResponse { sessions: fetch(context, args).await?, next_token: None };
    context.output.answer(&answer, |output| table(output, &answer.sessions))
}

/// The sessions that are asked for, over all pages.
pub(super) async fn fetch(
    context: &mut Context,
    args: SessionsArgs,
) -> Result<Vec<Session>, Failure> {
    let mut filters = Vec::new();
    if let Some(device) = &args.device {
        let value = context.device(device).await?;
        filters.push(SessionFilter { key: "Target".to_owned(), value });
    }
    filters.extend(args.owner.map(|value| SessionFilter { key: "Owner".to_owned(), value }));
    let most = args.limit as usize;
    let request = DescribeSessionsRequest {
        state: if args.history { "History" } else { "Active" }.to_owned(),
        max_results: Some(i64::try_from(SESSIONS_PAGE.min(most)).unwrap_or(1)),
        next_token: None,
        filters: if filters.is_empty() { None } else { Some(filters) },
    };
    let mut sessions = context.list_most(request, most).await?;
    sessions.retain(|session| !args.detached || session.towline_detached == Some(true));
    Ok(sessions)
}

fn table(output: Output, sessions: &[Session]) -> String {
    let row = |session: &Session| -> Vec<Cell> {
        let status = match session.towline_detached {
            Some(true) if session.end_date.is_none() => "detached".to_owned(),
            _ => format!("{:?}", session.status).to_lowercase(),
        };
        vec![
            session.session_id.clone().into(),
            session.target.clone().into(),
            session.owner.rsplit('/').next().unwrap_or_default().into(),
            if session.status == SessionStatus::Connected {
                Cell::Good(status)
            } else {
                status.into()
            },
            time_text(Some(session.start_date)).into(),
            time_text(session.end_date).into(),
            session.document_name.clone().into(),
            session.details.clone().or_else(|| session.reason.clone()).into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = sessions.iter().map(row).collect();
    output.table(
        &["SESSION", "DEVICE", "OWNER", "STATUS", "STARTED", "ENDED", "DOCUMENT", "DETAILS"],
        &rows,
    )
}

/// `terminate`.
pub(super) async fn terminate(context: &mut Context, session_id: String) -> Result<(), Failure> {
    let request = TerminateSessionRequest { session_id };
    let answer: TerminateSessionResponse =
        context.call(Operation::TerminateSession, &request).await?;
    // A gateway that does not say it has ended the session.
    match answer.towline_found.unwrap_or(Found::Active) {
        Found::Active => {
            context.output.answer(&answer, |_| format!("terminated {}\n", answer.session_id))
        }
        Found::Ended => {
            context.output.answer(&answer, |_| format!("{} had ended before\n", answer.session_id))
        }
        Found::Nothing => Err(Failure::BadDocument(format!(
            "there is no session {}: `towline sessions` lists those that are active",
            crate::terminal::printable(&answer.session_id)
        ))),
    }
}

/// `message`.
pub(super) async fn message(
    context: &mut Context,
    session_id: String,
    message: String,
) -> Result<(), Failure> {
    let request = SendSessionMessageRequest { session_id, message };
    let answer: SendSessionMessageResponse =
        context.call(Operation::SendSessionMessage, &request).await?;
    context.output.answer(&answer, |_| match answer.delivered {
        true => "delivered\n".to_owned(),
        false => "not delivered: no client is attached that shows messages\n".to_owned(),
    })
}
