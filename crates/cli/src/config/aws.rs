//! The files of AWS's tools: profiles with access keys, regions and endpoints.
//!
//! Data flow: `~/.aws/config` and `~/.aws/credentials` -> [`Sections`] -> [`Profile`]. Where both
//! say something of a profile, the credentials file wins for keys, as in AWS's tools.
//!
//! # Invariants
//! - Errors name file and line, never what the line says: it may be a secret.
//!
//! # Not here
//! - Roles, single sign-on and credential processes: what a profile names of those is told in
//!   [`Profile::hint`].

use std::collections::HashMap;
use std::path::Path;

use super::error::ConfigError;
use super::raw::{Environment, read_bounded};

/// One profile. It contains secrets, so it has no `Debug`.
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) access_key: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) session_token: Option<String>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) ca: Option<String>,
    /// What to do if it has no keys.
    pub(super) hint: &'static str,
}

impl Profile {
    /// Reads the profile of this name, `default` when there is none. A named one must exist.
    pub(super) fn read(env: &Environment, name: Option<&str>) -> Result<Self, ConfigError> {
        let config = Sections::read(env.aws_file("AWS_CONFIG_FILE", "config").as_deref())?;
        let keys =
            Sections::read(env.aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials").as_deref())?;
        let wanted = name.unwrap_or("default");
        let of_config = config.get(&format!("profile {wanted}")).or_else(|| config.get(wanted));
        let of_keys = keys.get(wanted);
        if name.is_some_and(|name| name != "default") && of_config.is_none() && of_keys.is_none() {
            return Err(ConfigError::NoProfile(wanted.to_owned()));
        }
        let in_config = |key: &str| of_config.and_then(|section| section.get(key)).cloned();
        let in_both = |key: &str| {
            of_keys.and_then(|section| section.get(key)).cloned().or_else(|| in_config(key))
        };
        let services =
            in_config("services").and_then(|name| config.get(&format!("services {name}")));
        let of_service = services.and_then(|section| section.get("ssm.endpoint_url")).cloned();
        let elsewhere = ["role_arn", "sso_session", "sso_start_url", "credential_process"];
        Ok(Self {
            name: wanted.to_owned(),
            access_key: in_both("aws_access_key_id"),
            secret: in_both("aws_secret_access_key"),
            session_token: in_both("aws_session_token"),
            region: in_both("region"),
            endpoint: of_service.or_else(|| in_both("endpoint_url")),
            ca: in_both("ca_bundle"),
            hint: if elsewhere.iter().any(|key| in_both(key).is_some()) {
                "the profile gets its key from a role, single sign-on or a process, which towline \
                 does not support; set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
                 AWS_SESSION_TOKEN"
            } else {
                "sign in with `towline login`, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                 add aws_access_key_id and aws_secret_access_key to ~/.aws/credentials"
            },
        })
    }
}

/// A file as sections of keys and values. A key below an indented one is written `outer.inner`.
#[derive(Default)]
struct Sections(HashMap<String, HashMap<String, String>>);

impl Sections {
    fn read(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let Some(text) = read_bounded(path)? else { return Ok(Self::default()) };
        Self::parse(&text)
            .map_err(|why| ConfigError::Malformed { path: path.display().to_string(), why })
    }

    fn get(&self, section: &str) -> Option<&HashMap<String, String>> {
        self.0.get(section)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        let (mut section, mut outer) = (None, String::new());
        for (number, line) in text.lines().enumerate() {
            let bad = |what: &str| format!("line {}: {what}", number + 1);
            let content = line.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = content.strip_prefix('[') {
                let (name, _) =
                    header.split_once(']').ok_or_else(|| bad("a section must end with ]"))?;
                let name = name.split_whitespace().collect::<Vec<_>>().join(" ").replace('"', "");
                all.0.entry(name.clone()).or_default();
                (section, outer) = (Some(name), String::new());
                continue;
            }
            let (key, value) =
                content.split_once('=').ok_or_else(|| bad("expected `key = value`"))?;
            let section = section.as_ref().and_then(|name| all.0.get_mut(name));
            let section = section.ok_or_else(|| bad("a key precedes the first [section]"))?;
            let key = key.trim().to_ascii_lowercase();
            let inner = line.starts_with(char::is_whitespace) && !outer.is_empty();
            let full = if inner { format!("{outer}.{key}") } else { key.clone() };
            if !inner {
                outer = if value.trim().is_empty() { key } else { String::new() };
            }
            section.insert(full, without_comment(value).to_owned());
        }
        Ok(all)
    }
}

/// A comment behind a value begins with white space and `#` or `;`.
fn without_comment(value: &str) -> &str {
    let end = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| value.find(mark)).min();
    value[..end.unwrap_or(value.len())].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_comments_and_nested_keys_are_understood() {
        let text = "# c\n[default]\nregion = eu-west-1 # here\n[profile  \"a b\"]\nkey=v#alue\n\
                    [services x]\nssm =\n  endpoint_url = https://g\ns3 =\n  endpoint_url = \
                    https://s\nplain = 1\n";
        let sections = Sections::parse(text).unwrap();
        let get = |section: &str, key: &str| {
            sections.get(section).and_then(|s| s.get(key)).map(String::as_str)
        };
        assert_eq!(get("default", "region"), Some("eu-west-1"));
        assert_eq!(get("profile a b", "key"), Some("v#alue"));
        assert_eq!(get("services x", "ssm.endpoint_url"), Some("https://g"));
        assert_eq!(get("services x", "s3.endpoint_url"), Some("https://s"));
        assert_eq!(get("services x", "plain"), Some("1"));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_and_not_repeated() {
        for (text, line) in
            [("[a\n", "line 1"), ("[a]\nSECRET\n", "line 2"), ("SECRET=1\n", "line 1")]
        {
            let error = Sections::parse(text).err().unwrap();
            assert!(error.starts_with(line) && !error.contains("SECRET"), "{error}");
        }
    }
}
