//! `forward` and `proxy`: connections of the device, on a local port or on standard input and
//! output.

use serde::Serialize;
use towline_ssm::api::session::{Parameters, StartSessionRequest};
use towline_ssm::documents::{PORT_FORWARDING, REMOTE_HOST_FORWARDING, SSH_SESSION};

use super::context::Context;
use super::login_renewal;
use super::step_up;
use crate::api::Client;
use crate::args::tunnel::{ForwardArgs, ProxyArgs};
use crate::exit::Failure;
use crate::output::complain;
use crate::session::{self, Begin, Forward, Listen, Listener, Manner};

/// Where a forward listens, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ready<'a> {
    session_id: &'a str,
    local_address: String,
    local_port: Option<u16>,
}

/// `forward`.
pub(super) async fn forward(mut context: Context, args: ForwardArgs) -> Result<u8, Failure> {
    let target = context.device(&args.device).await?;
    let route = args.route;
    let one = |value: String| vec![value];
    let mut parameters = Parameters::from([("portNumber".to_owned(), one(route.port.to_string()))]);
    parameters.insert("localPortNumber".to_owned(), one(route.local.port().to_string()));
    let document = match &route.host {
        Some(host) => {
            parameters.insert("host".to_owned(), one(host.clone()));
            REMOTE_HOST_FORWARDING
        }
        None => PORT_FORWARDING,
    };
    let request = request(target, document, args.reason, parameters);
    let host = match route.host.as_deref() {
        Some(host) if host.contains(':') => format!("[{host}]"),
        host => host.unwrap_or("localhost").to_owned(),
    };
    let place = format!("{}:{host}:{}", args.device, route.port);
    let output = context.output;
    let mut failed = None;
    let mut ready = |listener: &Listener, session: &str| {
        let local_address = listener.shown();
        let text = format!("forwarding {local_address} to {place}\n");
        let ready = Ready { session_id: session, local_port: listener.port(), local_address };
        failed = output.answer(&ready, |_| text).err();
    };
    let Context { client, env, .. } = context;
    let begin = Begin::Start(request);
    let original = client.settings().clone();
    let signed_in = login_renewal::used(&original, &env)?.is_some();
    let run = async |client: Client| {
        let task = Forward {
            settings: client.settings().clone(),
            begin: begin.clone(),
            listen: Listen::Tcp(route.local),
            guest: false,
            ready: &mut ready,
            say: &mut |line| complain(line),
            person: step_up::AtTerminal { env: &env, original: original.clone(), signed_in },
        };
        Box::pin(session::forward(task)).await
    };
    let (ending, _) = Box::pin(step_up::proved(client, &env, &begin, run)).await?;
    if let Some(line) = ending.line {
        complain(&line);
    }
    failed.map_or(Ok(ending.code), Err)
}

/// `proxy`.
pub(super) async fn proxy(mut context: Context, args: ProxyArgs) -> Result<u8, Failure> {
    let target = context.device(&args.device).await?;
    let parameters = Parameters::from([("portNumber".to_owned(), vec![args.port.to_string()])]);
    let begin = Begin::Start(request(target, SSH_SESSION, args.reason, parameters));
    let Context { client, env, .. } = context;
    let run =
        async |client| Box::pin(session::run(client, begin.clone(), Manner::proxy(false))).await;
    let (ending, _) = Box::pin(step_up::proved(client, &env, &begin, run)).await?;
    if let Some(line) = ending.line {
        complain(&line);
    }
    Ok(ending.code)
}

fn request(
    target: String,
    document: &str,
    reason: Option<String>,
    parameters: Parameters,
) -> StartSessionRequest {
    let document_name = Some(document.to_owned());
    StartSessionRequest { target, document_name, reason, parameters, towline_terminal: None }
}
