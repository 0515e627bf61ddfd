//! Digests of files in the forms that package formats need, and SHA256SUMS.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use towline_testkit::{Outcome, files};

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&SHA256, bytes).as_ref())
}

/// SHA-1 in hexadecimal digits: what apk wants beside each file, as a check of its content and not
/// of its origin.
pub(crate) fn sha1(bytes: &[u8]) -> String {
    hex(&sha1_bytes(bytes))
}

/// The same in base64, as an index of apk has it.
pub(crate) fn sha1_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(sha1_bytes(bytes))
}

fn sha1_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(bytes);
    context.finish().as_ref().to_vec()
}

/// Writes `SHA256SUMS` over all files below a directory, in the form that `sha256sum --check`
/// reads.
///
/// # Errors
/// What the system says.
pub(crate) fn write_sums(folder: &Path) -> Outcome {
    let mut lines = Vec::new();
    for path in all_files(folder)? {
        let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
        if name != "SHA256SUMS" {
            lines.push(format!("{}  {name}\n", sha256(&std::fs::read(&path)?)));
        }
    }
    files::write(&folder.join("SHA256SUMS"), lines.concat())
}

/// All files below a directory, sorted by path.
///
/// # Errors
/// What the system says.
pub(crate) fn all_files(folder: &Path) -> Outcome<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(all_files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_everybody_else() {
        assert_eq!(sha1(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
