//! A plain tarball with `install.sh`, for systems that none of our packages fits.

use towline_testkit::Outcome;

use super::archive::{Style, gzip, tree};
use super::{Content, Entry};

/// A tarball that unpacks into one folder.
///
/// # Errors
/// A path is too long for tar.
pub(crate) fn write(content: &Content, folder: &str) -> Outcome<Vec<u8>> {
    let below = |entry: &Entry| Entry { path: format!("{folder}{}", entry.path), ..entry.clone() };
    let entries: Vec<Entry> = content.entries.iter().map(below).collect();
    gzip(&tree(&entries, Style::Plain, content.time)?)
}
