//! An order to enroll: from an image, mounted media, the environment or the boot loader, before
//! a user can log in.
//!
//! | source | form |
//! |---|---|
//! | environment | `TOWLINE_ENROLL_GATEWAY`, `_ACTIVATION_ID`, `_ACTIVATION_CODE`, `_CA`, `_PIN`, `_NAME`, `_TAGS` (`a=b,c=d`) |
//! | `/etc/towline/enroll.toml`, then `towline/enroll.toml` on the boot partition or mounted media | keys of the same names, and a table `tags` |
//! | the kernel's command line | `towline.gateway=`, `towline.activation_id=`, ... |
//!
//! The first source with any of these keys is used alone. Names and tags may hold `{hostname}`,
//! `{serial}`, `{machine}`.
//!
//! # Invariants
//! - A file is an order only if root alone could have written it, and a CA beside it likewise
//!   ([`super::trusted`]). A file that is not trusted is passed over, and reported if there is
//!   no other order.
//! - Media below `/mnt`, `/media` and `/run/media` are read only if the image ([`MARKER`]) or the
//!   boot loader ([`ARGUMENT`]) says so.

use super::trusted::{self, Untrusted};
use crate::arguments::{CodeSource, Enroll};
use crate::config::raw::{self, Value};
use crate::limits;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What is to be done.
#[derive(Debug)]
pub struct Order {
    /// As if it had been typed.
    pub enroll: Enroll,
    /// Who said so, for the log.
    pub source: String,
    /// To be removed when it is done.
    pub file: Option<PathBuf>,
}

const KEYS: [&str; 7] =
    ["gateway", "activation_id", "activation_code", "ca", "pin", "authority", "name"];
const FILES: [&str; 3] =
    ["/etc/towline/enroll.toml", "/boot/towline/enroll.toml", "/boot/firmware/towline/enroll.toml"];
/// Where sticks are mounted: directly below the first two, and one level further down below the
/// third.
const STICKS: [&str; 3] = ["/mnt", "/media", "/run/media"];
/// A file of the image that allows orders on removable media; root's, as an order is.
const MARKER: &str = "/etc/towline/enroll-from-media";
/// A word of the kernel's command line that allows the same.
const ARGUMENT: &str = "towline.enroll_from_media=1";

/// The order that holds for this device, if there is one.
///
/// # Errors
/// There is one, and it cannot be carried out: a sentence with what is missing.
pub fn find(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Order>, String> {
    let mut from_variables: Vec<(String, String)> = KEYS
        .iter()
        .filter_map(|key| {
            Some(((*key).to_owned(), variable(&format!("TOWLINE_ENROLL_{}", key.to_uppercase()))?))
        })
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if !from_variables.is_empty() {
        let tags = variable("TOWLINE_ENROLL_TAGS").unwrap_or_default();
        let tags = tags.split(',').filter_map(|tag| tag.trim().split_once('='));
        from_variables.extend(tags.map(|(key, value)| (format!("tags.{key}"), value.to_owned())));
        return order(from_variables, "TOWLINE_ENROLL_*", None).map(Some);
    }
    let words = text_of(Path::new("/proc/cmdline"), limits::KERNEL_COMMAND_LINE);
    let from_media = words.split_whitespace().any(|word| word == ARGUMENT)
        || trusted::open_file(Path::new(MARKER)).is_ok();
    let mut ignored = None;
    for file in files(from_media) {
        match trusted::open_file(&file) {
            Err(Untrusted::Missing) => {}
            // Another user's file must not keep the device from an order behind it.
            Err(why) => {
                ignored.get_or_insert_with(|| why.to_string());
            }
            Ok(opened) => {
                let pairs = read(&file, opened)?;
                return order(pairs, &file.display().to_string(), Some(file.clone())).map(Some);
            }
        }
    }
    let pairs = from_command_line(&words);
    if pairs.is_empty() {
        ignored.map_or(Ok(None), Err)
    } else {
        order(pairs, "the kernel's command line", None).map(Some)
    }
}

fn files(from_media: bool) -> Vec<PathBuf> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder)
            .map(|dir| dir.filter_map(Result::ok).take(limits::CONFIG_FILES));
        entries.map(|entries| entries.map(|entry| entry.path()).collect()).unwrap_or_default()
    };
    let mut found: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
    for sticks in STICKS.into_iter().filter(|_| from_media) {
        found.push(Path::new(sticks).join("towline/enroll.toml"));
        for stick in below(Path::new(sticks)) {
            found.push(stick.join("towline/enroll.toml"));
            if sticks == "/run/media" {
                found.extend(
                    below(&stick).into_iter().map(|stick| stick.join("towline/enroll.toml")),
                );
            }
        }
    }
    found
}

