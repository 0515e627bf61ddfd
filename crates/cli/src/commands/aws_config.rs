//! `aws-config`: the profile with which AWS's own tools find the gateway.
//!
//! Data flow: settings -> [`profile`], two sections of text -> standard output, or the end of the
//! tools' configuration file.
//!
//! # Invariants
//! - No access key is in it: keys belong into the credentials file, and are not this command's
//!   business.
//! - What stands in the file stays as it is: sections are added, never changed. The file is
//!   replaced whole or not at all.
//! - Certificates are named by their full path: the tools run in any folder.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::args::Global;
use crate::config::login;
use crate::config::{ConfigError, Environment, Flags, Settings};
use crate::exit::Failure;
use crate::limits::MAX_CONFIG_FILE;
use crate::output::Output;
use crate::platform;

/// The profile's name when none is given.
const NAME: &str = "towline";
/// The gateway's services, by the names of the tools. All of them have the same address.
const SERVICES: [&str; 3] = ["ssm", "sts", "cloudtrail"];
/// Prints the profile, or writes it.
pub(super) fn run(
    global: &Global,
    write: bool,
    env: &Environment,
    output: Output,
) -> Result<(), Failure> {
    let name = global.profile.as_deref().unwrap_or(NAME);
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) || name.is_empty() {
        return Err(Failure::Usage("--profile: expected letters, digits, -, _ and .".to_owned()));
    }
    // The profile is to be made: nothing can be read from it.
    let flags = Flags { profile: None, ..global.flags() };
    let settings = Settings::resolve_keyless(&flags, env)?;
    // Who signed in at this gateway has no key: the tools ask this program.
    let signs_in = login::read(env, &settings.endpoint)?.is_some();
    let profile = profile(name, &settings, signs_in)?;
    if !write {
        return output.text(&profile);
    }
    let path = env.aws_file("AWS_CONFIG_FILE", "config");
    let path = path.ok_or_else(|| {
        Failure::Usage(format!("no configuration file: set {} or AWS_CONFIG_FILE", platform::HOME))
    })?;
    let old = read(&path)?;
    let said = if has(&old, &profile) {
        format!("{} already has this profile\n", path.display())
    } else {
        if let Some(section) = sections(name).into_iter().find(|section| names(&old, section)) {
            return Err(Failure::Usage(format!(
                "{} has a different section {section}: remove it, or choose another name with \
                 --profile",
                path.display()
            )));
        }
        let gap = if old.is_empty() || old.ends_with("\n\n") { "" } else { "\n" };
        let end = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
        platform::replace(&path, &format!("{old}{end}{gap}{profile}"))
            .map_err(local("write", &path))?;
        format!("profile {name} written to {}\n", path.display())
    };
    output.text(&said)?;
    output.text(&format!("test it with: AWS_PROFILE={name} aws sts get-caller-identity\n"))
}

/// How the tools write the headers of the two sections.
fn sections(name: &str) -> [String; 2] {
    let profile =
        if name == "default" { "[default]".to_owned() } else { format!("[profile {name}]") };
    [profile, format!("[services {name}]")]
}

fn profile(name: &str, settings: &Settings, signs_in: bool) -> Result<String, Failure> {
    let [profile, services] = sections(name);
    let mut text = format!("{profile}\nregion = {}\nservices = {name}\n", settings.region);
    if let Some(ca) = &settings.ca {
        let full = fs::canonicalize(ca).map_err(local("find", ca))?;
        text.push_str(&format!("ca_bundle = {}\n", full.display()));
    }
    let endpoint = format!("https://{}", settings.endpoint.authority());
    if signs_in {
        text.push_str(&format!("credential_process = {}\n", process(&endpoint, settings)?));
    }
    text.push_str(&format!("\n{services}\n"));
    for service in SERVICES {
        text.push_str(&format!("{service} =\n  endpoint_url = {endpoint}\n"));
    }
    Ok(text)
}

/// The command that gives the tools the credentials of `towline login` at this gateway.
fn process(endpoint: &str, settings: &Settings) -> Result<String, Failure> {
    let own = std::env::current_exe()
        .map_err(|why| Failure::Local { what: "cannot find this program".to_owned(), why })?;
    let mut words = vec![quoted(&own), "--endpoint".to_owned(), endpoint.to_owned()];
    if let Some(ca) = &settings.ca {
        let full = fs::canonicalize(ca).map_err(local("find", ca))?;
        words.extend(["--ca".to_owned(), quoted(&full)]);
    }
    words.push("credentials".to_owned());
    Ok(words.join(" "))
}

/// A path as the tools split the line: spaces need quotation marks.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(' ') { format!("\"{text}\"") } else { text }
}

/// Whether the file says it already, line by line.
fn has(old: &str, profile: &str) -> bool {
    profile
        .split("\n\n")
        .all(|section| format!("\n{old}\n\n").contains(&format!("\n{}\n", section.trim_end())))
}

/// Whether the file has a section of this header, however it is spaced.
fn names(old: &str, section: &str) -> bool {
    let plain = |text: &str| {
        text.replace('"', "").split_whitespace().collect::<Vec<_>>().join(" ").replace("[ ", "[")
    };
    old.lines().any(|line| plain(line).replace(" ]", "]").starts_with(section))
}

fn local(verb: &str, path: &Path) -> impl Fn(io::Error) -> Failure {
    let what = format!("cannot {verb} {}", path.display());
    move |why| Failure::Local { what: what.clone(), why }
}

fn read(path: &Path) -> Result<String, Failure> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(why) => return Err(local("read", path)(why)),
    };
    let mut text = String::new();
    let read =
        file.take(MAX_CONFIG_FILE + 1).read_to_string(&mut text).map_err(local("read", path))?;
    if read as u64 > MAX_CONFIG_FILE {
        let why = format!("larger than {MAX_CONFIG_FILE} bytes");
        return Err(ConfigError::Unreadable { path: path.display().to_string(), why }.into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found_however_it_is_spaced() {
        for old in [
            "[profile ops]",
            "[ profile  ops ]",
            "[profile \"ops\"] # mine",
            "x = 1\n[profile ops]\ny = 2",
        ] {
            assert!(names(old, "[profile ops]"), "{old}");
        }
        for old in ["", "[profile ops2]", "[services ops]", "# [profile ops]"] {
            assert!(!names(old, "[profile ops]"), "{old}");
        }
    }

    #[test]
    fn a_profile_that_is_there_is_known_again_only_if_it_is_the_same() {
        let profile =
            "[profile t]\nregion = a\n\n[services t]\nssm =\n  endpoint_url = https://g\n";
        assert!(has(&format!("[default]\nx = 1\n\n{profile}"), profile));
        assert!(has(&format!("{profile}\n[profile u]\n"), profile));
        assert!(!has("", profile));
        assert!(!has(&profile.replace("https://g", "https://h"), profile));
    }
}
