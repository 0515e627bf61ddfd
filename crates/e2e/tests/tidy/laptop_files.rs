//! What package managers of laptops are told (`packaging/laptop`): read by a parser of their
//! format, with the marks filled in as `cargo xtask dist --laptops` fills them in.
//!
//! # Not here
//! - Scoop, winget and Homebrew themselves: none of them was run (`docs/operators-cli.md`).

use serde_json::Value;
use towline_ssm::documents::content::{Format, converted};
use towline_testkit::lab::programs::workspace;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

const VERSION: &str = "1.20.0";
/// A digest that a reader of YAML takes for a number unless it is in quotes.
const DIGEST: &str = "12e4567890123456789012345678901234567890123456789012345678901234";

/// A file with its marks filled in.
fn filled(name: &str) -> Outcome<String> {
    let mut text = std::fs::read_to_string(workspace().join("packaging/laptop").join(name))?;
    text = text.replace("@VERSION@", VERSION);
    for system in ["windows-x86_64", "macos-x86_64", "macos-aarch64"] {
        text = text.replace(&format!("@SHA256-{system}@"), DIGEST);
    }
    ensure(!text.contains('@'), || format!("{name} has a mark that nothing fills in"))?;
    Ok(text)
}

fn yaml(name: &str) -> Outcome<Value> {
    let json = converted(Format::Yaml, Format::Json, &filled(name)?);
    let json = json.map_err(|error| Trouble::new(format!("{name}: {error}")))?;
    Ok(serde_json::from_str(&json)?)
}

fn is(tree: &Value, pointer: &str, value: &str) -> Outcome {
    ensure(tree.pointer(pointer).and_then(Value::as_str) == Some(value), || {
        format!("{pointer} must be {value:?}: {tree}")
    })
}

/// An address ends with the archive's name.
fn leads_to(tree: &Value, pointer: &str, archive: &str) -> Outcome {
    let address = tree.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    ensure(address.starts_with("https://") && address.ends_with(archive), || {
        format!("{pointer} must lead to {archive}: {tree}")
    })
}

#[test]
fn scoop_finds_the_archive_its_digest_and_the_program() -> Outcome {
    let tree: Value = serde_json::from_str(&filled("towline.json")?)?;
    is(&tree, "/version", VERSION)?;
    is(&tree, "/bin", "towline.exe")?;
    is(&tree, "/architecture/64bit/hash", DIGEST)?;
    let folder = format!("towline-{VERSION}-windows-x86_64");
    is(&tree, "/architecture/64bit/extract_dir", &folder)?;
    leads_to(&tree, "/architecture/64bit/url", &format!("/{folder}.zip"))
}

#[test]
fn the_three_files_of_winget_agree_and_name_the_program_in_the_archive() -> Outcome {
    let [version, installer, locale] =
        ["towline.yaml", "towline.installer.yaml", "towline.locale.en-US.yaml"]
            .map(|file| yaml(&format!("winget/{file}")));
    let (version, installer, locale) = (version?, installer?, locale?);
    for tree in [&version, &installer, &locale] {
        is(tree, "/PackageIdentifier", "Towline.Towline")?;
        is(tree, "/PackageVersion", VERSION)?;
        is(tree, "/ManifestVersion", "1.6.0")?;
    }
    let kinds = [(&version, "version"), (&installer, "installer"), (&locale, "defaultLocale")];
    kinds.into_iter().try_for_each(|(tree, kind)| is(tree, "/ManifestType", kind))?;
    is(&version, "/DefaultLocale", "en-US")?;
    is(&locale, "/PackageLocale", "en-US")?;
    is(&installer, "/Installers/0/InstallerSha256", DIGEST)?;
    let folder = format!("towline-{VERSION}-windows-x86_64");
    let program = format!("{folder}\\towline.exe");
    is(&installer, "/NestedInstallerFiles/0/RelativeFilePath", &program)?;
    leads_to(&installer, "/Installers/0/InstallerUrl", &format!("/{folder}.zip"))
}

/// No parser of Ruby is at hand: blocks are counted, and each address is followed by its digest.
#[test]
fn homebrew_has_an_archive_and_its_digest_for_each_processor() -> Outcome {
    let text = filled("towline.rb")?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    ensure(lines.first() == Some(&"class Towline < Formula"), || text.clone())?;
    let opens = |line: &&&str| {
        line.starts_with("class ") || line.starts_with("def ") || line.ends_with(" do")
    };
    let (opened, closed) =
        (lines.iter().filter(opens).count(), lines.iter().filter(|line| **line == "end").count());
    ensure(opened == closed, || format!("{opened} blocks, {closed} ends: {text}"))?;
    for (block, system) in [("on_arm do", "macos-aarch64"), ("on_intel do", "macos-x86_64")] {
        let at = lines.iter().position(|line| *line == block);
        let at = at.ok_or_else(|| Trouble::new(format!("no {block}")))?;
        let archive = format!("towline-{VERSION}-{system}.tar.gz\"");
        ensure(
            lines[at + 1].starts_with("url \"https://") && lines[at + 1].ends_with(&archive),
            || format!("{block}: {text}"),
        )?;
        ensure(lines[at + 2] == format!("sha256 \"{DIGEST}\""), || format!("{block}: {text}"))?;
    }
    Ok(())
}
