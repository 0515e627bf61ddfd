//! The signature within a Mach-O program: the digests of its pages.
//!
//! # Invariants
//! - Only the digests are checked. Who signed is not: a signature of ours is ad hoc, by nobody.

use ring::digest::{SHA256, digest};

/// The first four bytes of a signature, and of its list of digests.
const SIGNATURE: u32 = 0xfade_0cc0;
const DIRECTORY: u32 = 0xfade_0c02;
/// The digest is SHA-256.
const BY_SHA256: u8 = 2;
/// Bytes of such a digest.
const DIGEST: usize = 32;

/// Checks that the signature is that of these bytes. Gives the number of pages.
///
/// # Errors
/// What does not fit.
pub(super) fn check(file: &[u8], at: usize) -> Result<usize, String> {
    let directory = directory(file, at).ok_or("its signature has no list of digests")?;
    let (digests, pages, limit, page) =
        fields(directory).ok_or("the digests of its signature are not SHA-256 of pages")?;
    let signed = file.get(..limit).ok_or("its signature is for a longer file")?;
    let expected = directory.get(digests..).unwrap_or_default().chunks_exact(DIGEST);
    let found = signed.chunks(page).map(|page| digest(&SHA256, page));
    if found.len() != pages || expected.len() < pages {
        return Err(format!("its signature has digests of {pages} pages, it has {}", found.len()));
    }
    match found.zip(expected).position(|(found, expected)| found.as_ref() != expected) {
        Some(page) => Err(format!("its signature does not fit page {page}: macOS would kill it")),
        None => Ok(pages),
    }
}

fn directory(file: &[u8], at: usize) -> Option<&[u8]> {
    let all = file.get(at..).filter(|all| number(all, 0) == Some(SIGNATURE))?;
    let parts = size(all, 8)?.min(16);
    let offsets = (0..parts).filter_map(|part| size(all, 16 + 8 * part));
    offsets.filter_map(|offset| all.get(offset..)).find(|part| number(part, 0) == Some(DIRECTORY))
}

/// Where the digests are, how many, of how many bytes, and how large a page is.
fn fields(directory: &[u8]) -> Option<(usize, usize, usize, usize)> {
    let (length, kind) = (*directory.get(36)?, *directory.get(37)?);
    let page = 1_usize.checked_shl(u32::from(*directory.get(39)?)).filter(|page| *page > 0)?;
    let fits = usize::from(length) == DIGEST && kind == BY_SHA256;
    fits.then_some((size(directory, 16)?, size(directory, 28)?, size(directory, 32)?, page))
}

fn size(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(number(bytes, at)?).ok()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A signature of these bytes, with pages of 16.
    pub(crate) fn of(signed: &[u8]) -> Vec<u8> {
        let (digests, length) = (44_u32, u32::try_from(signed.len()).unwrap());
        let pages = length.div_ceil(16);
        let head = [DIRECTORY, 0, 0, 0, digests, 0, 0, pages, length];
        let mut directory: Vec<u8> = head.iter().flat_map(|n| n.to_be_bytes()).collect();
        directory.extend([32, BY_SHA256, 0, 4, 0, 0, 0, 0]);
        directory.extend(signed.chunks(16).flat_map(|p| digest(&SHA256, p).as_ref().to_vec()));
        let mut all: Vec<u8> =
            [SIGNATURE, 0, 1, 0, 20].iter().flat_map(|n| n.to_be_bytes()).collect();
        all.extend(directory);
        all
    }

    #[test]
    fn a_page_that_was_changed_after_signing_is_found() {
        let signed = [7; 40];
        let mut file = [&signed[..], &of(&signed)].concat();
        assert_eq!(check(&file, 40), Ok(3));
        file[20] = 8;
        assert!(check(&file, 40).unwrap_err().contains("page 1"));
        file[20] = 7;
        file.truncate(40 + 20 + 44 + 32);
        assert!(check(&file, 40).unwrap_err().contains("3 pages"));
        assert!(check(b"no signature", 0).unwrap_err().contains("no list"));
    }
}
