//! Own session documents (schema 1.0): what they mean with the parameters of a request.
//!
//! Data flow: a stored text -> [`Content`] -> [`OwnDocument::read`] -> [`OwnDocument::resolve`]
//! with StartSession's parameters and the device's system -> [`Resolved`] -> the gateway's grant.
//!
//! # Invariants
//! - A value goes into a command only after it matched its `allowedPattern` as a whole and stood in
//!   its `allowedValues`; values are put in once, so a value that looks like a placeholder stays a
//!   value.
//! - A placeholder without a parameter, a default that its own rules refuse, and a member that is
//!   not known are refused when the document is stored. A pattern costs linear time, or it is
//!   refused too.
//!
//! # Not here
//! - No quoting. As at AWS the value becomes part of the text that a shell reads: a parameter
//!   without a pattern or a list lets everybody who may start the document run anything
//!   (`docs/policies.md` says so to people).

use regex_lite::Regex;
use serde_json::{Map, Value};

use towline_policy::first_clash;
use towline_wire::canonical;

use super::commands::Commands;
use super::content::{Content, invalid, known, text_of};
use super::names::MAX_COMMAND_BYTES;
use super::parameter::{STDOUT_PREFIX, port_number};
use super::plan::SessionPlan;
use super::preferences::SessionPreferences;
use crate::command_document::Platform;
use crate::documents::Parameters;
use crate::error::{ApiError, ErrorCode};
use crate::parameter_store;
use crate::pattern;

/// Memory a compiled pattern may take, bytes; patterns of AWS's documents take about 10 KiB.
const MAX_PATTERN_PROGRAM: usize = 128 * 1024;
/// Longest pattern, bytes.
const MAX_PATTERN: usize = 1024;
/// Most allowed values of a parameter.
const MAX_ALLOWED_VALUES: usize = 100;

/// What a session is to do, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What it does.
    pub plan: SessionPlan,
    /// What the document itself says about sessions of it.
    pub preferences: SessionPreferences,
    /// Whether the command is to run as root, whatever the device's default user.
    pub elevated: bool,
    /// The values that count, defaults included, for policies.
    pub parameters: Parameters,
}

/// A session document that was checked.
#[derive(Debug)]
pub struct OwnDocument {
    preferences: SessionPreferences,
    parameters: Vec<Parameter>,
    work: Work,
}

/// The `properties`, texts with their placeholders.
#[derive(Debug)]
enum Work {
    Shell,
    Interactive(Commands),
    NonInteractive(Commands),
    Port { host: Option<String>, port: String, local_port: String },
    Ssh { port: String },
}

#[derive(Debug)]
struct Parameter {
    name: String,
    default: Option<String>,
    pattern: Option<(String, Regex)>,
    allowed: Vec<String>,
}

