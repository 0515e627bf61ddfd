//! Embeds the web console: each file that `cargo xtask console` has put into `crates/console/dist`
//! becomes a row of a table in `assets.rs`.
//!
//! # Invariants
//! - Without these files (no Node on the machine that builds) the table is empty, and the build
//!   goes on.
//! - Names are sorted, so that the same files make the same program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let folder = manifest.join("../console/dist");
    println!("cargo:rerun-if-changed=build.rs");
    // It is always there, with a file that git knows: a folder that is missing would make each
    // build a new one.
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "br"));
    files.sort();
    let index = folder.join("index.html");
    let mut text = String::new();
    let page = if index.is_file() {
        format!("Some(include_str!({:?}))", index.display().to_string())
    } else {
        "None".to_owned()
    };
    let _ = writeln!(text, "const PAGE: Option<&str> = {page};");
    let _ = writeln!(text, "const ASSETS: &[(&str, &[u8])] = &[");
    for file in &files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let _ = writeln!(text, "    ({name:?}, include_bytes!({:?})),", file.display().to_string());
    }
    text.push_str("];\n");
    put(&Path::new(&variable("OUT_DIR")?).join("assets.rs"), &text)
}

fn variable(name: &str) -> std::io::Result<String> {
    std::env::var(name).map_err(|error| std::io::Error::other(format!("{name}: {error}")))
}

/// Writes a file of this build's own folder, which nobody else reads meanwhile.
fn put(path: &Path, text: &str) -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::fs::File::create(path)?, text.as_bytes())
}
