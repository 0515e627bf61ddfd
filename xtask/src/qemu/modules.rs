//! Kernel modules in the order in which they must be loaded: the package carries no index, but each
//! module names what it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use towline_testkit::{Outcome, Trouble};

/// A module's name and its file.
pub(crate) type Module = (String, PathBuf);

/// The wanted modules and all that they depend on, each after what it needs. A module that is built
/// in is not there, and not needed.
///
/// # Errors
/// The package cannot be read.
pub(crate) fn ordered(root: &Path, wanted: &[&str]) -> Outcome<Vec<Module>> {
    let mut files = BTreeMap::new();
    index(&root.join("lib/modules"), &mut files)?;
    let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
    for name in wanted {
        visit(name, &files, &mut seen, &mut order)?;
    }
    Ok(order)
}

fn visit(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    seen: &mut BTreeSet<String>,
    order: &mut Vec<Module>,
) -> Outcome {
    let Some(path) = files.get(name) else { return Ok(()) };
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    for needed in depends(&std::fs::read(path)?) {
        visit(&needed, files, seen, order)?;
    }
    order.push((name.to_owned(), path.clone()));
    Ok(())
}

/// The names after `depends=` in a module's information section.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(value);
    text.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

fn index(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Outcome {
    let entries = std::fs::read_dir(folder)
        .map_err(|e| Trouble::new(format!("{}: {e}", folder.display())))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            index(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().replace('-', "_"));
            files.extend(name.map(|name| (name, path)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_names_what_it_depends_on() {
        assert_eq!(
            depends(b"x\0license=GPL\0depends=jbd2,crc16,net-x\0intree=Y\0"),
            ["jbd2", "crc16", "net_x"]
        );
        assert!(depends(b"\0depends=\0").is_empty());
    }
}