impl OwnDocument {
    /// Reads a session document.
    ///
    /// # Errors
    /// `InvalidDocumentContent`, with the member.
    pub fn read(content: &Content) -> Result<Self, ApiError> {
        const MEMBERS: [&str; 6] =
            ["schemaVersion", "description", "sessionType", "inputs", "parameters", "properties"];
        known(&content.tree, "", &MEMBERS)?;
        let preferences = match content.tree.get("inputs") {
            None | Some(Value::Null) => SessionPreferences::default(),
            Some(Value::Object(inputs)) => SessionPreferences::read(inputs)?,
            Some(_) => return Err(invalid("inputs must be an object")),
        };
        let parameters = match content.tree.get("parameters") {
            Some(Value::Object(parameters)) => {
                if let Some((one, other)) = first_clash(parameters.keys().map(String::as_str)) {
                    return Err(invalid(&format!(
                        "parameters {one} and {other} differ in letter case only"
                    )));
                }
                parameters
                    .iter()
                    .map(|(name, value)| Parameter::read(name, value))
                    .collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        let empty = Map::new();
        let properties = match content.tree.get("properties") {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(invalid("properties must be an object")),
        };
        let work = match text_of(&content.tree, "sessionType")? {
            Some("Standard_Stream") => {
                known(properties, "properties.", &[])?;
                Work::Shell
            }
            Some("InteractiveCommands") => Work::Interactive(Commands::read(properties)?),
            Some("NonInteractiveCommands") => Work::NonInteractive(Commands::read(properties)?),
            Some("Port") => port(properties)?,
            _ => {
                return Err(invalid(
                    "sessionType must be Standard_Stream, InteractiveCommands, \
                     NonInteractiveCommands or Port",
                ));
            }
        };
        let document = Self { preferences, parameters, work };
        document.check_placeholders()?;
        Ok(document)
    }

    /// What the document itself says about sessions.
    #[must_use]
    pub const fn preferences(&self) -> &SessionPreferences {
        &self.preferences
    }

    /// The systems whose devices it can be started on.
    #[must_use]
    pub fn platforms(&self) -> Vec<Platform> {
        match &self.work {
            Work::Interactive(commands) | Work::NonInteractive(commands) => commands.platforms(),
            Work::Shell | Work::Port { .. } | Work::Ssh { .. } => Platform::ALL.to_vec(),
        }
    }

    /// The session that it means with these parameters on a device of this system.
    ///
    /// # Errors
    /// `InvalidParameters`, with the parameter and its rule; `InvalidDocument` when it has no
    /// command for the system.
    pub fn resolve(&self, given: &Parameters, platform: Platform) -> Result<Resolved, ApiError> {
        for (name, values) in given {
            let Some(parameter) = self.parameters.iter().find(|parameter| parameter.name == *name)
            else {
                let names: Vec<_> =
                    self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
                let message = format!(
                    "the document has no parameter of one of the given names; it takes {names:?}"
                );
                return Err(refused(message));
            };
            let [value] = values.as_slice() else {
                return Err(refused(format!("{} takes exactly one value", parameter.name)));
            };
            parameter.check(value).map_err(refused)?;
        }
        if let Some(missing) =
            self.parameters.iter().find(|p| p.default.is_none() && !given.contains_key(&p.name))
        {
            return Err(refused(format!("the document needs the parameter {}", missing.name)));
        }
        let fill = |text: &str| filled(text, |name| self.value(name, given));
        let mut elevated = false;
        let plan = match &self.work {
            Work::Shell => SessionPlan::Shell { run_as: None },
            Work::Interactive(commands) => {
                let command = commands.of(platform)?;
                elevated = command.elevated;
                SessionPlan::InteractiveCommand { command: bounded(fill(&command.commands))? }
            }
            Work::NonInteractive(commands) => {
                let command = commands.of(platform)?;
                elevated = command.elevated;
                SessionPlan::NonInteractiveCommand {
                    command: bounded(fill(&command.commands))?,
                    separate_output: fill(&command.separate_output).eq_ignore_ascii_case("true"),
                    stdout_prefix: prefix(fill(&command.stdout_prefix))?,
                    stderr_prefix: prefix(fill(&command.stderr_prefix))?,
                }
            }
            Work::Port { host, port, local_port } => SessionPlan::Port {
                host: host.as_deref().map(fill).map(host_name).transpose()?,
                port: number("portNumber", &fill(port), 1)?,
                local_port: number("localPortNumber", &fill(local_port), 0)?,
            },
            Work::Ssh { port } => SessionPlan::Ssh { port: number("portNumber", &fill(port), 1)? },
        };
        let parameters = self
            .parameters
            .iter()
            .map(|p| (p.name.clone(), vec![self.value(&p.name, given).to_owned()]))
            .collect();
        Ok(Resolved { plan, preferences: self.preferences.clone(), elevated, parameters })
    }

    fn value<'a>(&'a self, name: &str, given: &'a Parameters) -> &'a str {
        let default =
            || self.parameters.iter().find(|parameter| parameter.name == name)?.default.as_deref();
        given
            .get(name)
            .and_then(|values| values.first().map(String::as_str))
            .or_else(default)
            .unwrap_or_default()
    }

    fn check_placeholders(&self) -> Result<(), ApiError> {
        let texts: Vec<&String> = match &self.work {
            Work::Shell => Vec::new(),
            Work::Interactive(commands) | Work::NonInteractive(commands) => commands.texts(),
            Work::Port { host, port, local_port } => {
                host.iter().chain([port, local_port]).collect()
            }
            Work::Ssh { port } => vec![port],
        };
        for text in &texts {
            parameter_store::refuse("properties", ErrorCode::InvalidDocumentContent, text)?;
        }
        for name in texts.into_iter().flat_map(|text| placeholders(text)) {
            if !self.parameters.iter().any(|parameter| parameter.name == name) {
                return Err(invalid(&format!(
                    "properties use the parameter {name}, which the document does not have"
                )));
            }
        }
        Ok(())
    }
}

impl Parameter {
    fn read(name: &str, value: &Value) -> Result<Self, ApiError> {
        let at = |rule: &str| invalid(&format!("parameters.{name}{rule}"));
        let Value::Object(members) = value else { return Err(at(" must be an object")) };
        known(
            members,
            &format!("parameters.{name}."),
            &["type", "description", "default", "allowedPattern", "allowedValues"],
        )?;
        if members.get("type").and_then(Value::as_str) != Some("String") {
            return Err(at(".type must be String, the only type of session documents"));
        }
        let default = match members.get("default") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => return Err(at(".default must be a text")),
        };
        let pattern = match members.get("allowedPattern") {
            None | Some(Value::Null) => None,
            Some(Value::String(pattern)) => {
                let compiled = whole(pattern)
                    .map_err(|why| at(&format!(".allowedPattern is not taken: {why}")))?;
                Some((pattern.clone(), compiled))
            }
            Some(_) => return Err(at(".allowedPattern must be a text")),
        };
        let allowed = match members.get("allowedValues") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(values)) if (1..=MAX_ALLOWED_VALUES).contains(&values.len()) => {
                values
                    .iter()
                    .map(|value| {
                        value
                            .as_str()
                            .map(str::to_owned)
                            .ok_or_else(|| at(".allowedValues must be texts"))
                    })
                    .collect::<Result<_, _>>()?
            }
            Some(_) => {
                return Err(at(&format!(
                    ".allowedValues must be a list of 1 to {MAX_ALLOWED_VALUES} texts"
                )));
            }
        };
        let parameter = Self { name: name.to_owned(), default, pattern, allowed };
        if let Some(default) = &parameter.default {
            parameter
                .check(default)
                .map_err(|why| at(&format!(".default breaks its own rule: {why}")))?;
        }
        Ok(parameter)
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let name = &self.name;
        if value.contains('\0') || value.len() > MAX_COMMAND_BYTES {
            return Err(format!("{name} must be at most {MAX_COMMAND_BYTES} bytes, without NUL"));
        }
        parameter_store::refuse(name, ErrorCode::InvalidParameters, value)
            .map_err(|error| error.message)?;
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed == value) {
            return Err(format!("{name} must be one of {:?}", self.allowed));
        }
        match &self.pattern {
            Some((pattern, compiled)) if !compiled.is_match(value) => {
                Err(format!("{name} must match {pattern}"))
            }
            _ => Ok(()),
        }
    }
}

