//! The sources of settings: flags, environment, and `config.toml`.
//!
//! # Invariants
//! - The environment is read once, at the start; tests bring their own.
//! - An unknown key in `config.toml` is an error, so that a misspelt key is noticed.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::ConfigError;
use crate::limits::MAX_CONFIG_FILE;
use crate::platform;

/// Flags of the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// `--endpoint`.
    pub endpoint: Option<String>,
    /// `--ca`.
    pub ca: Option<PathBuf>,
    /// `--region`.
    pub region: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
}

/// The environment variables. Secrets may be among them, so there is no `Debug`.
#[derive(Default)]
pub(crate) struct Environment(HashMap<String, String>);

impl Environment {
    /// Those of this process. A value that is not UTF-8 counts as absent.
    #[must_use]
    pub(crate) fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(k, v)| {
                    Some((platform::variable_name(k.into_string().ok()?), v.into_string().ok()?))
                })
                .collect(),
        )
    }

    /// A variable; an empty one counts as absent.
    #[must_use]
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// The own file: `TOWLINE_CONFIG`, or `towline/config.toml` in the configuration folder.
    #[must_use]
    pub(crate) fn own_file(&self) -> Option<PathBuf> {
        if let Some(path) = self.text("TOWLINE_CONFIG") {
            return Some(path.into());
        }
        platform::own_folder(|name| self.text(name)).map(|folder| folder.join("config.toml"))
    }

    /// A file of AWS's tools: the variable, or its usual place.
    #[must_use]
    pub(crate) fn aws_file(&self, variable: &str, usual: &str) -> Option<PathBuf> {
        match self.text(variable) {
            Some(path) => Some(self.expand(&path)),
            None => Some(PathBuf::from(self.text(platform::HOME)?).join(".aws").join(usual)),
        }
    }

    /// A path from a file, where `~/` is the home folder.
    #[must_use]
    pub(crate) fn expand(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.text(platform::HOME)) {
            (Some(rest), Some(home)) => Path::new(&home).join(rest),
            _ => PathBuf::from(path),
        }
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}

/// `config.toml` of this program.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OwnFile {
    pub(super) endpoint: Option<String>,
    pub(super) ca: Option<String>,
    pub(super) region: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) user: Option<String>,
}

impl OwnFile {
    /// Reads the file; empty if it does not exist, unless `TOWLINE_CONFIG` names it.
    pub(super) fn read(env: &Environment) -> Result<Self, ConfigError> {
        let Some(path) = env.own_file() else { return Ok(Self::default()) };
        let text = match read_bounded(&path)? {
            Some(text) => text,
            None if env.text("TOWLINE_CONFIG").is_none() => return Ok(Self::default()),
            None => {
                return Err(ConfigError::Unreadable {
                    path: path.display().to_string(),
                    why: "TOWLINE_CONFIG names it, and there is no such file".to_owned(),
                });
            }
        };
        toml::from_str(&text).map_err(|error| {
            let path = path.display().to_string();
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            ConfigError::Malformed {
                path: line.map_or_else(|| path.clone(), |line| format!("{path}:{line}")),
                why: error.message().to_owned(),
            }
        })
    }
}

/// The text of a file; nothing if the file does not exist.
pub(super) fn read_bounded(path: &Path) -> Result<Option<String>, ConfigError> {
    let unreadable =
        |why: String| ConfigError::Unreadable { path: path.display().to_string(), why };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let mut text = String::new();
    let read = file
        .take(MAX_CONFIG_FILE + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(error.to_string()))?;
    if read as u64 > MAX_CONFIG_FILE {
        return Err(unreadable(format!("it is larger than {MAX_CONFIG_FILE} bytes")));
    }
    Ok(Some(text))
}
