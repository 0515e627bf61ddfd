//! Gzip of one block, with a compressor that a thread makes once: its 300 KiB would be zeroed for
//! each block otherwise.
//!
//! Source of the form: RFC 1952, section 2.3.
//!
//! # Invariants
//! - A member says no time and no name: the same block gives the same bytes.

use std::cell::RefCell;
use std::io::Write as _;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// RFC 1952: magic, deflate, no flags, no time, "fastest", system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// Room for the output that is kept for the next block, bytes; a block that needs more gets it for
/// itself.
const KEPT: usize = 256 * 1024;

struct Packer {
    compress: Compress,
    member: Vec<u8>,
}

thread_local! {
    static PACKER: RefCell<Packer> =
        RefCell::new(Packer { compress: Compress::new(Compression::fast(), false), member: Vec::new() });
}

/// Gives `take` the block as one gzip member. For threads that do nothing else: the compressor
/// stays with them.
pub(crate) fn packed<T>(block: &[u8], take: impl FnOnce(&[u8]) -> T) -> std::io::Result<T> {
    PACKER.with_borrow_mut(|packer| {
        packer.pack(block)?;
        let taken = take(&packer.member);
        packer.member.clear();
        packer.member.shrink_to(KEPT);
        Ok(taken)
    })
}

/// A whole file as gzip, as small as the default level makes it: it is kept for years.
pub(crate) fn file(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text)?;
    encoder.finish()
}

impl Packer {
    fn pack(&mut self, block: &[u8]) -> std::io::Result<()> {
        let Self { compress, member } = self;
        compress.reset();
        member.clear();
        member.extend_from_slice(&HEADER);
        loop {
            member.reserve(64 * 1024);
            let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            let rest = block.get(done..).unwrap_or_default();
            if compress.compress_vec(rest, member, FlushCompress::Finish)? == Status::StreamEnd {
                break;
            }
        }
        let mut crc = Crc::new();
        crc.update(block);
        member.extend_from_slice(&crc.sum().to_le_bytes());
        member.extend_from_slice(&crc.amount().to_le_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    #[test]
    fn any_reader_of_gzip_unpacks_each_block_and_the_same_block_gives_the_same_bytes() {
        let random: Vec<u8> =
            (0..300_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        for block in [&b""[..], b"one line\n", &[b'x'; 200_000], &random] {
            let member = packed(block, <[u8]>::to_vec).unwrap();
            let mut unpacked = Vec::new();
            GzDecoder::new(&member[..]).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == block);
            assert!(packed(block, |again| again == member).unwrap());
        }
    }
}
