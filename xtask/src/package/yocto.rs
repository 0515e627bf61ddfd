//! The Yocto layer in `targets/meta-towline`: read by a parser of BitBake's language, which also
//! knows what a recipe must have.
//!
//! # Known limits
//! - Nothing is built: that takes BitBake and the layers of OpenEmbedded, some tens of gigabytes.

use std::path::PathBuf;
use std::process::Command;

use towline_testkit::lab::programs::workspace;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use crate::{console, run, setup};

/// The release of Yocto that the layer is written for.
const RELEASE: &str = "scarthgap";

/// Parses the recipe.
///
/// # Errors
/// What the parser calls an error.
pub(crate) fn parsed() -> Outcome {
    let recipe = recipe()?;
    let mut parser = Command::new(setup::recipe_parser()?);
    // Warnings ask for a homepage that can be reached.
    parser
        .args(["--quiet", "--hide", "info", "--hide", "warning", "--release", RELEASE])
        .arg(&recipe);
    run::checked(parser)?;
    console::line(
        "  Yocto: the recipe is read by a parser of BitBake's language, without an error",
    );
    Ok(())
}

fn recipe() -> Outcome<PathBuf> {
    let folder = workspace().join("targets/meta-towline/recipes-core/towline-agent");
    let entries = std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let recipes: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "bb")).collect();
    ensure(recipes.len() == 1, || format!("{} recipes in {}", recipes.len(), folder.display()))?;
    recipes.into_iter().next().ok_or_else(|| Trouble::new("no recipe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_is_of_this_version_and_has_the_digests_of_the_licences() {
        let path = recipe().unwrap();
        let wanted = format!("towline-agent_{}.bb", env!("CARGO_PKG_VERSION"));
        assert_eq!(path.file_name().unwrap().to_string_lossy(), wanted);
        let text = std::fs::read_to_string(&path).unwrap();
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let sum = Command::new("md5sum").arg(workspace().join(licence)).output().unwrap();
            let digest = String::from_utf8_lossy(&sum.stdout)
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned();
            assert!(
                digest.len() == 32 && text.contains(&format!("file://{licence};md5={digest}")),
                "{licence}"
            );
        }
    }
}
