//! Scratch memory that begins on a cache line, so that a cell of eight 64-bit sums is one line and never two halves.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
const LINE: usize = 64;

/// A buffer of numbers whose first element lies on a cache line. What it holds after growing is unspecified.
#[derive(Debug, Default)]
pub struct Aligned<T> {
    memory: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// Gives the buffer `len` elements; their values are whatever was there.
    pub fn resize(&mut self, len: usize) {
        let spare = LINE / size_of::<T>();
        if self.memory.len() < len + spare {
            // Nothing is kept, so nothing need be copied.
            self.memory = vec![T::default(); (len + spare).max(3 * self.memory.len() / 2)];
            self.start = self.memory.as_ptr().align_offset(LINE).min(spare);
        }
        self.len = len;
    }

    /// Gives the buffer `len` zeros.
    pub fn zero(&mut self, len: usize) {
        self.resize(len);
        self.fill(T::default());
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buffer_starts_on_a_line() {
        for len in [0, 1, 7, 1000] {
            let mut buffer = Aligned::<i64>::default();
            buffer.zero(len);
            assert_eq!((buffer.len(), buffer.as_ptr() as usize % LINE), (len, 0));
            buffer.zero(3 * len);
            assert!(buffer.iter().all(|&x| x == 0) && (buffer.as_ptr() as usize).is_multiple_of(LINE));
        }
    }
}
