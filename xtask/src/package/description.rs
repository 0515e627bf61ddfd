//! What a package holds: `packaging/<program>.toml`, and the scripts that go with a format.

use std::collections::BTreeMap;

use serde::Deserialize;
use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble};

use super::Format;
use crate::dist::build::commit_time;
use crate::dist::class::Program;

/// One program's packages. Unknown keys are mistakes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    name: String,
    pub(crate) program: Program,
    summary: String,
    description: String,
    license: String,
    homepage: String,
    maintainer: String,
    section: String,
    /// Directory that a purge removes; with it there is a service, and there are scripts.
    state: Option<String>,
    /// What systemctl or OpenRC is asked to do with a running service in an upgrade.
    upgrade: Option<String>,
    pub(crate) formats: Vec<Format>,
    #[serde(rename = "file")]
    files: Vec<FileLine>,
    #[serde(default, rename = "directory")]
    directories: Vec<DirectoryLine>,
    #[serde(default)]
    pub(super) made: Vec<MadeLine>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLine {
    /// A file of the tree, or `program`.
    from: String,
    to: String,
    #[serde(default = "readable")]
    mode: u32,
    /// The administrator's: never overwritten.
    #[serde(default)]
    config: bool,
    /// Not in all formats.
    only: Option<Vec<Format>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectoryLine {
    path: String,
    mode: u32,
    only: Option<Vec<Format>>,
}

/// What the program itself writes: manual pages, completions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MadeLine {
    /// Its arguments.
    pub(super) run: Vec<String>,
    /// A file, which gets what is printed; or a folder (with a slash at its end), whose name
    /// follows the arguments.
    pub(super) to: String,
    /// Not in all formats.
    pub(super) only: Option<Vec<Format>>,
}

const fn readable() -> u32 {
    0o644
}

/// What one package of one format holds.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) description: String,
    pub(crate) license: String,
    pub(crate) homepage: String,
    pub(crate) maintainer: String,
    pub(crate) section: String,
    /// Seconds since 1970, for every time that is written.
    pub(crate) time: u64,
    /// Sorted by path; parents before children.
    pub(crate) entries: Vec<Entry>,
    /// By what the format calls them.
    pub(crate) scripts: BTreeMap<String, String>,
}

/// A file or directory.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Absolute.
    pub(crate) path: String,
    pub(crate) mode: u32,
    /// `None`: a directory.
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) config: bool,
}

impl Description {
    /// Reads one.
    ///
    /// # Errors
    /// It has a mistake.
    pub(crate) fn read(name: &str) -> Outcome<Self> {
        let path = workspace().join("packaging").join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&path)
            .map_err(|e| Trouble::new(format!("{}: {e}", path.display())))?;
        toml::from_str(&text).map_err(|e| Trouble::new(format!("{}: {e}", path.display())))
    }

    /// Gathers what a package of this format holds.
    ///
    /// # Errors
    /// A file that it names is not there.
    pub(crate) fn content(
        &self,
        format: Format,
        program: &[u8],
        version: &str,
    ) -> Outcome<Content> {
        let here =
            |only: &Option<Vec<Format>>| only.as_ref().is_none_or(|only| only.contains(&format));
        let mut entries = Vec::new();
        for line in self.files.iter().filter(|line| here(&line.only)) {
            let bytes = if line.from == "program" { program.to_vec() } else { read(&line.from)? };
            let (path, mode, config) = (line.to.clone(), line.mode, line.config);
            entries.push(Entry { path, mode, bytes: Some(bytes), config });
        }
        for line in self.directories.iter().filter(|line| here(&line.only)) {
            entries.push(Entry {
                path: line.path.clone(),
                mode: line.mode,
                bytes: None,
                config: false,
            });
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Content {
            name: self.name.clone(),
            version: version.to_owned(),
            summary: self.summary.clone(),
            description: self.description.trim().to_owned(),
            license: self.license.clone(),
            homepage: self.homepage.clone(),
            maintainer: self.maintainer.clone(),
            section: self.section.clone(),
            time: commit_time()?,
            entries,
            scripts: self.scripts(format)?,
        })
    }

    /// The scripts of a service's package; a program that is no service has none.
    fn scripts(&self, format: Format) -> Outcome<BTreeMap<String, String>> {
        let (Some(state), Some(upgrade)) = (&self.state, &self.upgrade) else {
            return Ok(BTreeMap::new());
        };
        let (prefix, names): (&str, &[&str]) = match format {
            Format::Deb => ("deb", &["postinst", "prerm", "postrm"]),
            Format::Rpm => ("rpm", &["post", "preun"]),
            Format::Apk => ("apk", &["post-install", "post-upgrade", "pre-deinstall"]),
            Format::Ipk => ("openwrt", &["postinst", "prerm"]),
            Format::Tarball => ("", &[]),
        };
        let mut scripts = BTreeMap::new();
        for name in names {
            let text = String::from_utf8(read(&format!("packaging/scripts/{prefix}.{name}"))?)?;
            let text = text
                .replace("@name@", &self.name)
                .replace("@state@", state)
                .replace("@upgrade@", upgrade);
            scripts.insert((*name).to_owned(), text);
        }
        Ok(scripts)
    }
}

impl Content {
    /// Adds files.
    pub(super) fn add(&mut self, more: Vec<Entry>) {
        self.entries.extend(more);
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// Paths of the administrator's files.
    pub(crate) fn config_files(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|entry| entry.config).map(|entry| entry.path.as_str())
    }

    /// What it takes on the disk, bytes, without what file systems add.
    pub(crate) fn installed_bytes(&self) -> usize {
        self.entries.iter().filter_map(|entry| entry.bytes.as_ref()).map(Vec::len).sum()
    }
}

fn read(name: &str) -> Outcome<Vec<u8>> {
    let path = workspace().join(name);
    std::fs::read(&path).map_err(|e| Trouble::new(format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 5] =
        [Format::Deb, Format::Rpm, Format::Apk, Format::Ipk, Format::Tarball];

    #[test]
    fn every_description_can_be_packed_in_each_of_its_formats() {
        for name in ["agent", "gateway", "cli"] {
            let description = Description::read(name).unwrap();
            for format in &description.formats {
                let content = description.content(*format, b"program", "1.2.3").unwrap();
                assert!(
                    content.entries.iter().any(|e| e.path.starts_with("/usr/bin/")),
                    "{name} {format:?}"
                );
                let left = content.scripts.values().find(|script| script.contains('@'));
                assert!(left.is_none(), "{name} {format:?}: a placeholder is left in {left:?}");
            }
        }
    }

    #[test]
    fn no_package_of_the_agent_carries_an_identity() {
        for format in FORMATS {
            let content =
                Description::read("agent").unwrap().content(format, b"program", "1.2.3").unwrap();
            let inside = |e: &&Entry| {
                e.path.starts_with("/var/lib/towline/") || e.path.starts_with("/etc/towline/state")
            };
            assert_eq!(content.entries.iter().find(inside).map(|e| &e.path), None, "{format:?}");
        }
    }

    #[test]
    fn the_configuration_belongs_to_the_administrator() {
        for format in FORMATS {
            let content =
                Description::read("agent").unwrap().content(format, b"program", "1.2.3").unwrap();
            assert_eq!(
                content.config_files().collect::<Vec<_>>(),
                ["/etc/towline/agent.toml"],
                "{format:?}"
            );
        }
    }
}
