//! The text of the configuration: keys, values, and the place of each. Checks the syntax only.
//!
//! Later sources win: `agent.toml`, the files of `agent.d/` by name, `TOWLINE_*` variables. The
//! variable of `sessions.max` is `TOWLINE_SESSIONS_MAX`; commas separate the items of a list
//! there.

use crate::limits;
use crate::sys::owner::other_writer;
use nix::unistd::geteuid;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// A value, before it means anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
    /// A list of strings.
    List(Vec<String>),
    /// Anything that no key wants, by its name in TOML.
    Other(&'static str),
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, counted from 1; 0 for the file as a whole.
    File(PathBuf, usize),
    /// A variable of the environment.
    Variable(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, 0) => write!(f, "{}", path.display()),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "${name}"),
        }
    }
}

/// One setting as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `key` or `table.key`.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Where.
    pub place: Place,
}

/// Something to be told about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// True if the agent cannot start with it.
    pub fatal: bool,
    /// What is wrong and what to do.
    pub text: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.place, if self.fatal { "error" } else { "warning" }, self.text)
    }
}

/// All entries of the main file and of the directory beside it (`agent.toml` -> `agent.d/*.toml`).
/// A main file that is missing is an empty one, unless it was asked for by name.
pub fn read_files(main: &Path, must_exist: bool, findings: &mut Vec<Finding>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut files = vec![main.to_owned()];
    files.extend(files_beside(main, findings));
    for file in files {
        match read(&file) {
            Ok((text, other_writer)) => {
                findings.extend(other_writer.map(|why| Finding {
                    place: Place::File(file.clone(), 0),
                    fatal: false,
                    text: format!("{why}, and the agent obeys it: chown root and chmod go-w it"),
                }));
                parse(&file, &text, &mut entries, findings);
            }
            Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => {}
            Err(error) => findings.push(Finding {
                place: Place::File(file, 0),
                fatal: true,
                text: format!("cannot be read: {error}"),
            }),
        }
    }
    entries
}

/// The files of `agent.d`. One that is passed over could be what closes the device: it is fatal.
fn files_beside(main: &Path, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let folder = main.with_extension("d");
    let listed = fs::read_dir(&folder)
        .and_then(|dir| dir.map(|entry| entry.map(|entry| entry.path())).collect());
    let mut files: Vec<PathBuf> = match listed {
        Ok(files) => files,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Vec::new();
        }
        Err(error) => {
            let text = format!("cannot be read: {error}");
            findings.push(Finding { place: Place::File(folder, 0), fatal: true, text });
            return Vec::new();
        }
    };
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let most = limits::CONFIG_FILES;
    if files.len() > most {
        let text = format!("has {} files, and at most {most} are read: join some", files.len());
        findings.push(Finding { place: Place::File(folder, 0), fatal: true, text });
    }
    files.truncate(most);
    files
}

/// The text of a file, and why it may be somebody else's.
fn read(file: &Path) -> io::Result<(String, Option<&'static str>)> {
    let mut text = String::new();
    let opened = File::open(file)?;
    let about = opened.metadata()?;
    let read = opened.take(limits::CONFIG_FILE as u64 + 1).read_to_string(&mut text)?;
    if read > limits::CONFIG_FILE {
        return Err(io::Error::other(format!("it has more than {} bytes", limits::CONFIG_FILE)));
    }
    Ok((text, other_writer(about.uid(), about.mode(), geteuid().as_raw())))
}

/// The entries of one file's text.
pub fn parse(file: &Path, text: &str, entries: &mut Vec<Entry>, findings: &mut Vec<Finding>) {
    let place = |span: Range<usize>| Place::File(file.to_owned(), line_of(text, span.start));
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let place = place(error.span().unwrap_or(0..0));
            findings.push(Finding {
                place,
                fatal: true,
                text: format!("not TOML: {}", error.message()),
            });
            return;
        }
    };
    let first = entries.len();
    for (key, value) in table.get_ref() {
        let name = key.get_ref();
        if let DeValue::Table(inner) = value.get_ref() {
            for (key, value) in inner {
                let key_text = format!("{name}.{}", key.get_ref());
                entries.push(Entry {
                    key: key_text,
                    value: value_of(value.get_ref()),
                    place: place(key.span()),
                });
            }
        } else {
            entries.push(Entry {
                key: name.to_string(),
                value: value_of(value.get_ref()),
                place: place(key.span()),
            });
        }
    }
    // The parser orders by name; people read by line.
    entries[first..].sort_by_key(|entry| match entry.place {
        Place::File(_, line) => line,
        Place::Variable(_) => 0,
    });
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn value_of(value: &DeValue<'_>) -> Value {
    let texts = |list: &toml::de::DeArray<'_>| {
        list.iter()
            .map(|item| item.get_ref().as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
    };
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("number too large"), Value::Number),
        DeValue::Array(list) => {
            texts(list).map_or(Value::Other("list that does not hold strings only"), Value::List)
        }
        other => Value::Other(other.type_str()),
    }
}

