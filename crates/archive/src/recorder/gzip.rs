//! Gzip, RFC 1952: one member for a block of a recording, or a whole file.
//!
//! A thread makes its compressor once. A new one for each block would mean zeroing 300 KiB each
//! time.
//!
//! # Invariants
//! - A member holds no time and no name: the same block gives the same bytes.

use std::cell::RefCell;
use std::io::Write as _;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::limits::KEPT_MEMBER;

/// RFC 1952, section 2.3: magic, deflate, no flags, no time, "fastest", unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

struct Compressor {
    compress: Compress,
    member: Vec<u8>,
}

thread_local! {
    static COMPRESSOR: RefCell<Compressor> =
        RefCell::new(Compressor { compress: Compress::new(Compression::fast(), false), member: Vec::new() });
}

/// Compresses a block and passes `take` the member. The compressor stays with the thread: call it
/// from a thread that does nothing else.
pub(super) fn member<T>(block: &[u8], take: impl FnOnce(&[u8]) -> T) -> std::io::Result<T> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.compress(block)?;
        let taken = take(&compressor.member);
        compressor.member.clear();
        compressor.member.shrink_to(KEPT_MEMBER);
        Ok(taken)
    })
}

/// A whole file as gzip, as small as the default level makes it: it is kept for years.
pub(super) fn file(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text)?;
    encoder.finish()
}

impl Compressor {
    fn compress(&mut self, block: &[u8]) -> std::io::Result<()> {
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
    fn any_gzip_reader_unpacks_each_block_and_the_same_block_gives_the_same_bytes() {
        let random: Vec<u8> =
            (0..300_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        for block in [&b""[..], b"one line\n", &[b'x'; 200_000], &random] {
            let packed = member(block, <[u8]>::to_vec).unwrap();
            let mut unpacked = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == block);
            assert!(member(block, |again| again == packed).unwrap());
        }
    }
}