/// A pattern for whole values, within its bounds.
fn whole(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("longer than {MAX_PATTERN} bytes"));
    }
    pattern::whole(pattern, MAX_PATTERN_PROGRAM).map_err(|error| error.to_string())
}

fn port(properties: &Map<String, Value>) -> Result<Work, ApiError> {
    known(properties, "properties.", &["portNumber", "localPortNumber", "host", "type"])?;
    let text = |key: &str| {
        let text = text_of(properties, key)
            .map_err(|_| invalid(&format!("properties.{key} must be a text")))?;
        Ok::<_, ApiError>(text.filter(|text| !text.is_empty()).map(str::to_owned))
    };
    let port = text("portNumber")?.ok_or_else(|| invalid("properties.portNumber is missing"))?;
    let (host, local_port) = (text("host")?, text("localPortNumber")?);
    match text("type")?.as_deref() {
        Some("LocalPortForwarding") => {
            Ok(Work::Port { host, port, local_port: local_port.unwrap_or_else(|| "0".to_owned()) })
        }
        None if host.is_none() && local_port.is_none() => Ok(Work::Ssh { port }),
        _ => Err(invalid(
            "properties.type must be LocalPortForwarding, or be left out for the stream of an SSH \
             client",
        )),
    }
}

/// The names between `{{` and `}}`.
fn placeholders(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    filled(text, |name| {
        names.push(name);
        ""
    });
    names
}

/// The text with its placeholders replaced. Braces that enclose no name stay as they are.
fn filled<'t, 'v>(text: &'t str, mut value: impl FnMut(&'t str) -> &'v str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let closed = after.split_once("}}").map(|(name, after)| (name.trim(), after));
        match closed.filter(|(name, _)| is_name(name)) {
            Some((name, after)) => {
                out.push_str(value(name));
                rest = after;
            }
            None => {
                out.push_str("{{");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn bounded(command: String) -> Result<String, ApiError> {
    if command.len() <= MAX_COMMAND_BYTES && !command.is_empty() {
        return Ok(command);
    }
    Err(refused(format!(
        "the command with its parameters must have 1 to {MAX_COMMAND_BYTES} bytes"
    )))
}

fn prefix(text: String) -> Result<String, ApiError> {
    if (STDOUT_PREFIX.allows)(&text) {
        return Ok(text);
    }
    Err(refused(format!("a separator prefix must match {}", STDOUT_PREFIX.allowed_pattern)))
}

fn host_name(text: String) -> Result<String, ApiError> {
    // Policies compare the parameter as it was given: it has to have its one spelling already.
    match canonical::check_host(&text) {
        Ok(()) => Ok(text),
        Err(fault) => Err(refused(format!("host {fault}"))),
    }
}

fn number(what: &str, text: &str, least: u16) -> Result<u16, ApiError> {
    let port = if text.is_empty() && least == 0 { Some(0) } else { port_number(text) };
    port.filter(|port| *port >= least)
        .ok_or_else(|| refused(format!("{what} must be a port, {least} to 65535")))
}

fn refused(message: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidParameters, message)
}
