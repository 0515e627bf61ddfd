//! The command line that AWS's tools give their plugin, read.
//!
//! | place | content |
//! |---|---|
//! | 1 | the answer to StartSession as JSON, or the name of a variable that holds it: a name that begins with [`VARIABLE`] |
//! | 2 | region |
//! | 3 | `StartSession` |
//! | 4 | profile, may be empty |
//! | 5 | the request to StartSession as JSON |
//! | 6 | the endpoint that was asked |
//!
//! Places 4 to 6 may be absent. Without arguments the program prints a greeting, with `--version`
//! its version.
//!
//! # Invariants
//! - The answer holds the session's token: no error repeats it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserialize;
use serde_json::Value;
use towline_ssm::api::session::StartSessionResponse;
use towline_ssm::documents::{
    NON_INTERACTIVE_COMMAND, PORT_FORWARDING, REMOTE_HOST_FORWARDING, SSH_SESSION, TOWLINE_EXEC,
};

use crate::exit::{self, HasExitCode};
use crate::session::{Listen, Prefix};

/// Begin of the names of the variables that the answer may be in.
const VARIABLE: &str = "AWS_SSM_START_SESSION_RESPONSE";
/// The only operation that the tools ask a plugin for.
const OPERATION: &str = "StartSession";
/// Fewest arguments of a session.
const FEWEST: usize = 3;

/// What the caller asks for.
pub(super) enum Call {
    /// A person checks that the plugin is installed.
    Greeting,
    /// Asked by the tools before each session.
    Version,
    /// A session.
    Session(Box<Session>),
}

/// A session that the gateway has opened.
pub(super) struct Session {
    /// Holds a secret.
    pub(super) answer: StartSessionResponse,
    pub(super) region: String,
    pub(super) profile: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) kind: Kind,
}

/// What the document makes of the session at this end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is a terminal on the device.
    Terminal,
    /// There is none.
    Command {
        /// It reads our standard input.
        input: bool,
        /// Its standard error comes on ours; else on our standard output, among the rest.
        apart: bool,
        /// What stands before the text of each stream, where they are apart.
        prefixes: [Prefix; 2],
    },
    /// One connection, on our standard input and output.
    Stdio,
    /// A port of the device, made local here.
    Port(Listen),
}

/// Why a command line is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadCall {
    /// Too few arguments.
    #[error(
        "`aws ssm start-session` calls this plugin with at least {FEWEST} arguments: the answer \
         to StartSession, the region, {OPERATION}"
    )]
    TooFew,
    /// Something newer than this program.
    #[error("unknown operation `{0}`: expected {OPERATION}")]
    Operation(String),
    /// Nothing to begin with.
    #[error("the variable {0}, which should hold the answer to StartSession, is not set")]
    NoVariable(String),
    /// Not what StartSession answers.
    #[error("invalid answer to StartSession: {0}")]
    Answer(String),
    /// Not what StartSession takes.
    #[error("invalid request to StartSession: {0}")]
    Request(String),
    /// Not what can be listened at.
    #[error("{name} cannot be `{value}`: expected {wanted}")]
    Local {
        /// The parameter.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
}

impl HasExitCode for BadCall {
    fn exit_code(&self) -> u8 {
        exit::USAGE
    }
}

/// The parts of the request that matter here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    #[serde(rename = "DocumentName")]
    document: Option<String>,
    #[serde(rename = "Parameters")]
    parameters: Value,
}

