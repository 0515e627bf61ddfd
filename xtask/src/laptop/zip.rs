//! A zip archive, as Windows opens it without another program.
//!
//! # Invariants
//! - Same input, same bytes: the time is the one that is told, and there are no owners.
//! - Names are UTF-8 and use `/`.
//! - Each file has a mode as Unix has them: WSL and Git Bash run no program without one. Windows
//!   skips it.

use std::io::Write as _;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use towline_testkit::Outcome;

/// A file of an archive.
pub(crate) struct Member {
    /// Its path in the archive.
    pub(crate) name: String,
    /// Permission bits.
    pub(crate) mode: u16,
    /// Its content.
    pub(crate) bytes: Vec<u8>,
}

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// Version 2.0 of the format: folders and deflate.
const NEEDED: u16 = 20;
/// The same, made on Unix: the upper half of a file's attributes is its mode.
const MADE_BY: u16 = 3 << 8 | NEEDED;
/// S_IFREG: a file, in a mode.
const REGULAR: u16 = 0o100_000;
/// Names are UTF-8.
const UTF8: u16 = 0x0800;
const DEFLATE: u16 = 8;

/// Writes an archive; `time` is in seconds since 1970.
///
/// # Errors
/// A file is larger than 4 GiB.
pub(crate) fn write(members: &[Member], time: u64) -> Outcome<Vec<u8>> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let at = u32::try_from(out.len())?;
        let head = head(member, time)?;
        out.extend_from_slice(&LOCAL.to_le_bytes());
        out.extend_from_slice(&head.fields);
        out.extend_from_slice(member.name.as_bytes());
        out.extend_from_slice(&head.content);
        directory.extend_from_slice(&CENTRAL.to_le_bytes());
        directory.extend_from_slice(&MADE_BY.to_le_bytes());
        directory.extend_from_slice(&head.fields);
        // No comment, the first disk, no attributes of DOS.
        directory.extend_from_slice(&[0; 8]);
        directory.extend_from_slice(&(REGULAR | member.mode).to_le_bytes());
        directory.extend_from_slice(&at.to_le_bytes());
        directory.extend_from_slice(member.name.as_bytes());
    }
    let (at, count) = (u32::try_from(out.len())?, u16::try_from(members.len())?);
    out.extend_from_slice(&directory);
    out.extend_from_slice(&END.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&u32::try_from(directory.len())?.to_le_bytes());
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    Ok(out)
}

struct Head {
    /// What stands both before the content and in the directory.
    fields: Vec<u8>,
    content: Vec<u8>,
}

fn head(member: &Member, time: u64) -> Outcome<Head> {
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
    deflate.write_all(&member.bytes)?;
    let content = deflate.finish()?;
    let mut crc = Crc::new();
    crc.update(&member.bytes);
    let mut fields = Vec::new();
    for word in [NEEDED, UTF8, DEFLATE] {
        fields.extend_from_slice(&word.to_le_bytes());
    }
    fields.extend_from_slice(&dos_time(time).to_le_bytes());
    for word in [crc.sum(), u32::try_from(content.len())?, u32::try_from(member.bytes.len())?] {
        fields.extend_from_slice(&word.to_le_bytes());
    }
    fields.extend_from_slice(&u16::try_from(member.name.len())?.to_le_bytes());
    fields.extend_from_slice(&[0; 2]);
    Ok(Head { fields, content })
}

/// Date and time as DOS has them, from 1980 on, in UTC.
fn dos_time(time: u64) -> u32 {
    let (days, seconds) = (time / 86_400, time % 86_400);
    // Civil date of a day number, by the calendar of 400 years that begins in March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let date = year.saturating_sub(1980) << 9 | month << 5 | day;
    let clock = (seconds / 3_600) << 11 | (seconds / 60 % 60) << 5 | (seconds % 60 / 2);
    u32::try_from(date << 16 | clock).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Python's reader is the other end: it checks each sum.
    #[test]
    fn another_program_finds_names_contents_modes_and_times() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let member = |name: &str, mode: u16, bytes: &[u8]| Member {
            name: name.into(),
            mode,
            bytes: bytes.into(),
        };
        let members =
            [member("t/towline.exe", 0o755, &[7; 100_000]), member("t/é.txt", 0o644, b"text")];
        let bytes = write(&members, 1_709_210_096).unwrap();
        assert_eq!(bytes, write(&members, 1_709_210_096).unwrap());
        towline_testkit::files::write(&path, &bytes).unwrap();
        let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() \
                      is None\n\
                      print([(i.filename, oct(i.external_attr >> 16), i.file_size, i.date_time) \
                      for i in z.infolist()])";
        let out = Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        let time = "(2024, 2, 29, 12, 34, 56)";
        let expected = format!(
            "[('t/towline.exe', '0o100755', 100000, {time}), ('t/é.txt', '0o100644', 4, {time})]\n"
        );
        assert_eq!(said, expected, "{}", String::from_utf8_lossy(&out.stderr));
    }
}
