//! Bytes on their way, in the order in which they came. An empty queue holds no memory.

/// Bytes that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    /// So many of them are done.
    done: usize,
}

impl Queue {
    /// What waits.
    pub(super) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.done..).unwrap_or_default()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// So many of what waits are done.
    pub(super) fn advance(&mut self, done: usize) {
        self.done += done;
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Puts bytes behind what waits.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Puts behind what waits whatever `write` writes. It says how many bytes it wrote, or how many
    /// it needs when it was given fewer.
    ///
    /// # Errors
    /// Those of `write` that name no number.
    pub(super) fn push_written<E>(
        &mut self,
        mut room: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, Result<usize, E>>,
    ) -> Result<(), E> {
        let before = self.bytes.len();
        loop {
            self.bytes.resize(before + room, 0);
            let written = write(&mut self.bytes[before..]);
            self.bytes.truncate(before + written.as_ref().map_or(0, |n| *n));
            match written {
                Ok(_) => return Ok(()),
                Err(Ok(needed)) => room = needed.max(room + 1), // so that there is an end
                Err(Err(error)) => return Err(error),
            }
        }
    }

    /// Memory that is held, bytes.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }
}
