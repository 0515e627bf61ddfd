//! `dist --sizes CLASS`: the bytes of each crate in the agent, from the symbols of an unstripped
//! build; writes docs/size.md.
//!
//! # Known limits
//! - Inlined code counts for the crate that it was inlined into. Constants without a symbol count
//!   as `other`.

use std::collections::BTreeMap;

use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble};

use super::build::{self, folder};
use super::class::{Class, Program};
use super::toolchain::Toolchain;
use crate::{console, run};

/// Writes the table for a class, and prints it.
///
/// # Errors
/// The build failed, or what it made has no symbols.
pub(crate) fn write(class: &Class) -> Outcome {
    let target_dir = folder().join("build");
    let mut command = Toolchain::find(class)?.command(class, Program::Agent, &target_dir)?;
    command.env("CARGO_PROFILE_RELEASE_STRIP", "none");
    run::checked(command)?;
    let elf =
        std::fs::read(target_dir.join(&class.triple).join("release").join(Program::Agent.file()))?;
    let shipped = build::build(class, Program::Agent)?;
    let symbols = symbols(&elf).ok_or_else(|| Trouble::new("the program has no symbols"))?;
    let mut crates: BTreeMap<String, u64> = BTreeMap::new();
    for (name, size) in &symbols {
        *crates.entry(owner(name)).or_default() += size;
    }
    let known: u64 = crates.values().sum();
    let mut table: Vec<(String, u64)> = crates.into_iter().collect();
    table.push((
        "other: constants, tables for relocation and unwinding, headers".into(),
        shipped.bytes.saturating_sub(known),
    ));
    table.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let rows = table.iter().map(|(name, size)| {
        format!("| {name} | {size} | {:.1} % |\n", *size as f64 * 100.0 / shipped.bytes as f64)
    });
    let text = format!(
        "Class `{}` ({}), {} bytes as shipped. Made by `cargo xtask dist --sizes {}`.\n\n| crate \
         | bytes | share |\n|---|---|---|\n{}",
        class.name,
        class.triple,
        shipped.bytes,
        class.name,
        rows.collect::<String>()
    );
    console::line(&text);
    insert(&class.name, &text)
}

/// Puts the table between its marks in docs/size.md.
fn insert(class: &str, table: &str) -> Outcome {
    let path = workspace().join("docs/size.md");
    let text = std::fs::read_to_string(&path)?;
    let (begin, end) = (format!("<!-- {class} -->\n"), format!("<!-- /{class} -->\n"));
    let missing = || Trouble::new(format!("docs/size.md has no place for {class}"));
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    towline_testkit::files::write(&path, format!("{before}{begin}{table}{end}{after}"))
}

/// Names and sizes of all functions and objects of a little-endian ELF program.
fn symbols(elf: &[u8]) -> Option<Vec<(String, u64)>> {
    let wide = elf.get(4)? == &2;
    let number = |at: usize, size: usize| -> Option<u64> {
        Some(elf.get(at..at + size)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let place = |at: usize, size: usize| number(at, size).and_then(|n| usize::try_from(n).ok());
    let (table, size, count) = if wide {
        (place(40, 8)?, place(58, 2)?, place(60, 2)?)
    } else {
        (place(32, 4)?, place(46, 2)?, place(48, 2)?)
    };
    // (offset, size, link) of a section.
    let section = |index: usize| -> Option<(usize, usize, usize)> {
        let at = table + index * size;
        if wide {
            Some((place(at + 24, 8)?, place(at + 32, 8)?, place(at + 40, 4)?))
        } else {
            Some((place(at + 16, 4)?, place(at + 20, 4)?, place(at + 24, 4)?))
        }
    };
    const SYMBOLS: usize = 2;
    let index = (0..count).find(|i| place(table + i * size + 4, 4) == Some(SYMBOLS))?;
    let (offset, length, link) = section(index)?;
    let (names, _, _) = section(link)?;
    let entry = if wide { 24 } else { 16 };
    let mut found = BTreeMap::new();
    for at in (offset..offset + length).step_by(entry) {
        let (value, bytes, kind) = if wide {
            (number(at + 8, 8)?, number(at + 16, 8)?, elf.get(at + 4)?)
        } else {
            (number(at + 4, 4)?, number(at + 8, 4)?, elf.get(at + 12)?)
        };
        // 1: an object, 2: a function. Two names for one place count once.
        if matches!(kind & 15, 1 | 2) && bytes > 0 {
            let name = elf.get(names + place(at, 4)?..)?;
            let name = String::from_utf8_lossy(name.split(|b| *b == 0).next()?).into_owned();
            found.insert(value, (name, bytes));
        }
    }
    Some(found.into_values().collect())
}

/// The crate that a symbol belongs to: the first name in either of Rust's manglings.
fn owner(symbol: &str) -> String {
    if let Some(rest) = symbol.strip_prefix("_ZN") {
        // `<A as B>::c` is mangled with an escaped `<`; its owner is A's crate.
        return named(rest).map_or_else(|| "other".into(), |name| crate_of_type(&name));
    }
    if symbol.starts_with("_R") {
        // `Cs<hash>_<length><name>`, or `C<length><name>`: a crate's root.
        let roots = symbol.match_indices('C').filter_map(|(at, _)| root(&symbol[at + 1..]));
        return roots.into_iter().next().unwrap_or_else(|| "other".into());
    }
    if symbol.starts_with("ring_core") || symbol.starts_with("p256") || symbol.starts_with("ecp_") {
        return "ring".into();
    }
    "C: musl, compiler's runtime".into()
}

fn root(rest: &str) -> Option<String> {
    let rest = match rest.strip_prefix('s') {
        Some(hashed) => hashed.split_once('_')?.1,
        None => rest,
    };
    named(rest)
}

/// `<length><name>` at the beginning of a text.
fn named(text: &str) -> Option<String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let length: usize = text.get(..digits)?.parse().ok()?;
    let name = text.get(digits..digits + length)?;
    (length > 1 && !name.starts_with(|c: char| c.is_ascii_digit())).then(|| name.to_owned())
}

fn crate_of_type(name: &str) -> String {
    let plain = name
        .trim_start_matches('_')
        .replace("$LT$", "")
        .replace("$RF$", "")
        .replace("mut$u20$", "");
    let first = plain.split("..").next().unwrap_or_default();
    if first.is_empty() || first.contains('$') { "other".into() } else { first.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_counted_for_the_crate_they_come_from() {
        assert_eq!(owner("_ZN6rustls6client2hs17h0123456789abcdefE"), "rustls");
        let of_a_trait = "_$LT$rustls..msgs..Alert$u20$as$u20$core..fmt..Debug$GT$";
        assert_eq!(owner(&format!("_ZN{}{of_a_trait}3fmt17h0E", of_a_trait.len())), "rustls");
        assert_eq!(owner("_RNvNtCs1234_5tokio4task3run"), "tokio");
        assert_eq!(owner("_RNvNtC4core3fmt5write"), "core");
        assert_eq!(owner("ring_core_0_17_14__aes_hw_encrypt"), "ring");
        assert_eq!(owner("memcpy"), "C: musl, compiler's runtime");
    }
}
