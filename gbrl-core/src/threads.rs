//! Threads that share one piece of work, the calling one among them.

use std::hint::spin_loop;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield, yield_now};

use crate::error::{Error, Result};

/// As many threads as a caller wants to use, itself included: a clone uses the same ones.
///
/// Nothing is process-wide, and nothing runs between calls but where a guard keeps threads awake. In a forked child the
/// calling thread works alone. Work is cut into parts before it is shared, so what a part computes cannot depend on which
/// thread computes it.
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
    /// Guards that keep the threads awake.
    n_guards: AtomicUsize,
    /// Guards that are not given, since threads came late: awake ones only take time from the programs that kept them.
    n_refused: AtomicUsize,
    pulses: Arc<[Pulse]>,
}

/// A sign of life of one thread.
#[derive(Default)]
struct Pulse {
    /// Rises while the thread is awake and has nothing to do.
    beats: AtomicUsize,
    /// What it was when it was last looked at.
    seen: AtomicUsize,
}

/// Nanoseconds of work that pay for threads that must be woken for it, and for those that are awake.
const MIN_ASLEEP: usize = 200_000;
const MIN_AWAKE: usize = 5_000;

/// Nanoseconds of several pieces of work in a row that pay for waking the threads once.
const MIN_KEEP_AWAKE: usize = 50_000;

/// Nanoseconds after which a thread that the system has put aside for another program runs again, roughly.
const TIME_SLICE: usize = 1_000_000;

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
            Ok(pool) => {
                let pulses = (1..n).map(|_| Pulse::default()).collect();
                Ok(Threads {
                    others: Some(Arc::new(Others {
                        pool,
                        process: std::process::id(),
                        n_guards: AtomicUsize::new(0),
                        n_refused: AtomicUsize::new(0),
                        pulses,
                    })),
                })
            }
            Err(_) => Err(Error::parameter("n_threads", n, "as many threads as the system allows")),
        }
    }

    /// The calling thread alone.
    pub fn one() -> Threads {
        Threads::default()
    }

    /// How many there are, the calling one included.
    pub fn count(&self) -> usize {
        1 + self.others().map_or(0, |others| others.pulses.len())
    }

    /// The other threads, where this process has any.
    fn others(&self) -> Option<&Others> {
        self.others.as_deref().filter(|others| others.process == std::process::id())
    }

    /// How many threads pay for work that takes one of them so many nanoseconds, roughly.
    pub fn worth(&self, nanoseconds: usize) -> usize {
        let Some(others) = self.others() else { return 1 };
        let is_guarded = others.n_guards.load(Ordering::Relaxed) > 0;
        if nanoseconds >= if is_guarded { TIME_SLICE } else { MIN_ASLEEP } {
            self.count()
        } else if is_guarded && nanoseconds >= MIN_AWAKE {
            1 + others.n_awake()
        } else {
            1
        }
    }

    /// Calls `run` on every part and returns when all are done. The last part is done here, so that a thread less has to be
    /// woken; one part wakes none.
    ///
    /// # Panics
    /// Where `run` does.
    pub fn share<T: Send>(&self, parts: impl IntoIterator<Item = T>, run: impl Fn(T) + Sync) {
        let mut parts = parts.into_iter();
        let Some(mut last) = parts.next() else { return };
        let Some(others) = self.others() else {
            run(last);
            return parts.for_each(run);
        };
        let Some(mut next) = parts.next() else { return run(last) };
        let (run, n_open) = (&run, &AtomicUsize::new(0));
        others.pool.in_place_scope(|scope| {
            loop {
                n_open.fetch_add(1, Ordering::Relaxed);
                scope.spawn(move |_| {
                    run(last);
                    n_open.fetch_sub(1, Ordering::Release);
                });
                last = next;
                match parts.next() {
                    Some(part) => next = part,
                    None => break,
                }
            }
            run(last);
            // Parts are alike, so the others end about now: falling asleep would cost more than waiting.
            for _ in 0..MAX_SPINS {
                if n_open.load(Ordering::Acquire) == 0 {
                    return;
                }
                spin_loop();
            }
            others.n_refused.store(MAX_REFUSED, Ordering::Relaxed);
        });
    }

    /// Wakes the other threads and keeps them awake until the guard is dropped, for several short pieces of work in a
    /// row that take one thread so many nanoseconds together; `None` where that does not pay, or has not lately.
    pub fn keep_awake(&self, nanoseconds: usize) -> Option<Awake> {
        self.others()?;
        let others = self.others.as_ref().filter(|_| nanoseconds >= MIN_KEEP_AWAKE)?;
        let n_refused = others.n_refused.load(Ordering::Relaxed);
        if n_refused > 0 {
            others.n_refused.store(n_refused - 1, Ordering::Relaxed);
            return None;
        }
        others.n_guards.fetch_add(1, Ordering::Relaxed);
        others.n_awake();
        let done = Arc::new(AtomicBool::new(false));
        let (is_done, pulses) = (done.clone(), others.pulses.clone());
        others.pool.spawn_broadcast(move |context| {
            while !is_done.load(Ordering::Acquire) {
                pulses[context.index()].beats.fetch_add(1, Ordering::Relaxed);
                if yield_now() != Some(Yield::Executed) {
                    spin_loop();
                }
            }
        });
        Some(Awake { done, others: others.clone() })
    }
}

impl Others {
    /// Threads that were ready to work at some time since this was last asked. One that the system has put aside for other
    /// programs does not count: waiting for it would take longer than doing its part.
    fn n_awake(&self) -> usize {
        self.pulses.iter().filter(|pulse| pulse.has_beaten()).count()
    }
}

impl Pulse {
    /// Whether the thread has been idle and awake since this was last asked.
    fn has_beaten(&self) -> bool {
        let beats = self.beats.load(Ordering::Relaxed);
        self.seen.swap(beats, Ordering::Relaxed) != beats
    }
}

/// Keeps threads awake; see [`Threads::keep_awake`].
pub struct Awake {
    done: Arc<AtomicBool>,
    others: Arc<Others>,
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        self.others.n_guards.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Guards that are refused after a thread has come late.
const MAX_REFUSED: usize = 16;

/// How often the end of the other parts is looked for before the calling thread falls asleep; some 50 µs.
const MAX_SPINS: usize = 4096;

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
    fn threads_that_are_kept_awake_pay_for_less_work() {
        let threads = Threads::new(2).unwrap();
        assert_eq!((threads.worth(MIN_AWAKE), threads.worth(MIN_ASLEEP)), (1, 2));
        assert!(threads.keep_awake(MIN_KEEP_AWAKE - 1).is_none());
        assert!(Threads::one().keep_awake(TIME_SLICE).is_none());
        let guard = threads.keep_awake(MIN_KEEP_AWAKE).unwrap();
        assert_eq!(threads.worth(MIN_AWAKE - 1), 1);
        while threads.worth(MIN_AWAKE) == 1 {
            std::thread::yield_now();
        }
        let mut parts = [0, 0];
        threads.share(parts.iter_mut(), |part| *part += 1);
        assert_eq!(parts, [1, 1]);
        drop(guard);
        assert_eq!(threads.worth(MIN_AWAKE), 1);
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