fn read(file: &Path, opened: std::fs::File) -> Result<Vec<(String, String)>, String> {
    let (mut entries, mut findings) = (Vec::new(), Vec::new());
    let mut text = String::new();
    opened
        .take(limits::CONFIG_FILE as u64)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    raw::parse(file, &text, &mut entries, &mut findings);
    if let Some(finding) = findings.first() {
        return Err(finding.to_string());
    }
    let text = |value| match value {
        Value::Text(text) => Ok(text),
        _ => Err(()),
    };
    let pairs = entries.into_iter().map(|entry| {
        let wrong = format!("{}: `{}` must be a string, in quotes", entry.place, entry.key);
        text(entry.value).map(|value| (entry.key, value)).map_err(|()| wrong)
    });
    pairs.collect()
}

fn text_of(file: &Path, most: u64) -> String {
    let mut text = String::new();
    // What cannot be read says nothing.
    let _ = std::fs::File::open(file).and_then(|file| file.take(most).read_to_string(&mut text));
    text
}

fn from_command_line(words: &str) -> Vec<(String, String)> {
    let ours =
        words.split_whitespace().filter_map(|word| word.strip_prefix("towline.")?.split_once('='));
    let known = ours.filter(|(key, _)| KEYS.contains(key) || key.starts_with("tags."));
    known.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn order(
    pairs: Vec<(String, String)>,
    source: &str,
    file: Option<PathBuf>,
) -> Result<Order, String> {
    let mut enroll = Enroll {
        gateway: String::new(),
        activation_id: String::new(),
        code: CodeSource::Given(String::new()),
        ca: None,
        pin: None,
        authority: None,
        name: String::new(),
        tags: Vec::new(),
        reenroll: false,
    };
    let mut code = String::new();
    for (key, value) in pairs {
        match key.as_str() {
            "gateway" => enroll.gateway = value,
            "activation_id" => enroll.activation_id = value,
            "activation_code" => code = value,
            // Beside the order, on whatever medium that is, unless it says from the root on.
            "ca" => enroll.ca = Some(certificates(file.as_deref(), &value)?),
            "pin" => enroll.pin = Some(value),
            "authority" => enroll.authority = Some(value),
            "name" => enroll.name = filled(&value),
            other => match other.strip_prefix("tags.") {
                Some(tag) => enroll.tags.push((tag.to_owned(), filled(&value))),
                None => return Err(format!("{source}: unknown key `{other}`")),
            },
        }
    }
    let missing = [
        ("gateway", &enroll.gateway),
        ("activation_id", &enroll.activation_id),
        ("activation_code", &code),
    ];
    if let Some((key, _)) = missing.iter().find(|(_, value)| value.is_empty()) {
        return Err(format!("{source}: the key `{key}` is missing"));
    }
    enroll.code = CodeSource::Given(code);
    Ok(Order { enroll, source: source.to_owned(), file })
}

/// The CA file of an order. One that stands in a file's order is trusted like the order.
fn certificates(order: Option<&Path>, value: &str) -> Result<PathBuf, String> {
    let Some(folder) = order.and_then(Path::parent) else { return Ok(PathBuf::from(value)) };
    let path = folder.join(value);
    trusted::open_file(&path).map_err(|why| format!("the CA file {}: {why}", path.display()))?;
    Ok(path)
}

/// With this device's facts in place of their names.
fn filled(template: &str) -> String {
    let mut text = template.to_owned();
    for (name, files) in FACTS {
        if text.contains(name) {
            let fact = files
                .iter()
                .map(|file| text_of(Path::new(file), 256))
                .find(|fact| !fact.trim().is_empty());
            let fact = fact.unwrap_or_default();
            text = text.replace(name, fact.trim_matches(['\0', '\n', ' ']));
        }
    }
    if text.contains("{machine}") {
        text = text.replace("{machine}", std::env::consts::ARCH);
    }
    text
}

const FACTS: [(&str, &[&str]); 2] = [
    ("{hostname}", &["/proc/sys/kernel/hostname"]),
    (
        "{serial}",
        &["/sys/firmware/devicetree/base/serial-number", "/sys/class/dmi/id/product_serial"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[(&str, &str)]) -> Vec<(String, String)> {
        text.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn variables_are_an_order() {
        let variable = |name: &str| match name {
            "TOWLINE_ENROLL_GATEWAY" => Some("gw:443".to_owned()),
            "TOWLINE_ENROLL_ACTIVATION_ID" => Some("id".to_owned()),
            "TOWLINE_ENROLL_ACTIVATION_CODE" => Some("code".to_owned()),
            "TOWLINE_ENROLL_TAGS" => Some("site=north, role=pump".to_owned()),
            _ => None,
        };
        let order = find(variable).unwrap().unwrap();
        assert_eq!((order.enroll.gateway.as_str(), order.file), ("gw:443", None));
        assert_eq!(order.enroll.tags, pairs(&[("site", "north"), ("role", "pump")]));
    }

    #[test]
    fn the_kernels_command_line_is_an_order() {
        let found = from_command_line(
            "quiet root=/dev/sda1 towline.gateway=gw towline.tags.site=north towline.x=1",
        );
        assert_eq!(found, pairs(&[("gateway", "gw"), ("tags.site", "north")]));
    }

    #[test]
    fn a_file_is_an_order_with_tags() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("enroll.toml");
        let text = b"gateway = \"gw\"\nactivation_id = \"i\"\nactivation_code = \"c\"\nca = \"ca.pem\"\nname = \"{machine}-x\"\n[tags]\nsite = \"n\"\n";
        crate::state::atomic::replace(&file, text, 0o600).unwrap();
        let opened = std::fs::File::open(&file).unwrap();
        let order = order(read(&file, opened).unwrap(), "a file", None).unwrap();
        assert_eq!(order.enroll.tags, [("site".to_owned(), "n".to_owned())]);
        assert_eq!(order.enroll.ca.as_deref(), Some(Path::new("ca.pem")));
        assert_eq!(order.enroll.name, format!("{}-x", std::env::consts::ARCH));
    }

    #[test]
    fn media_are_read_only_where_the_image_or_the_boot_loader_allows() {
        let on_media = |file: &PathBuf| STICKS.iter().any(|sticks| file.starts_with(sticks));
        assert!(!files(false).iter().any(on_media));
        assert!(files(true).iter().any(on_media));
    }

    #[test]
    fn a_ca_that_others_can_write_is_not_taken_for_an_order() {
        let temp = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let file = temp.path().join("enroll.toml");
        let error = order(pairs(&[("ca", "/tmp")]), "a file", Some(file)).unwrap_err();
        assert!(error.contains("the CA file /tmp"), "{error}");
    }

    #[test]
    fn an_order_without_a_code_says_what_is_missing() {
        let error =
            order(pairs(&[("gateway", "gw"), ("activation_id", "i")]), "a file", None).unwrap_err();
        assert_eq!(error, "a file: the key `activation_code` is missing");
    }

    #[test]
    fn a_mistyped_key_is_told() {
        assert_eq!(
            order(pairs(&[("gatway", "gw")]), "a file", None).unwrap_err(),
            "a file: unknown key `gatway`"
        );
    }

    #[test]
    fn the_code_is_in_no_debug_output() {
        let all = [("gateway", "gw"), ("activation_id", "i"), ("activation_code", "geheim")];
        assert!(!format!("{:?}", order(pairs(&all), "a file", None).unwrap()).contains("geheim"));
    }
}
