//! How much memory a buffer keeps between two uses: what is usual, other than that of a burst.

use bytes::BytesMut;

use crate::window::INITIAL_WINDOW;

/// A buffer may always keep so much memory, in bytes.
pub(crate) const KEEP_BYTES: usize = 256 * 1024;

/// And so much, in bytes, as long as that is what it needs: a full window, to which it grew by doubling.
pub(crate) const MOST_KEEP_BYTES: usize = 4 * INITIAL_WINDOW;

/// What an outbound buffer has held lately, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// The most since it was empty.
    most: usize,
    /// A mean of that, which halves each time.
    usual: usize,
}

impl Room {
    /// The buffer holds so much now.
    pub(crate) fn holds(&mut self, bytes: usize) {
        self.most = self.most.max(bytes);
    }

    /// All of it has left: the buffer is empty, and keeps the memory that was needed lately.
    pub(crate) fn emptied(&mut self, buffer: &mut BytesMut) {
        self.usual = self.most.max(self.usual / 2);
        self.most = 0;
        buffer.clear();
        // What was taken off its front comes back; false when nothing was, or while somebody holds it.
        let _is_more = buffer.try_reclaim(buffer.capacity() + 1);
        let needed = (4 * self.usual).min(MOST_KEEP_BYTES);
        if buffer.capacity() > KEEP_BYTES.max(needed) {
            *buffer = BytesMut::new();
        }
    }
}
