//! Where modules have their files: one style in the whole tree.
//!
//! A module with modules inside is a folder with a `mod.rs`. This file is a table of contents: a
//! header, `mod` and `use`. The module's own type has a file of its name.
//!
//! # Not here
//! - Code of tests: a `mod.rs` below a folder `tests` may hold what its modules share, since cargo
//!   takes each other file directly below `tests` for a program.
//! - A file whose folder holds only its `tests.rs`.

use std::path::Path;

use towline_testkit::lab::programs::workspace as root;
use towline_testkit::source::lexer::{Token, tokens};

use super::check_files;

#[test]
fn a_module_with_modules_is_a_folder() {
    check_files(|name, _| {
        let folder = root().join(name.strip_suffix(".rs")?);
        let inside = modules_in(&folder);
        let allowed = name.ends_with("/mod.rs") || inside.is_empty() || inside == ["tests.rs"];
        (!allowed).then(|| {
            format!("{name}: has modules in a folder of its name: move it to mod.rs in there")
        })
    });
}

/// The Rust files directly in a folder.
fn modules_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| Path::new(name).extension().is_some_and(|e| e == "rs")).collect()
}

#[test]
fn a_mod_rs_is_a_table_of_contents() {
    check_files(|name, text| {
        let is_code = name.ends_with("/mod.rs") && !name.split('/').any(|part| part == "tests");
        let line = if is_code { first_code(text)? } else { return None };
        Some(format!(
            "{name}:{line}: only `mod` and `use` belong here: give this a file of its own"
        ))
    });
}

/// The line of the first item that is neither `mod x;` nor `use`.
fn first_code(text: &str) -> Option<usize> {
    let all = tokens(text);
    let mut rest = all.as_slice();
    while let Some(first) = rest.first() {
        match item(rest) {
            Some(behind) => rest = behind,
            None => return Some(first.line),
        }
    }
    None
}

/// What stands behind a `mod x;`, a `use` or an attribute at the start.
fn item<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<&'t [Token<'a>]> {
    let behind = |end: char| {
        let at = tokens.iter().position(|token| token.is(end))?;
        tokens.get(at + 1..)
    };
    if tokens.first()?.is('#') {
        let mut open = 0_usize;
        let at = tokens.iter().position(|token| {
            open += usize::from(token.is('['));
            open -= usize::from(token.is(']') && open > 0);
            open == 0 && token.is(']')
        })?;
        return tokens.get(at + 1..);
    }
    let mut words = tokens;
    if words.first()?.ident() == Some("pub") {
        words = words.get(1..)?;
        if words.first()?.is('(') {
            let at = words.iter().position(|token| token.is(')'))?;
            words = words.get(at + 1..)?;
        }
    }
    match words.first()?.ident()? {
        "use" => behind(';'),
        "mod" if words.get(2)?.is(';') => behind(';'),
        _ => None,
    }
}

#[test]
fn code_in_a_table_of_contents_is_found() {
    let contents =
        "//! Doc.\n#[cfg(all(unix, test))]\nmod a;\npub(in crate::b) use c::{D, e::F};\n";
    assert_eq!(first_code(contents), None);
    for code in ["pub(crate) struct S;", "impl A for B {}", "mod c { }", "const N: usize = 1;"] {
        assert_eq!(first_code(&format!("{contents}{code}\n")), Some(5), "{code}");
    }
}