impl Call {
    /// Reads the arguments behind the program's name; `variable` looks into the environment.
    pub(super) fn parse(
        arguments: &[String],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BadCall> {
        match arguments {
            [] => return Ok(Self::Greeting),
            [one] if one == "--version" => return Ok(Self::Version),
            _ => {}
        }
        let [answer, region, operation, ..] = arguments else { return Err(BadCall::TooFew) };
        if operation != OPERATION {
            return Err(BadCall::Operation(operation.clone()));
        }
        let optional = |place: usize| arguments.get(place).filter(|text| !text.is_empty()).cloned();
        let answer = match answer.starts_with(VARIABLE) {
            true => variable(answer).ok_or_else(|| BadCall::NoVariable(answer.clone()))?,
            false => answer.clone(),
        };
        Ok(Self::Session(Box::new(Session {
            answer: read_answer(&answer)?,
            region: region.clone(),
            profile: optional(3),
            endpoint: optional(5),
            kind: kind(optional(4).as_deref())?,
        })))
    }
}

/// The place of an error is told, its words are not: they may repeat what was read.
fn place(error: &serde_json::Error) -> String {
    format!("unexpected JSON at character {}", error.column())
}

fn read_answer(text: &str) -> Result<StartSessionResponse, BadCall> {
    let answer: StartSessionResponse =
        serde_json::from_str(text).map_err(|error| BadCall::Answer(place(&error)))?;
    let parts = [
        ("SessionId", &answer.session_id),
        ("TokenValue", &answer.token_value),
        ("StreamUrl", &answer.stream_url),
    ];
    match parts.iter().find(|(_, value)| value.is_empty()) {
        Some((name, _)) => Err(BadCall::Answer(format!("{name} is empty"))),
        None => Ok(answer),
    }
}

fn kind(request: Option<&str>) -> Result<Kind, BadCall> {
    let request: Request = match request {
        Some(text) => {
            serde_json::from_str(text).map_err(|error| BadCall::Request(place(&error)))?
        }
        None => Request::default(),
    };
    Ok(match request.document.as_deref() {
        Some(TOWLINE_EXEC) if is_set(&request.parameters, "terminal") => Kind::Terminal,
        Some(TOWLINE_EXEC) => {
            Kind::Command { input: true, apart: true, prefixes: Default::default() }
        }
        // As with AWS's agent such a command has no input.
        Some(NON_INTERACTIVE_COMMAND) => {
            let apart = is_set(&request.parameters, "separateOutputStream");
            let names = ["stdOutSeparatorPrefix", "stdErrSeparatorPrefix"].map(|name| {
                let value = &request.parameters[name];
                value.get(0).unwrap_or(value).as_str().filter(|_| apart).unwrap_or_default()
            });
            Kind::Command { input: false, apart, prefixes: names.map(Prefix::new) }
        }
        Some(SSH_SESSION) => Kind::Stdio,
        Some(PORT_FORWARDING | REMOTE_HOST_FORWARDING) => Kind::Port(listen(&request.parameters)?),
        Some(_) | None => Kind::Terminal,
    })
}

/// Where to listen: a port of this machine, 0 or absent for any, or a unix socket.
fn listen(parameters: &Value) -> Result<Listen, BadCall> {
    let text = |name: &str| {
        let value = &parameters[name];
        value.get(0).unwrap_or(value).as_str().unwrap_or_default().to_owned()
    };
    let bad = |name, value, wanted| BadCall::Local { name, value, wanted };
    match text("localConnectionType").as_str() {
        "" | "tcp" => {}
        "unix" => {
            let path = text("localUnixSocket");
            return match path.is_empty() {
                true => Err(bad("localUnixSocket", path, "a path")),
                false => Ok(Listen::Unix(path.into())),
            };
        }
        other => return Err(bad("localConnectionType", other.to_owned(), "tcp or unix")),
    }
    let port = text("localPortNumber");
    let number = if port.is_empty() { Ok(0) } else { port.parse::<u16>() };
    let number = number.map_err(|_| bad("localPortNumber", port, "a number up to 65535"))?;
    Ok(Listen::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), number)))
}