/// The entries that variables of the environment make for these keys.
pub fn read_variables(keys: &[&str], variable: impl Fn(&str) -> Option<String>) -> Vec<Entry> {
    keys.iter()
        .filter_map(|key| {
            let name = format!("TOWLINE_{}", key.to_ascii_uppercase().replace('.', "_"));
            let value = Value::Text(variable(&name)?);
            Some(Entry { key: (*key).to_owned(), value, place: Place::Variable(name) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, Value, usize)], problem: Option<&str>) {
        let (mut entries, mut findings) = (Vec::new(), Vec::new());
        parse(Path::new("a.toml"), text, &mut entries, &mut findings);
        let expected: Vec<_> = expected
            .iter()
            .map(|(key, value, line)| Entry {
                key: (*key).to_owned(),
                value: value.clone(),
                place: Place::File("a.toml".into(), *line),
            })
            .collect();
        assert_eq!(entries, expected);
        assert_eq!(findings.first().map(ToString::to_string).is_some(), problem.is_some());
        if let (Some(finding), Some(problem)) = (findings.first(), problem) {
            assert!(finding.to_string().contains(problem), "{finding}");
        }
    }

    #[test]
    fn keys_are_known_by_their_table_and_their_line() {
        check(
            "log = \"debug\"\n\n[sessions]\nmax = 3\n",
            &[("log", Value::Text("debug".into()), 1), ("sessions.max", Value::Number(3), 4)],
            None,
        );
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_with_its_line() {
        check("log = \"info\"\nmax = = 3\n", &[], Some("a.toml:2: error: not TOML"));
    }

    #[test]
    fn variables_are_named_after_keys() {
        let found = read_variables(&["sessions.max", "log"], |name| {
            (name == "TOWLINE_SESSIONS_MAX").then(|| "4".into())
        });
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].key.as_str(), &found[0].value),
            ("sessions.max", &Value::Text("4".into()))
        );
    }

    #[test]
    fn the_files_beside_the_main_one_are_read_in_the_order_of_their_names() {
        let temp = tempfile::tempdir().unwrap();
        let main = temp.path().join("agent.toml");
        let beside = temp.path().join("agent.d");
        fs::create_dir(&beside).unwrap();
        for (path, text) in [
            (main.clone(), "log = \"1\""),
            (beside.join("b.toml"), "log = \"3\""),
            (beside.join("a.toml"), "log = \"2\""),
            (beside.join("x.bak"), "log = \"9\""),
        ] {
            crate::state::atomic::replace(&path, text.as_bytes(), 0o600).unwrap();
        }
        let mut findings = Vec::new();
        let values: Vec<_> =
            read_files(&main, true, &mut findings).into_iter().map(|entry| entry.value).collect();
        assert_eq!(values, ["1", "2", "3"].map(|text| Value::Text(text.into())));
        assert!(findings.is_empty());
    }

    #[test]
    fn what_is_not_read_whole_is_fatal() {
        let temp = tempfile::tempdir().unwrap();
        let main = temp.path().join("agent.toml");
        let told = |findings: &[Finding], words: &str| {
            assert!(
                findings.iter().any(|one| one.fatal && one.text.contains(words)),
                "{findings:?}"
            );
        };
        let long = format!("log = \"info\"\n{}", "#\n".repeat(limits::CONFIG_FILE / 2));
        crate::state::atomic::replace(&main, long.as_bytes(), 0o600).unwrap();
        let mut findings = Vec::new();
        read_files(&main, true, &mut findings);
        told(&findings, "it has more than");

        crate::state::atomic::replace(&main, b"", 0o600).unwrap();
        let beside = temp.path().join("agent.d");
        fs::create_dir(&beside).unwrap();
        for number in 0..=limits::CONFIG_FILES {
            let file = beside.join(format!("{number:03}.toml"));
            crate::state::atomic::replace(&file, b"", 0o600).unwrap();
        }
        let mut findings = Vec::new();
        read_files(&main, true, &mut findings);
        told(&findings, "are read: join some");
    }

    #[test]
    fn a_file_that_others_can_write_is_obeyed_with_a_warning() {
        let temp = tempfile::tempdir().unwrap();
        let main = temp.path().join("agent.toml");
        crate::state::atomic::replace(&main, b"log = \"1\"", 0o664).unwrap();
        fs::set_permissions(&main, PermissionsExt::from_mode(0o664)).unwrap();
        let mut findings = Vec::new();
        assert_eq!(read_files(&main, true, &mut findings).len(), 1);
        assert!(!findings[0].fatal);
        assert!(findings[0].to_string().contains("other users can write it"), "{}", findings[0]);
    }
}
