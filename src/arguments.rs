//! The command line of the agent: parsed, not executed.

use crate::copy::Granted;
use crate::separation::monitor::COMMAND;
use lexopt::{Arg, Parser, ValueExt as _};
use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
towline-agent: remote shell for this device, with no open ports

USAGE
  towline-agent [--config FILE] [--state-dir DIR] COMMAND

COMMANDS
  run                 connect to the gateway and serve sessions until SIGTERM; SIGHUP restarts \
  with the
                      installed program and the current settings, and keeps the sessions.
                      Shells survive agent upgrades but not a crash of the agent
  enroll              enroll this device at a gateway
      --gateway HOST[:PORT]        the gateway; port 8443 unless given
      --activation-id ID           the activation
      --activation-code CODE       its secret; visible in the process list, so prefer one of:
      --activation-code-file FILE  a file, - for standard input
                                   the variable TOWLINE_ACTIVATION_CODE
      --ca FILE                    trust certificates of this CA only (PEM)
      --pin SHA256                 trust this server key only (SHA-256 of its SubjectPublicKeyInfo)
      --authority SHA256           refuse a gateway with another authority; the activation shows it
      --name NAME                  the name of the device
      --tag KEY=VALUE              a tag; may be repeated
      --reenroll                   move an enrolled device to this gateway, with a new key
  status [--json]     show the enrollment and the state of the running agent
  log [--json]        show the command log records that wait on this device for the gateway
  config check        check the configuration; each problem with file and line
  --version           show version and target

