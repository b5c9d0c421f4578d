//! Windows: how many body bytes of one direction of one job may be under way.
//!
//! A sender starts with [`INITIAL_WINDOW`] bytes and spends them; the receiver hands credit back as its reader
//! consumes. A slow client thereby stops the JavaScript stream's `pull`, and a slow isolate stops the upload:
//! memory for a job is bounded by its windows, whatever the size of its page.

/// What a sender may send before the first credit comes, in bytes.
pub const INITIAL_WINDOW: usize = 256 * 1024;

/// The longest body payload of one frame, in bytes; longer chunks are cut.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;

/// The sender's side: how much it may still send.
#[derive(Debug, Clone)]
pub struct SendWindow {
    available: usize,
}

/// The other side broke the rules of the window. Ends the link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// More bytes came than the window allowed.
    #[error("{excess} bytes came beyond the window")]
    Overrun {
        /// How many too many.
        excess: usize,
    },
    /// More credit came than bytes had been spent.
    #[error("credit came for bytes that were never sent")]
    Overcredit,
}

impl Default for SendWindow {
    fn default() -> Self {
        Self { available: INITIAL_WINDOW }
    }
}

impl SendWindow {
    /// How many bytes may be sent now.
    pub fn available(&self) -> usize {
        self.available
    }

    /// Takes up to `wanted` bytes off the window and says how many it took.
    pub fn take(&mut self, wanted: usize) -> usize {
        let taken = wanted.min(self.available);
        self.available -= taken;
        taken
    }

    /// The receiver has consumed `bytes`.
    ///
    /// # Errors
    /// [`WindowError::Overcredit`] when the window would exceed its initial size.
    pub fn credit(&mut self, bytes: usize) -> Result<(), WindowError> {
        if bytes > INITIAL_WINDOW - self.available {
            return Err(WindowError::Overcredit);
        }
        self.available += bytes;
        Ok(())
    }
}

/// The receiver's side: what came, and what credit is due.
#[derive(Debug, Clone, Default)]
pub struct ReceiveWindow {
    unread: usize,
    consumed: usize,
}

impl ReceiveWindow {
    /// Bytes came from the sender.
    ///
    /// # Errors
    /// [`WindowError::Overrun`] when the sender had no window for them.
    pub fn received(&mut self, bytes: usize) -> Result<(), WindowError> {
        let outstanding = self.unread + self.consumed + bytes;
        if outstanding > INITIAL_WINDOW {
            return Err(WindowError::Overrun { excess: outstanding - INITIAL_WINDOW });
        }
        self.unread += bytes;
        Ok(())
    }

    /// The reader took `bytes`. Returns the credit to send now, if enough has come together: a quarter of the
    /// window, so that credit frames stay few and the sender never has to stop for a reader that keeps up.
    pub fn consumed(&mut self, bytes: usize) -> Option<usize> {
        debug_assert!(bytes <= self.unread, "consumed more than came");
        let bytes = bytes.min(self.unread);
        self.unread -= bytes;
        self.consumed += bytes;
        (self.consumed >= INITIAL_WINDOW / 4).then(|| std::mem::take(&mut self.consumed))
    }

    /// Bytes that came and were not yet read.
    pub fn unread(&self) -> usize {
        self.unread
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the sender offers and the reader takes, nothing exceeds the window and nothing stalls.
        #[test]
        fn a_transfer_is_bounded_and_finishes(
            chunks in proptest::collection::vec(1usize..100_000, 1..60),
            reads in proptest::collection::vec(1usize..100_000, 1..60),
        ) {
            let total: usize = chunks.iter().sum();
            let (mut send, mut receive) = (SendWindow::default(), ReceiveWindow::default());
            let (mut sent, mut read) = (0, 0);
            let mut reads = reads.iter().cycle();
            let mut chunks = chunks.into_iter();
            let mut pending = 0;
            while read < total {
                if pending == 0 {
                    pending = chunks.next().unwrap_or(0);
                }
                let taken = send.take(pending);
                pending -= taken;
                sent += taken;
                receive.received(taken).unwrap();
                prop_assert!(receive.unread() <= INITIAL_WINDOW);
                let step = (*reads.next().unwrap()).min(receive.unread());
                prop_assert!(step > 0 || taken > 0 || send.available() > 0, "stalled at {read} of {total}");
                read += step;
                if let Some(credit) = receive.consumed(step) {
                    send.credit(credit).unwrap();
                }
            }
            prop_assert_eq!(sent, total);
        }
    }

    #[test]
    fn a_sender_beyond_its_window_is_found_out() {
        let mut receive = ReceiveWindow::default();
        receive.received(INITIAL_WINDOW).unwrap();
        assert_eq!(receive.received(1), Err(WindowError::Overrun { excess: 1 }));
    }

    #[test]
    fn credit_that_was_never_spent_is_found_out() {
        assert_eq!(SendWindow::default().credit(1), Err(WindowError::Overcredit));
    }
}