/// Whether `separateOutputStream` is: a list of one text, as the API has it.
fn is_set(parameters: &Value, name: &str) -> bool {
    let value = &parameters[name];
    value.get(0).unwrap_or(value).as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"SessionId":"ada-1","TokenValue":"SECRET","StreamUrl":"wss://g/v1/data-channel/ada-1"}"#;

    fn parse(arguments: &[&str]) -> Result<Session, BadCall> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let variable =
            |name: &str| (name == "AWS_SSM_START_SESSION_RESPONSE").then(|| ANSWER.to_owned());
        match Call::parse(&arguments, variable)? {
            Call::Session(session) => Ok(*session),
            Call::Greeting | Call::Version => panic!("no session"),
        }
    }

    #[test]
    fn the_answer_is_an_argument_or_in_a_variable() {
        let named = parse(&[
            "AWS_SSM_START_SESSION_RESPONSE",
            "eu-1",
            "StartSession",
            "ops",
            "{}",
            "https://g",
        ])
        .unwrap();
        assert_eq!((named.answer.token_value.as_str(), named.region.as_str()), ("SECRET", "eu-1"));
        assert_eq!(
            (named.profile.as_deref(), named.endpoint.as_deref()),
            (Some("ops"), Some("https://g"))
        );
        let given = parse(&[ANSWER, "eu-1", "StartSession", "", "", ""]).unwrap();
        assert_eq!((given.profile, given.endpoint, given.kind), (None, None, Kind::Terminal));
        assert!(parse(&[ANSWER, "eu-1", "StartSession"]).is_ok(), "old tools give no more");
    }

    #[test]
    fn the_document_says_whether_there_is_a_terminal() {
        let kind = |request: &str| {
            parse(&[ANSWER, "eu-1", "StartSession", "", request]).map(|session| session.kind)
        };
        let command =
            |apart| Ok(Kind::Command { input: false, apart, prefixes: Default::default() });
        assert_eq!(kind(r#"{"Target":"mi-1"}"#), Ok(Kind::Terminal));
        assert_eq!(kind(r#"{"DocumentName":"AWS-StartInteractiveCommand"}"#), Ok(Kind::Terminal));
        assert_eq!(kind(r#"{"DocumentName":"AWS-StartNonInteractiveCommand"}"#), command(false));
        let apart = r#"{"DocumentName":"AWS-StartNonInteractiveCommand","Parameters":{"separateOutputStream":["True"]}}"#;
        assert_eq!(kind(apart), command(true));
        assert_eq!(kind(r#"{"DocumentName":"AWS-StartSSHSession"}"#), Ok(Kind::Stdio));
    }

    #[test]
    fn a_port_is_listened_at_where_the_parameters_say() {
        let kind = |parameters: &str| {
            let request = format!(
                r#"{{"DocumentName":"AWS-StartPortForwardingSession","Parameters":{parameters}}}"#
            );
            parse(&[ANSWER, "eu-1", "StartSession", "", &request]).map(|session| session.kind)
        };
        let tcp = |port| Ok(Kind::Port(Listen::Tcp(([127, 0, 0, 1], port).into())));
        assert_eq!(kind(r#"{"portNumber":["80"]}"#), tcp(0));
        assert_eq!(kind(r#"{"portNumber":["80"],"localPortNumber":["8080"]}"#), tcp(8080));
        let unix = r#"{"localConnectionType":["unix"],"localUnixSocket":["/run/x"]}"#;
        assert_eq!(kind(unix), Ok(Kind::Port(Listen::Unix("/run/x".into()))));
        for bad in [
            r#"{"localPortNumber":["70000"]}"#,
            r#"{"localConnectionType":["unix"]}"#,
            r#"{"localConnectionType":["x"]}"#,
        ] {
            assert!(kind(bad).unwrap_err().to_string().contains("expected"), "{bad}");
        }
    }

    #[test]
    fn errors_do_not_contain_the_token() {
        let broken = ANSWER.replace('{', "[");
        for (arguments, word) in [
            (vec!["x"], "at least 3"),
            (vec![ANSWER, "eu-1", "SendCommand"], "`SendCommand`"),
            (vec!["AWS_SSM_START_SESSION_RESPONSE_2", "eu-1", "StartSession"], "_2, which"),
            (vec![broken.as_str(), "eu-1", "StartSession"], "unexpected JSON"),
            (
                vec![
                    r#"{"SessionId":"a","TokenValue":"SECRET","StreamUrl":""}"#,
                    "eu-1",
                    "StartSession",
                ],
                "StreamUrl",
            ),
            (vec![ANSWER, "eu-1", "StartSession", "", "SECRET"], "request to"),
        ] {
            let error = parse(&arguments).err().unwrap().to_string();
            assert!(error.contains(word) && !error.contains("SECRET"), "{error}");
        }
    }
}
