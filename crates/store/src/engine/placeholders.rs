//! Placeholders: `?` in the statements of this crate, `$1`, `$2`, … at PostgreSQL.

use std::borrow::Cow;

/// The statement with numbered placeholders. A `?` in a quoted text stays.
pub(crate) fn numbered(sql: &str) -> Cow<'_, str> {
    if !sql.contains('?') {
        return Cow::Borrowed(sql);
    }
    let mut out = String::with_capacity(sql.len() + 32);
    let (mut number, mut quoted) = (0_usize, false);
    for c in sql.chars() {
        match c {
            '?' if !quoted => {
                number += 1;
                out.push('$');
                out.push_str(&number.to_string());
                continue;
            }
            '\'' => quoted = !quoted,
            _ => {}
        }
        out.push(c);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_placeholder_gets_its_number_and_quoted_text_stays() {
        assert_eq!(numbered("a = ? AND b <> '?''?' OR c = ?"), "a = $1 AND b <> '?''?' OR c = $2");
        assert!(matches!(numbered("SELECT 1"), Cow::Borrowed(_)));
    }
}
