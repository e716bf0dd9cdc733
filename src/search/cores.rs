//! Work spread over the cores of the machine, with results that do not depend on how many there are.

use std::time::{Duration, Instant};

/// Work that is worth a thread of its own: some ten times what it takes to start one.
const WORTH: Duration = Duration::from_micros(300);

/// Work on many things, on several cores if it is much, judged by how long the first takes. The results are in
/// order.
pub(super) fn spread<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let Some((first, rest)) = things.split_first() else { return Vec::new() };
    let began = Instant::now();
    let mut results = vec![work(first)];
    let each = WORTH.as_nanos() / began.elapsed().as_nanos().max(1);
    match on_cores(rest, each.max(1) as usize, &work) {
        Some(others) => results.extend(others),
        None => results.extend(rest.iter().map(work)),
    }
    results
}

/// Work on many things, on several cores, with at least `each` for every thread; `None` if that is but one
/// thread. The results are in order.
pub(super) fn on_cores<T: Sync, R: Send>(
    things: &[T],
    each: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Option<Vec<R>> {
    let worth = things.len() / each;
    if worth < 2 {
        return None;
    }
    let threads = worth.min(std::thread::available_parallelism().map_or(1, usize::from));
    if threads < 2 {
        return None;
    }
    let all = |part: &[T]| part.iter().map(&work).collect::<Vec<R>>();
    Some(std::thread::scope(|scope| {
        let parts = things.chunks(things.len().div_ceil(threads));
        let running: Vec<_> = parts.map(|part| scope.spawn(|| all(part))).collect();
        running.into_iter().flat_map(|r| r.join().unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    }))
}

/// A generator of numbers, not random ones, that counts how many were asked for. Work that gets by without any
/// does the same on another thread as in its turn.
pub(super) struct Tripwire(u64);

impl Tripwire {
    /// Nothing was asked for.
    pub(super) fn new() -> Tripwire {
        Tripwire(0)
    }

    /// Whether anything was.
    pub(super) fn tripped(&self) -> bool {
        self.0 > 0
    }
}

impl rand::TryRng for Tripwire {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.try_next_u64().map(|v| (v >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        // Never the same for long: some who ask go on until they like what they get.
        self.0 += 1;
        Ok(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
        for part in to.chunks_mut(8) {
            let bytes = self.try_next_u64()?.to_le_bytes();
            part.iter_mut().zip(bytes).for_each(|(t, b)| *t = b);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread::{current, sleep, ThreadId};

    #[test]
    fn results_are_in_order_and_much_work_is_on_several_threads() {
        let things: Vec<u64> = (0..23).collect();
        let slowly = |n: &u64| {
            sleep(Duration::from_millis(1));
            (n * n, current().id())
        };
        let (squares, threads): (Vec<u64>, HashSet<ThreadId>) = spread(&things, slowly).into_iter().unzip();
        assert_eq!(squares, things.iter().map(|n| n * n).collect::<Vec<_>>());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(threads.len() > 2 || cores == 1, "{threads:?}: this one and some others");
        assert_eq!(on_cores(&things[..1], 1, |n| *n), None);
        assert!(spread(&things[..0], |n| *n).is_empty());
    }

    #[test]
    fn a_tripwire_tells_of_every_way_to_draw() {
        use rand::RngExt;
        assert!(!Tripwire::new().tripped());
        for draw in [
            |rng: &mut Tripwire| {
                let _: i32 = rng.random_range(0..10);
            },
            |rng: &mut Tripwire| {
                let _: bool = rng.random_bool(0.5);
            },
            |rng: &mut Tripwire| rng.fill(&mut [0u8; 3]),
        ] {
            let mut wire = Tripwire::new();
            draw(&mut wire);
            assert!(wire.tripped());
        }
    }
}
