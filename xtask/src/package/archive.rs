//! Archives with nothing of this machine in them: tar with root's entries and one time, gzip
//! without a name, ar.

use std::collections::BTreeSet;
use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};
use towline_testkit::Outcome;

use super::Entry;
use crate::dist::digest;

/// How the paths in a tar are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `./usr/bin/x`, as dpkg and opkg have it.
    Dotted,
    /// `folder/usr/bin/x`, as everybody else has it.
    Plain,
    /// `usr/bin/x` with the SHA-1 of each file beside it, as apk has it.
    Apk,
}

/// A tar of these entries and of the directories above them.
///
/// # Errors
/// A path is too long for the format.
pub(crate) fn tree(entries: &[Entry], style: Style, time: u64) -> Outcome<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    let mut above = BTreeSet::new();
    for entry in entries {
        let path = entry.path.trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            let folder = &path[..at];
            let described = entries
                .iter()
                .any(|e| e.bytes.is_none() && e.path.trim_start_matches('/') == folder);
            if !described && above.insert(folder.to_owned()) {
                append(&mut tar, folder, 0o755, None, style, time)?;
            }
        }
        append(&mut tar, path, entry.mode, entry.bytes.as_deref(), style, time)?;
    }
    Ok(tar.into_inner()?)
}

/// A tar of plain files, for what a format calls control.
///
/// # Errors
/// A name is too long for the format.
pub(crate) fn control(
    files: &[(String, u32, Vec<u8>)],
    dotted: bool,
    time: u64,
) -> Outcome<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    if dotted {
        append(&mut tar, "", 0o755, None, Style::Dotted, time)?;
    }
    for (name, mode, bytes) in files {
        let name = if dotted { format!("./{name}") } else { name.clone() };
        tar.append(&header(&name, *mode, Some(bytes.len()), time)?, bytes.as_slice())?;
    }
    Ok(tar.into_inner()?)
}

fn append(
    tar: &mut Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    bytes: Option<&[u8]>,
    style: Style,
    time: u64,
) -> Outcome {
    let slash = if bytes.is_none() { "/" } else { "" };
    let name = match style {
        Style::Dotted => format!("./{path}{}", if path.is_empty() { "" } else { slash }),
        Style::Plain | Style::Apk => format!("{path}{slash}"),
    };
    if let (Style::Apk, Some(bytes)) = (style, bytes) {
        let sum = digest::sha1(bytes);
        tar.append_pax_extensions([("APK-TOOLS.checksum.SHA1", sum.as_bytes())])?;
    }
    tar.append(&header(&name, mode, bytes.map(<[u8]>::len), time)?, bytes.unwrap_or_default())?;
    Ok(())
}

fn header(name: &str, mode: u32, size: Option<usize>, time: u64) -> Outcome<Header> {
    let mut header = Header::new_ustar();
    header.set_entry_type(if size.is_some() { EntryType::Regular } else { EntryType::Directory });
    // Set by hand: `set_path` would take the leading `./` away, which dpkg and opkg expect.
    let bytes = name.as_bytes();
    let field =
        header.as_old_mut().name.get_mut(..bytes.len()).ok_or_else(|| {
            towline_testkit::Trouble::new(format!("{name}: longer than 100 bytes"))
        })?;
    field.copy_from_slice(bytes);
    header.set_mode(mode);
    header.set_size(u64::try_from(size.unwrap_or(0))?);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    header.set_cksum();
    Ok(header)
}

/// gzip at its best, without name and time.
///
/// # Errors
/// Never in memory.
pub(crate) fn gzip(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut writer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}

/// A tar without the two empty blocks at its end, so that another can follow in the same stream.
pub(crate) fn without_end(mut tar: Vec<u8>) -> Vec<u8> {
    tar.truncate(tar.len().saturating_sub(1024));
    tar
}

/// Debian's outer archive.
pub(crate) fn ar(members: &[(&str, &[u8])], time: u64) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let head =
            format!("{name:<16}{time:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 100_644, bytes.len());
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}
