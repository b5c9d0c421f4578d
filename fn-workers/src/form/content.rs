//! A file's bytes: in memory while they are few, else in a temporary file that has no name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;

/// The bytes of a file that has come whole.
#[derive(Debug)]
pub(super) enum Content {
    Memory(Bytes),
    /// The file has no name: it goes with its last descriptor, however the process ends.
    Disk {
        file: File,
        length: u64,
    },
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { length, .. } => *length,
        }
    }

    /// Reads what is at a place into `into`; 0 at the end.
    pub(super) fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::Disk { file, .. } => file.read_at(into, at),
            Self::Memory(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let length = rest.len().min(into.len());
                into[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
        }
    }
}

/// The bytes of a file while they come.
#[derive(Debug)]
pub(super) enum Incoming {
    Memory(BytesMut),
    Disk { file: tokio::fs::File, length: u64 },
}

impl Default for Incoming {
    fn default() -> Self {
        Self::Memory(BytesMut::new())
    }
}

impl Incoming {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { length, .. } => *length,
        }
    }

    /// Takes more bytes; once there are more than `spill` of them, all lie on disk.
    pub(super) async fn push(&mut self, bytes: &[u8], spill: usize) -> io::Result<()> {
        match self {
            Self::Memory(held) if held.len() + bytes.len() <= spill => held.extend_from_slice(bytes),
            Self::Memory(held) => {
                let mut file = unnamed().await?;
                file.write_all(held).await?;
                file.write_all(bytes).await?;
                *self = Self::Disk { file, length: (held.len() + bytes.len()) as u64 };
            }
            Self::Disk { file, length } => {
                file.write_all(bytes).await?;
                *length += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// All have come.
    pub(super) async fn finish(self) -> io::Result<Content> {
        match self {
            Self::Memory(bytes) => Ok(Content::Memory(bytes.freeze())),
            Self::Disk { mut file, length } => {
                file.flush().await?;
                Ok(Content::Disk { file: file.into_std().await, length })
            }
        }
    }
}

/// A file in the temporary directory (`TMPDIR`) that no directory lists.
async fn unnamed() -> io::Result<tokio::fs::File> {
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(io::Error::other)??;
    Ok(tokio::fs::File::from_std(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_bytes_lie_on_disk_and_read_the_same() {
        for pieces in [1, 5] {
            let mut incoming = Incoming::default();
            for piece in 0..pieces {
                incoming.push(&[piece; 10], 20).await.unwrap();
            }
            assert_eq!(incoming.len(), u64::from(pieces) * 10);
            let content = incoming.finish().await.unwrap();
            assert_eq!(matches!(content, Content::Disk { .. }), pieces == 5);
            let mut read = [9; 4];
            let at = content.len() - 2;
            assert_eq!(content.read_at(&mut read, at).unwrap(), 2);
            assert_eq!(read, [pieces - 1, pieces - 1, 9, 9]);
            assert_eq!(content.read_at(&mut read, content.len() + 5).unwrap(), 0);
        }
    }
}
