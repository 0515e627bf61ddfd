//! What a Mach-O program asks of macOS, from its load commands.
//!
//! # Invariants
//! - Nothing but libraries of the base system is loaded: a framework would need Apple's SDK to
//!   link, and a certificate store of the system is none of ours (webpki-roots, `--ca`).
//! - A program for Apple's processors has a signature, ad hoc, of the bytes that it has: the kernel
//!   kills one without, and one that was changed.

use super::signature;

/// The first four bytes of a program of 64 bits.
const MAGIC: u32 = 0xfeed_facf;
const OF_INTEL: u32 = 0x0100_0007;
const OF_ARM: u32 = 0x0100_000c;
/// MH_EXECUTE.
const EXECUTABLE: u32 = 2;
const LOAD_DYLIB: u32 = 0xc;
const CODE_SIGNATURE: u32 = 0x1d;
const BUILD_VERSION: u32 = 0x32;
const VERSION_MIN: u32 = 0x24;
/// Bytes before the first load command.
const HEADER: usize = 32;
/// The libraries that each macOS has.
const OF_THE_SYSTEM: &[&str] =
    &["/usr/lib/libSystem.B.dylib", "/usr/lib/libcharset.1.dylib", "/usr/lib/libiconv.2.dylib"];

/// Checks a program; what it needs, in words.
///
/// # Errors
/// It is no such program, or it needs something else.
pub(crate) fn check(file: &[u8], for_arm: bool) -> Result<String, String> {
    let processor = if for_arm { OF_ARM } else { OF_INTEL };
    let head = [(0, MAGIC), (4, processor), (12, EXECUTABLE)];
    if let Some((at, expected)) = head.into_iter().find(|(at, is)| number(file, *at) != Some(*is)) {
        let found = number(file, at);
        return Err(format!("byte {at}: expected {expected:#x} of a Mach-O, found {found:x?}"));
    }
    let (mut libraries, mut version, mut signed_at) = (Vec::new(), None, None);
    for (kind, command) in commands(file)? {
        match kind {
            LOAD_DYLIB => libraries.push(library(command)?),
            CODE_SIGNATURE => signed_at = number(command, 8),
            BUILD_VERSION => version = number(command, 12),
            VERSION_MIN => version = number(command, 8),
            _ => {}
        }
    }
    if let Some(other) = libraries.iter().find(|name| !OF_THE_SYSTEM.contains(&name.as_str())) {
        return Err(format!("it loads {other}, which is not one of {}", OF_THE_SYSTEM.join(", ")));
    }
    let version = version.ok_or("it does not say which macOS it needs")?;
    let signed = match signed_at.and_then(|at| usize::try_from(at).ok()) {
        Some(at) => format!("signed ad hoc, {} pages checked", signature::check(file, at)?),
        None if for_arm => {
            return Err("it has no signature: macOS on Apple's processors would kill it".to_owned());
        }
        None => "not signed".to_owned(),
    };
    let (major, minor) = (version >> 16, version >> 8 & 0xff);
    Ok(format!("Mach-O for macOS {major}.{minor}, loads {}, {signed}", libraries.join(" and ")))
}

/// The load commands, with their kinds.
fn commands(file: &[u8]) -> Result<Vec<(u32, &[u8])>, String> {
    let count = number(file, 16).ok_or("it ends within its header")?;
    let (mut at, mut found) = (HEADER, Vec::new());
    for _ in 0..count {
        let broken = || format!("its load command at {at} is broken");
        let kind = number(file, at).ok_or_else(broken)?;
        let length = number(file, at + 4).and_then(|n| usize::try_from(n).ok());
        let length = length.filter(|length| *length >= 8).ok_or_else(broken)?;
        found.push((kind, file.get(at..at + length).ok_or_else(broken)?));
        at += length;
    }
    Ok(found)
}

fn library(command: &[u8]) -> Result<String, String> {
    let at = number(command, 8).and_then(|n| usize::try_from(n).ok());
    let name = at.and_then(|at| command.get(at..)).ok_or("a library without a name")?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(processor: u32, commands: &[Vec<u32>]) -> Vec<u8> {
        let count = u32::try_from(commands.len()).unwrap();
        let mut words = vec![MAGIC, processor, 0, EXECUTABLE, count, 0, 0, 0];
        words.extend(commands.iter().flatten());
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn loads(name: &str) -> Vec<u32> {
        let mut text = name.as_bytes().to_vec();
        text.resize(text.len() / 4 * 4 + 4, 0);
        let mut words = vec![LOAD_DYLIB, u32::try_from(text.len() + 24).unwrap(), 24, 0, 0, 0];
        words.extend(text.chunks(4).map(|four| u32::from_le_bytes(four.try_into().unwrap())));
        words
    }

    const NEEDS_11: [u32; 6] = [BUILD_VERSION, 24, 1, 11 << 16, 0, 0];
    const SIGNED: [u32; 4] = [CODE_SIGNATURE, 16, 0, 0];

    /// The same with a signature at its end.
    fn signed(processor: u32, commands: &[Vec<u32>]) -> Vec<u8> {
        let end = u32::try_from(program(processor, commands).len() + 16).unwrap();
        let of_signature = vec![CODE_SIGNATURE, 16, end, 0];
        let mut file = program(processor, &[commands, &[of_signature]].concat());
        file.extend(signature::tests::of(&file));
        file
    }

    #[test]
    fn a_program_that_needs_the_system_alone_is_described() {
        let commands = [loads("/usr/lib/libSystem.B.dylib"), NEEDS_11.into()];
        let said = check(&signed(OF_ARM, &commands), true).unwrap();
        assert!(said.contains("11.0") && said.contains("signed ad hoc"), "{said}");
    }

    #[test]
    fn a_framework_a_missing_signature_and_another_processor_are_refused() {
        let system = loads("/usr/lib/libSystem.B.dylib");
        let security = loads("/System/Library/Frameworks/Security.framework/Security");
        let with = |commands: &[Vec<u32>]| check(&program(OF_ARM, commands), true).unwrap_err();
        assert!(with(&[security, NEEDS_11.into(), SIGNED.into()]).contains("Security"));
        assert!(with(&[system.clone(), NEEDS_11.into()]).contains("signature"));
        assert!(with(&[system.clone(), SIGNED.into()]).contains("which macOS"));
        assert!(check(&program(OF_INTEL, &[system]), true).unwrap_err().contains("byte 4"));
        let mut cut = program(OF_ARM, &[NEEDS_11.into()]);
        cut.truncate(HEADER + 10);
        assert!(check(&cut, true).unwrap_err().contains("broken"));
        assert!(check(b"#!/bin/sh", false).is_err());
    }
}
