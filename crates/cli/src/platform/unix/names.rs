//! Names of files, and words for the shell.

/// The names that were admitted to one folder.
#[derive(Debug, Default)]
pub(crate) struct Names(());

impl Names {
    /// Admits a name that a device gave: here every file system of ours holds all of them.
    ///
    /// # Errors
    /// None here.
    pub(crate) const fn admit(&mut self, _name: &str) -> Result<(), String> {
        Ok(())
    }
}

/// Whether a text is a path of this machine although it has a colon: no drives have letters here.
#[must_use]
pub(crate) const fn is_own_path(_text: &str) -> bool {
    false
}

/// A word of a command line that ssh gives to the shell.
#[must_use]
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
