//! One rule for keys and names that differ in letter case only.
//!
//! `Environment`, `environment` and `ENVIRONMENT` are one tag key: for policies, for the store's
//! unique index, and for requests that name keys. All of them call [`fold`], so that no two places
//! can differ.
//!
//! The rule: each character by itself becomes lower case, upper case, then lower case again
//! (Unicode's full case mappings). The detour makes `ẞ`, `ß` and `ss`, final and other sigmas, and
//! the Kelvin sign and `k` the same. It does not depend on a locale, on neighbouring characters or
//! on a database's collation. Other marks stay: `é` and `e` differ.
//!
//! # Invariants
//! - `fold(fold(x)) == fold(x)`, and a text, its upper case and its lower case fold to the same.
//!
//! # Not here
//! - Values: their letter case counts.
//! - Unicode normalisation. Tag keys have no combining marks, but letters that others are made of
//!   are letters: composed and decomposed Hangul look the same and are two keys, everywhere.

/// The form of `text` in which letter case makes no difference.
///
/// ```
/// use towline_policy::fold;
///
/// assert_eq!(fold("Environment"), fold("ENVIRONMENT"));
/// assert_eq!(fold("Straße"), fold("STRASSE"));
/// assert_ne!(fold("café"), fold("cafe"));
/// ```
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    folded(text).collect()
}

/// The same, character by character.
pub(crate) fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// The first two keys of a list that [`fold`] makes the same. Equal keys count.
///
/// ```
/// use towline_policy::first_clash;
///
/// assert_eq!(first_clash(["Site", "Env", "env"]), Some(("Env", "env")));
/// assert_eq!(first_clash(["Site", "Env"]), None);
/// ```
#[must_use]
pub fn first_clash<'k>(keys: impl IntoIterator<Item = &'k str>) -> Option<(&'k str, &'k str)> {
    let mut seen = std::collections::HashMap::new();
    keys.into_iter().find_map(|key| seen.insert(fold(key), key).map(|before| (before, key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_folds_like_its_other_cases_and_folds_once() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let text = c.to_string();
            let once = fold(&text);
            assert_eq!(fold(&once), once, "{c:?} U+{:04X}", u32::from(c));
            assert_eq!(fold(&text.to_lowercase()), once, "{c:?} U+{:04X}", u32::from(c));
            assert_eq!(fold(&text.to_uppercase()), once, "{c:?} U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn neighbours_make_no_difference() {
        assert_eq!(fold("ΟΔΟΣ"), fold("οδος"));
        assert_eq!(fold("ΟΔΟΣ"), format!("{}{}", fold("ΟΔΟ"), fold("Σ")));
        assert_eq!(fold("\u{212a}ey"), "key");
    }
}
