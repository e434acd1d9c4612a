//! Many numbers of which copies are taken often, and few of which change in between.

use std::sync::Arc;

use crate::rl::exact::f32_text;

/// Numbers in pages that copies share until one of the two changes them: a copy costs a pointer per page, a change
/// after it the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shared {
    /// All full but the last.
    pages: Vec<Arc<Vec<f32>>>,
}

/// 4 KiB: smaller ones cost more pointers, larger ones more numbers around those that change.
const PAGE: usize = 1024;

impl Shared {
    pub(super) fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    pub(super) fn to_vec(&self) -> Vec<f32> {
        self.pages.iter().flat_map(|page| page.iter()).copied().collect()
    }

    /// Keeps the first `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        self.pages.truncate(len.div_ceil(PAGE));
        let full = self.pages.len().saturating_sub(1) * PAGE;
        if let Some(last) = self.pages.last_mut().filter(|last| last.len() > len - full) {
            Arc::make_mut(last).truncate(len - full);
        }
    }

    /// Puts `values` in place of those from `start` on, which is at most [`len`](Shared::len), and after the last.
    pub(super) fn write(&mut self, start: usize, values: &[f32]) {
        let (mut at, mut rest) = (start, values);
        while !rest.is_empty() {
            if at / PAGE == self.pages.len() {
                self.pages.push(Arc::new(Vec::with_capacity(PAGE)));
            }
            let page = Arc::make_mut(&mut self.pages[at / PAGE]);
            let (now, later) = rest.split_at(rest.len().min(PAGE - at % PAGE));
            let (over, behind) = now.split_at(now.len().min(page.len() - at % PAGE));
            page[at % PAGE..][..over.len()].copy_from_slice(over);
            page.extend_from_slice(behind);
            (at, rest) = (at + now.len(), later);
        }
    }
}

impl From<&[f32]> for Shared {
    fn from(values: &[f32]) -> Self {
        Shared { pages: values.chunks(PAGE).map(|page| Arc::new(page.to_vec())).collect() }
    }
}

/// As [`f32_text`] writes them.
pub(super) mod text {
    use serde::{Deserializer, Serializer};

    use super::{Shared, f32_text};

    pub fn serialize<S: Serializer>(values: &Shared, serializer: S) -> Result<S::Ok, S::Error> {
        f32_text::serialize(&values.to_vec(), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Shared, D::Error> {
        f32_text::deserialize(deserializer).map(|values| Shared::from(&values[..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// Against a plain vector.
    #[test]
    fn writes_and_cuts_are_those_of_a_vector_and_leave_copies_alone() {
        let mut stream = Stream::new(0, "shared", 0);
        let (mut shared, mut plain) = (Shared::default(), Vec::new());
        let mut copies = Vec::new();
        for i in 0..2000 {
            let start = stream.below(plain.len() as u64 + 1) as usize;
            let values: Vec<f32> = (0..[0, 1, 51, 2500][i % 4]).map(|_| stream.uniform() as f32).collect();
            let start = if i % 3 == 0 { plain.len() } else { start };
            shared.write(start, &values);
            plain.resize(plain.len().max(start + values.len()), 0.0);
            plain[start..][..values.len()].copy_from_slice(&values);
            if i % 50 == 49 {
                let len = [stream.below(plain.len() as u64 + 1) as usize, plain.len() / PAGE * PAGE, 0][i / 50 % 3];
                shared.truncate(len);
                plain.truncate(len);
                shared.truncate(len + 1);
            }
            assert_eq!((shared.len(), shared.is_empty()), (plain.len(), plain.is_empty()));
            assert_eq!(shared.to_vec(), plain);
            assert_eq!(shared, Shared::from(&plain[..]));
            if i % 100 == 7 {
                copies.push((shared.clone(), plain.clone()));
            }
        }
        assert!(
            copies.iter().all(|(shared, plain)| shared.to_vec() == *plain) && copies.iter().any(|c| c.1.len() > PAGE)
        );
    }

    #[test]
    fn a_change_after_a_copy_takes_one_page_along() {
        let mut shared = Shared::from(&[0.5; 10 * PAGE][..]);
        let copy = shared.clone();
        shared.write(3 * PAGE + 7, &[1.0, 2.0]);
        let is_shared = |i: &usize| Arc::ptr_eq(&shared.pages[*i], &copy.pages[*i]);
        assert_eq!((0..10).filter(is_shared).count(), 9);
    }
}
