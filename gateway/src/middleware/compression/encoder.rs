//! Encoders that give out at once all that they were given.

use std::io::{self, Write};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::write::GzEncoder;
use zstd::zstd_safe::CParameter;

use super::encoding::Encoding;

/// How hard an encoder tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// While a client waits.
    Live,
    /// Once, for all clients to come.
    Once,
}

/// The window of live encoders, in bits: memory for each response that is under way.
const LIVE_WINDOW: u32 = 17;

/// An encoder.
pub enum Encoder {
    /// See [`Encoding::Zstd`].
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
    /// See [`Encoding::Brotli`].
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    /// See [`Encoding::Gzip`].
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Encoder {
    /// An encoder.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(encoding: Encoding, effort: Effort) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Zstd => {
                let level = if effort == Effort::Live { 1 } else { 12 };
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
                if effort == Effort::Live {
                    encoder.set_parameter(CParameter::WindowLog(LIVE_WINDOW))?;
                }
                Self::Zstd(Box::new(encoder))
            }
            Encoding::Brotli => {
                let live = effort == Effort::Live;
                let lgwin = if live { LIVE_WINDOW.cast_signed() } else { 22 };
                let params =
                    BrotliEncoderParams { quality: if live { 4 } else { 7 }, lgwin, ..Default::default() };
                Self::Brotli(Box::new(CompressorWriter::with_params(Vec::new(), 4096, &params)))
            }
            Encoding::Gzip => {
                let level = if effort == Effort::Live { 4 } else { 9 };
                Self::Gzip(Box::new(GzEncoder::new(Vec::new(), flate2::Compression::new(level))))
            }
        })
    }

    /// Encodes a chunk; what comes back can be decoded to all that was given so far.
    ///
    /// # Errors
    /// When the encoder fails; it cannot go on.
    pub fn encode(&mut self, chunk: &[u8]) -> io::Result<Bytes> {
        let out = match self {
            Self::Zstd(encoder) => {
                encoder.write_all(chunk)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Self::Brotli(encoder) => {
                encoder.write_all(chunk)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Self::Gzip(encoder) => {
                encoder.write_all(chunk)?;
                encoder.flush()?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(out).into())
    }

    /// Encodes the last chunk and the end.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn finish(self, chunk: &[u8]) -> io::Result<Bytes> {
        let out = match self {
            Self::Zstd(mut encoder) => {
                encoder.write_all(chunk)?;
                encoder.finish()?
            }
            Self::Brotli(mut encoder) => {
                encoder.write_all(chunk)?;
                encoder.into_inner()
            }
            Self::Gzip(mut encoder) => {
                encoder.write_all(chunk)?;
                encoder.finish()?
            }
        };
        Ok(out.into())
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Zstd(_) => "Encoder(zstd)",
            Self::Brotli(_) => "Encoder(br)",
            Self::Gzip(_) => "Encoder(gzip)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    /// What the bytes decode to so far; they need not have ended.
    fn decoded(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let mut reader: Box<dyn Read + '_> = match encoding {
            Encoding::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
            Encoding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
            Encoding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
        };
        let (mut out, mut piece) = (Vec::new(), [0; 1000]);
        while let Ok(read) = reader.read(&mut piece)
            && read > 0
        {
            out.extend_from_slice(&piece[..read]);
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn nothing_waits_in_an_encoder_and_the_whole_comes_back(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..6),
            effort in prop::sample::select(vec![Effort::Live, Effort::Once]),
        ) {
            for encoding in Encoding::ALL {
                let mut encoder = Encoder::new(encoding, effort).unwrap();
                let (mut sent, mut given) = (Vec::new(), Vec::new());
                for chunk in &chunks {
                    sent.extend_from_slice(&encoder.encode(chunk).unwrap());
                    given.extend_from_slice(chunk);
                    prop_assert!(decoded(encoding, &sent) == given, "{encoding:?} holds something back");
                }
                sent.extend_from_slice(&encoder.finish(b"end").unwrap());
                given.extend_from_slice(b"end");
                prop_assert!(decoded(encoding, &sent) == given, "{encoding:?}");
            }
        }
    }
}
