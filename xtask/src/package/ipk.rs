//! opkg's format (OpenWrt up to 24.10, Yocto): a gzipped tar of `debian-binary`, data and control.

use towline_testkit::Outcome;

use super::Content;
use super::archive::{Style, control, gzip, tree};

/// The fields by which opkg knows a package, the same in the package and in an index.
pub(crate) fn identity(name: &str, version: &str, architecture: &str) -> String {
    format!("Package: {name}\nVersion: {version}-1\nArchitecture: {architecture}\n")
}

/// A package for OpenWrt's name of an architecture.
///
/// # Errors
/// A path is too long for tar.
pub(crate) fn write(content: &Content, architecture: &str) -> Outcome<Vec<u8>> {
    let Content { name, version, maintainer, section, homepage, summary, license, time, .. } =
        content;
    let fields = format!(
        "{}Maintainer: {maintainer}\nLicense: {license}\nSection: {section}\nURL: \
         {homepage}\nInstalled-Size: {}\nDescription: {summary}\n",
        identity(name, version, architecture),
        content.installed_bytes()
    );
    let mut files = vec![("control".to_owned(), 0o644, fields.into_bytes())];
    let conffiles: String = content.config_files().map(|path| format!("{path}\n")).collect();
    files.push(("conffiles".into(), 0o644, conffiles.into_bytes()));
    for (name, text) in &content.scripts {
        files.push((name.clone(), 0o755, text.clone().into_bytes()));
    }
    let outer = [
        ("debian-binary".to_owned(), 0o644, b"2.0\n".to_vec()),
        ("data.tar.gz".to_owned(), 0o644, gzip(&tree(&content.entries, Style::Dotted, *time)?)?),
        ("control.tar.gz".to_owned(), 0o644, gzip(&control(&files, true, *time)?)?),
    ];
    gzip(&control(&outer, true, *time)?)
}