FILES
  /etc/towline/agent.toml, /etc/towline/agent.d/*.toml   settings; TOWLINE_* variables win
  /var/lib/towline                                       key and enrollment

EXIT STATUS
  0 success   1 failure   2 usage error   69 gateway unreachable   77 refused   78 invalid \
  configuration or enrollment
";

/// A command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--takes-over`: report whether `run` can resume sessions that are written in this form.
    pub takes_over: Option<u16>,
    /// The command.
    pub command: Command,
}

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve sessions.
    Run,
    /// Enroll the device.
    Enroll(Box<Enroll>),
    /// Show enrollment and agent.
    Status {
        /// As JSON.
        json: bool,
    },
    /// Show the records that wait for the gateway.
    Log {
        /// As JSON.
        json: bool,
    },
    /// Check the configuration.
    ConfigCheck,
    /// Serve the files of one path on standard input and output. The agent starts it.
    Copy(Granted),
    /// Be a network process of the agent on standard input and output. The agent starts it.
    Network,
    /// Print the version.
    Version,
    /// Print [`HELP`].
    Help,
}

/// Where the activation code comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum CodeSource {
    /// The command line.
    Given(String),
    /// A file; `-` is standard input.
    File(PathBuf),
    /// `TOWLINE_ACTIVATION_CODE`.
    Variable,
}

/// Without the code.
impl std::fmt::Debug for CodeSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given",
            Self::File(_) => "File",
            Self::Variable => "Variable",
        })
    }
}

/// Arguments of `enroll`.
#[derive(Debug, PartialEq, Eq)]
pub struct Enroll {
    /// `HOST[:PORT]`.
    pub gateway: String,
    /// The activation.
    pub activation_id: String,
    /// Its secret.
    pub code: CodeSource,
    /// PEM file.
    pub ca: Option<PathBuf>,
    /// Hexadecimal digits.
    pub pin: Option<String>,
    /// SHA-256 of the key that signs grants, in hexadecimal digits.
    pub authority: Option<String>,
    /// Wanted name.
    pub name: String,
    /// Wanted tags.
    pub tags: Vec<(String, String)>,
    /// Move an enrolled device.
    pub reenroll: bool,
}

/// Reads a command line (without the program's name).
///
/// # Errors
/// A sentence for the user.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, String> {
    read(Parser::from_args(arguments)).map_err(|error| error.to_string())
}

/// Hidden: the agent starts its own program with it.
pub const COPY: &str = "serve-copy";

fn read(mut parser: Parser) -> Result<Arguments, lexopt::Error> {
    let (mut config, mut state_dir, mut json, mut words) = (None, None, false, Vec::new());
    let (mut takes_over, mut follow) = (None, false);
    let mut enroll = Loose::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('V') | Arg::Long("version") => words = vec!["version".to_owned()],
            Arg::Short('h') | Arg::Long("help") => words = vec!["help".to_owned()],
            Arg::Long("config") => config = Some(parser.value()?.into()),
            Arg::Long("state-dir") => state_dir = Some(parser.value()?.into()),
            Arg::Long("json") => json = true,
            Arg::Long("takes-over") => takes_over = Some(parser.value()?.parse()?),
            Arg::Long("follow") if words.first().is_some_and(|word| word == COPY) => follow = true,
            Arg::Value(word) if words.len() < 2 || (words.len() == 2 && words[0] == COPY) => {
                words.push(word.string()?)
            }
            Arg::Long(name) if words.first().is_some_and(|word| word == "enroll") => {
                let name = name.to_owned();
                if !enroll.take(&name, &mut parser)? {
                    return Err(format!("unknown option --{name}, see --help").into());
                }
            }
            other => return Err(format!("{}, see --help", other.unexpected()).into()),
        }
        if words.first().is_some_and(|word| word == "version" || word == "help") {
            break;
        }
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let command = match words[..] {
        ["run"] => Command::Run,
        ["enroll"] => Command::Enroll(Box::new(enroll.strict()?)),
        ["status"] => Command::Status { json },
        ["log"] => Command::Log { json },
        ["config", "check"] => Command::ConfigCheck,
        [COPY, way @ ("put" | "get"), path] => {
            Command::Copy(Granted { put: way == "put", follow, path: path.to_owned() })
        }
        [COMMAND] => Command::Network,
        ["version"] => Command::Version,
        ["help"] => Command::Help,
        [] => {
            return Err(
                "a command is missing: run, enroll, status, log or config check; see --help".into(),
            );
        }
        _ => return Err(format!("unknown command \"{}\", see --help", words.join(" ")).into()),
    };
    if takes_over.is_some() && command != Command::Run {
        return Err("--takes-over is a question about run".into());
    }
    Ok(Arguments { config, state_dir, takes_over, command })
}

/// Options of `enroll` as they come.
#[derive(Default)]
struct Loose {
    gateway: Option<String>,
    activation_id: Option<String>,
    code: Option<CodeSource>,
    ca: Option<PathBuf>,
    pin: Option<String>,
    authority: Option<String>,
    name: Option<String>,
    tags: Vec<(String, String)>,
    reenroll: bool,
}

impl Loose {
    fn take(&mut self, option: &str, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        match option {
            "gateway" => self.gateway = Some(parser.value()?.string()?),
            "activation-id" => self.activation_id = Some(parser.value()?.string()?),
            "activation-code" => self.code = Some(CodeSource::Given(parser.value()?.string()?)),
            "activation-code-file" => self.code = Some(CodeSource::File(parser.value()?.into())),
            "ca" => self.ca = Some(parser.value()?.into()),
            "pin" => self.pin = Some(parser.value()?.string()?),
            "authority" => self.authority = Some(parser.value()?.string()?),
            "name" => self.name = Some(parser.value()?.string()?),
            "tag" => {
                let tag = parser.value()?.string()?;
                let (key, value) = tag.split_once('=').ok_or("--tag needs KEY=VALUE")?;
                self.tags.push((key.to_owned(), value.to_owned()));
            }
            "reenroll" => self.reenroll = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn strict(self) -> Result<Enroll, lexopt::Error> {
        if self.ca.is_some() && self.pin.is_some() {
            return Err("--ca and --pin exclude each other".into());
        }
        Ok(Enroll {
            gateway: self.gateway.ok_or("enroll needs --gateway HOST[:PORT]")?,
            activation_id: self.activation_id.ok_or("enroll needs --activation-id ID")?,
            code: self.code.unwrap_or(CodeSource::Variable),
            ca: self.ca,
            pin: self.pin,
            authority: self.authority,
            name: self.name.unwrap_or_default(),
            tags: self.tags,
            reenroll: self.reenroll,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_may_stand_before_and_behind_the_command() {
        for line in ["--config /a run", "run --config /a", "run --config=/a"] {
            let config = Some("/a".into());
            let expected =
                Arguments { config, state_dir: None, takes_over: None, command: Command::Run };
            assert_eq!(read(line).unwrap(), expected);
        }
    }

    #[test]
    fn an_enrollment_has_all_its_parts() {
        let line = "enroll --gateway g --activation-id i --activation-code-file - --pin ab --name \
                    n --tag a=b=c --tag d=";
        let Command::Enroll(enroll) = read(line).unwrap().command else {
            panic!("not an enrollment")
        };
        assert_eq!(
            (enroll.gateway.as_str(), enroll.code.clone()),
            ("g", CodeSource::File("-".into()))
        );
        assert_eq!(enroll.tags, [("a".into(), "b=c".into()), ("d".into(), String::new())]);
        assert!(!enroll.reenroll);
    }

    #[test]
    fn without_a_code_it_is_taken_from_the_environment() {
        let Command::Enroll(enroll) = read("enroll --gateway g --activation-id i").unwrap().command
        else {
            panic!()
        };
        assert_eq!(enroll.code, CodeSource::Variable);
    }

    #[test]
    fn mistakes_are_told_in_words() {
        for (line, text) in [
            ("", "a command is missing"),
            ("fly", "unknown command \"fly\""),
            ("config", "unknown command"),
            ("enroll", "enroll needs --gateway"),
            ("enroll --gateway g --activation-id i --ca a --pin b", "exclude each other"),
            ("enroll --gateway g --activation-id i --tag x", "KEY=VALUE"),
            ("run --wings", "'--wings', see --help"),
            ("run --takes-over soon", "soon"),
            ("status --takes-over 1", "about run"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(text), "{line}: {error}");
        }
    }

    #[test]
    fn a_code_never_shows_in_a_debug_print() {
        let read = read("enroll --gateway g --activation-id i --activation-code hunter2").unwrap();
        assert!(!format!("{read:?}").contains("hunter2"));
    }
}
