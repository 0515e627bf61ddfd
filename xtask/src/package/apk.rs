//! apk's format, version 2: gzip streams one after the other, each a part of one tar: control, then
//! data.
//!
//! Read by Alpine's apk-tools 2 and 3, and by OpenWrt from 25 on. Unsigned by itself: the index of
//! a repository is signed, or `--allow-untrusted` says that one knows where the file comes from.

use towline_testkit::Outcome;

use super::Content;
use super::archive::{Style, control, gzip, tree, without_end};
use crate::dist::digest;

/// A package for Alpine's or OpenWrt's name of an architecture; `release` as the system's packages
/// count it.
///
/// # Errors
/// A path is too long for tar.
pub(crate) fn write(content: &Content, architecture: &str, release: &str) -> Outcome<Vec<u8>> {
    let data = gzip(&tree(&content.entries, Style::Apk, content.time)?)?;
    let fields = format!(
        "# Made by cargo xtask dist\npkgname = {}\npkgver = {}-{release}\npkgdesc = {}\nurl = \
         {}\nbuilddate = {}\n\
         packager = {}\nsize = {}\narch = {architecture}\norigin = {}\nlicense = {}\ndatahash = \
         {}\n",
        content.name,
        content.version,
        content.summary,
        content.homepage,
        content.time,
        content.maintainer,
        content.installed_bytes(),
        content.name,
        content.license,
        digest::sha256(&data),
    );
    let mut files = vec![(".PKGINFO".to_owned(), 0o644, fields.into_bytes())];
    for (name, text) in &content.scripts {
        // OpenWrt's scripts are called as opkg calls them; apk knows them by its own names.
        let name = match name.as_str() {
            "postinst" => "post-install",
            "prerm" => "pre-deinstall",
            other => other,
        };
        files.push((format!(".{name}"), 0o755, text.clone().into_bytes()));
        if name == "post-install" && !content.scripts.contains_key("post-upgrade") {
            files.push((".post-upgrade".into(), 0o755, text.clone().into_bytes()));
        }
    }
    let mut whole = gzip(&without_end(control(&files, false, content.time)?))?;
    whole.extend_from_slice(&data);
    Ok(whole)
}
