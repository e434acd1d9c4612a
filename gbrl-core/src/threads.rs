//! Threads that share one piece of work, the calling one among them.

use std::ops::Range;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// As many threads as a caller wants to use, itself included: a clone uses the same ones.
///
/// Nothing is process-wide, and nothing runs between calls. In a forked child the calling thread works alone. Work is cut into parts before it is shared, so what a part
/// computes cannot depend on which thread computes it.
///
/// ```
/// use gbrl_core::threads::Threads;
///
/// let mut squares = [1, 2, 3, 4];
/// let threads = Threads::new(2)?;
/// threads.share(squares.chunks_mut(2), |half| half.iter_mut().for_each(|x| *x *= *x));
/// assert_eq!(squares, [1, 4, 9, 16]);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Threads {
    /// All but the calling one.
    others: Option<Arc<Others>>,
}

struct Others {
    pool: ThreadPool,
    /// A process forked from this one has the pool's memory and none of its threads.
    process: u32,
}

impl Threads {
    /// `n` threads; 0 means one per core that this process may use.
    ///
    /// # Errors
    /// Class `Value` where the system does not give as many.
    pub fn new(n: usize) -> Result<Threads> {
        let n = if n == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { n };
        if n == 1 {
            return Ok(Threads::one());
        }
        match ThreadPoolBuilder::new().num_threads(n - 1).thread_name(|i| format!("gbrl-{}", i + 1)).build() {
            Ok(pool) => Ok(Threads { others: Some(Arc::new(Others { pool, process: std::process::id() })) }),
            Err(_) => Err(Error::parameter("n_threads", n, "as many threads as the system allows")),
        }
    }

    /// The calling thread alone.
    pub fn one() -> Threads {
        Threads::default()
    }

    /// How many there are, the calling one included.
    pub fn count(&self) -> usize {
        1 + self.pool().map_or(0, ThreadPool::current_num_threads)
    }

    /// The other threads, where this process has any.
    fn pool(&self) -> Option<&ThreadPool> {
        self.others.as_ref().filter(|others| others.process == std::process::id()).map(|others| &others.pool)
    }

    /// Calls `run` on every part and returns when all are done. The last part is done here, so that a thread less has to be
    /// woken; one part wakes none.
    ///
    /// # Panics
    /// Where `run` does.
    pub fn share<T: Send>(&self, parts: impl IntoIterator<Item = T>, run: impl Fn(T) + Sync) {
        let mut parts = parts.into_iter();
        let Some(mut last) = parts.next() else { return };
        let Some(pool) = self.pool() else {
            run(last);
            return parts.for_each(run);
        };
        let Some(mut next) = parts.next() else { return run(last) };
        let run = &run;
        pool.in_place_scope(|scope| {
            loop {
                scope.spawn(move |_| run(last));
                last = next;
                match parts.next() {
                    Some(part) => next = part,
                    None => break,
                }
            }
            run(last);
        });
    }
}

/// `0..n` cut into `n_parts` ranges whose lengths differ by one at most.
pub(crate) fn even_ranges(n: usize, n_parts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n_parts).map(move |i| i * n / n_parts..(i + 1) * n / n_parts)
}

#[cfg(test)]
mod tests {

    use std::sync::Barrier;
    use std::sync::Mutex;
    use std::thread::ThreadId;

    use super::*;

    #[test]
    fn every_part_runs_once_whatever_the_number_of_threads() {
        for n_threads in 1..5 {
            let threads = Threads::new(n_threads).unwrap();
            assert_eq!(threads.count(), n_threads);
            for n_parts in 0..7 {
                let mut parts = vec![0; n_parts];
                threads.share(parts.iter_mut(), |part| *part += 1);
                assert_eq!(parts, vec![1; n_parts], "{n_threads} threads");
            }
        }
    }

    #[test]
    fn the_calling_thread_takes_a_part_and_the_others_run_beside_it() {
        let (threads, barrier, seen) = (Threads::new(3).unwrap(), Barrier::new(3), Mutex::new(Vec::<ThreadId>::new()));
        threads.share(0..3, |_| {
            barrier.wait();
            seen.lock().unwrap().push(std::thread::current().id());
        });
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen.len(), 3);
        assert!(seen.contains(&std::thread::current().id()));
    }

    #[test]
    fn ranges_cover_everything_evenly() {
        for (n, n_parts) in [(0, 1), (1, 3), (7, 2), (24, 5)] {
            let ranges: Vec<_> = even_ranges(n, n_parts).collect();
            assert_eq!(ranges.iter().cloned().flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
            assert!(ranges.iter().all(|range| range.len().abs_diff(n / n_parts) <= 1));
        }
    }
}
