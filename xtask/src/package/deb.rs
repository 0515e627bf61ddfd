//! Debian's format: an ar of `debian-binary`, control and data, see deb(5). gzip, which every dpkg
//! reads.

use towline_testkit::Outcome;

use super::Content;
use super::archive::{Style, ar, control, gzip, tree};

/// A package for Debian's name of an architecture.
///
/// # Errors
/// A path is too long for tar.
pub(crate) fn write(content: &Content, architecture: &str) -> Outcome<Vec<u8>> {
    let mut files = vec![("control".to_owned(), 0o644, fields(content, architecture).into_bytes())];
    let conffiles: String = content.config_files().map(|path| format!("{path}\n")).collect();
    if !conffiles.is_empty() {
        files.push(("conffiles".into(), 0o644, conffiles.into_bytes()));
    }
    for (name, text) in &content.scripts {
        files.push((name.clone(), 0o755, text.clone().into_bytes()));
    }
    let control = gzip(&control(&files, true, content.time)?)?;
    let data = gzip(&tree(&content.entries, Style::Dotted, content.time)?)?;
    let members: [(&str, &[u8]); 3] =
        [("debian-binary", b"2.0\n"), ("control.tar.gz", &control), ("data.tar.gz", &data)];
    Ok(ar(&members, content.time))
}

fn fields(content: &Content, architecture: &str) -> String {
    let Content { name, version, maintainer, section, homepage, summary, .. } = content;
    let size = content.installed_bytes().div_ceil(1024);
    let long: String = content.description.lines().map(|line| format!(" {line}\n")).collect();
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: \
         {maintainer}\n\
         Installed-Size: {size}\nSection: {section}\nPriority: optional\nHomepage: {homepage}\n\
         Description: {summary}\n{long}"
    )
}
