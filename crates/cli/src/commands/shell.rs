//! `shell`, `exec`, `attach`: from arguments to a session.

use towline_ssm::Operation;
use towline_ssm::api::session::{
    Parameters, StartSessionRequest, StartSessionResponse, TowlineTerminal,
};
use towline_ssm::documents::TOWLINE_EXEC;

use super::context::Context;
use super::step_up;
use super::watch::{self, After};
use crate::api::Client;
use crate::args::session::{AttachArgs, ExecArgs, ScreenArgs, ShellArgs};
use crate::exit::Failure;
use crate::limits::ASSUMED_SIZE;
use crate::output::{complain, new_line};
use crate::platform::{self, is_terminal, size_of};
use crate::session::{self, Begin, Manner};
use crate::terminal::term;

/// `shell`: a new one, or one that goes on.
pub(super) async fn shell(mut context: Context, args: ShellArgs) -> Result<u8, Failure> {
    let manner = on_screen(&args.screen)?;
    let begin = match (args.session, args.device) {
        (Some(id), _) => Begin::Resume(id),
        (None, device) => {
            let target = context.device(&device.unwrap_or_default()).await?;
            Begin::Start(StartSessionRequest {
                target,
                document_name: None,
                reason: args.reason,
                parameters: run_as(args.user.or_else(|| context.client.settings().user.clone())),
                towline_terminal: Some(terminal(&context)),
            })
        }
    };
    run(context, begin, manner).await
}

/// `attach`.
pub(super) async fn attach(context: Context, args: AttachArgs) -> Result<u8, Failure> {
    let manner = on_screen(&args.screen)?;
    run(context, Begin::Resume(args.session), manner).await
}

/// `join`.
pub(super) async fn join(context: Context, args: AttachArgs) -> Result<u8, Failure> {
    let manner = on_screen(&args.screen)?;
    run(context, Begin::Join(args.session), manner).await
}

/// `exec`.
pub(super) async fn exec(mut context: Context, args: ExecArgs) -> Result<u8, Failure> {
    let target = context.device(&args.device).await?;
    let mut parameters = run_as(args.user.or_else(|| context.client.settings().user.clone()));
    parameters.insert("argv".to_owned(), args.command);
    if args.terminal {
        parameters.insert("terminal".to_owned(), vec!["true".to_owned()]);
    }
    if args.detach {
        parameters.insert("detach".to_owned(), vec!["true".to_owned()]);
    }
    let request = StartSessionRequest {
        target,
        document_name: Some(TOWLINE_EXEC.to_owned()),
        reason: args.reason,
        parameters,
        towline_terminal: args.terminal.then(|| terminal(&context)),
    };
    if args.detach {
        return detach(context, request).await;
    }
    let manner = match args.terminal {
        true => Manner::on_screen(Some(b'~')),
        false => Manner::command(!args.no_stdin),
    };
    run(context, Begin::Start(request), manner).await
}

/// Starts a program that nobody attaches to.
async fn detach(mut context: Context, request: StartSessionRequest) -> Result<u8, Failure> {
    let answer: StartSessionResponse = context.call(Operation::StartSession, &request).await?;
    let told = Detached { session_id: answer.session_id };
    context.output.answer(&told, |_| format!("{}\n", told.session_id))?;
    Ok(0)
}

/// What `exec --detach` prints: the token is of no use to anybody.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Detached {
    session_id: String,
}

/// Runs a session. A terminal whose seat another client took watches it, and may take it back.
async fn run(context: Context, mut begin: Begin, manner: Manner) -> Result<u8, Failure> {
    let Context { mut client, env, output, .. } = context;
    let joins = matches!(begin, Begin::Join(_));
    loop {
        let run = async |client| Box::pin(session::run(client, begin.clone(), manner)).await;
        let (ending, settings) = step_up::proved(client, &env, &begin, run).await?;
        if let Some(line) = ending.line {
            if manner.terminal && is_terminal(std::io::stderr()) {
                // The device has left the cursor anywhere.
                new_line();
            }
            complain(&line);
        }
        let (Some(session), true) = (ending.taken, sits_at_terminal(manner)) else {
            return Ok(ending.code);
        };
        client = Client::new(settings);
        match Box::pin(watch::from_the_seat(&mut client, output, session.clone())).await {
            After::TakeBack if joins => begin = Begin::Join(session),
            After::TakeBack => begin = Begin::Resume(session),
            After::Leave => return Ok(ending.code),
        }
    }
}

/// Whether somebody reads this terminal and types into it.
fn sits_at_terminal(manner: Manner) -> bool {
    manner.terminal && is_terminal(std::io::stdin()) && is_terminal(std::io::stdout())
}

fn on_screen(screen: &ScreenArgs) -> Result<Manner, Failure> {
    screen.escape().map(Manner::on_screen).map_err(Failure::Usage)
}

fn run_as(user: Option<String>) -> Parameters {
    user.map(|user| ("runAsUser".to_owned(), vec![user])).into_iter().collect()
}

fn terminal(context: &Context) -> TowlineTerminal {
    let size =
        size_of(std::io::stdin()).or_else(|| size_of(std::io::stdout())).unwrap_or(ASSUMED_SIZE);
    TowlineTerminal {
        term: term(context.env.text("TERM").as_deref().or(platform::TERM)),
        rows: size.rows,
        cols: size.cols,
    }
}
