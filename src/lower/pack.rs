//! Offsets: places buffers with known lifetimes in an arena that is as small as possible (dynamic
//! storage allocation, NP-hard in general). Several greedy orders first; if none reaches the lower
//! bound, a local search over orders, then branch and bound, which proves the best arena found to
//! be the smallest if it ends.

/// A buffer to place. It is live from step `first` to step `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) bytes: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

impl Item {
    fn meets(&self, other: &Item) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Places for all items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packing {
    /// Offsets, by item.
    pub(super) offsets: Vec<usize>,
    /// The end of the highest item.
    pub(super) bytes: usize,
    /// The most bytes that are live at one step: no arena can be smaller.
    pub(super) lower_bound: usize,
    /// Whether `bytes` is proven to be the smallest.
    pub(super) optimal: bool,
}

/// Placements that branch and bound tries at most.
const LIMIT: usize = 50_000;
/// Orders that the local search tries.
const ROUNDS: usize = 1_000;
/// Items beyond which it is not tried.
const MANY: usize = 256;

/// Places the items; `steps` is the number of steps.
pub(super) fn pack(items: &[Item], steps: usize) -> Packing {
    let mut live = vec![0usize; steps.max(1)];
    for item in items {
        for l in span(&mut live, item) {
            *l = l.saturating_add(item.bytes);
        }
    }
    let lower_bound = live.iter().copied().max().unwrap_or(0);
    let (order, mut best) = greedy(items, lower_bound);
    if best.1 > lower_bound {
        improve(items, order, &mut best, lower_bound);
    }
    let mut optimal = best.1 == lower_bound;
    if !optimal && items.len() <= MANY {
        (best, optimal) = branch_and_bound(items, live, best, lower_bound);
    }
    Packing { offsets: best.0, bytes: best.1, lower_bound, optimal }
}

/// The entries of a per-step table for which an item is live.
fn span<'a>(table: &'a mut [usize], item: &Item) -> impl Iterator<Item = &'a mut usize> {
    table.iter_mut().take(item.last.saturating_add(1)).skip(item.first)
}

/// Offsets, and the end of the highest item.
type Placed = (Vec<usize>, usize);

/// The best of several orders, each item at the lowest place that is free; with the order. The first that
/// reaches the lower bound is as good as any.
fn greedy(items: &[Item], lower_bound: usize) -> (Vec<usize>, Placed) {
    type Key = fn(&Item) -> [usize; 3];
    let orders: [Key; 6] = [
        |i| [usize::MAX - i.bytes, i.first, i.last],
        |i| [usize::MAX - i.bytes.saturating_mul(i.last - i.first + 1), i.first, 0],
        |i| [i.first, usize::MAX - i.bytes, 0],
        |i| [usize::MAX - i.last, usize::MAX - i.bytes, 0],
        |i| [usize::MAX - (i.last - i.first), usize::MAX - i.bytes, i.first],
        |i| [i.last, i.first, usize::MAX - i.bytes],
    ];
    let mut best: Option<(Vec<usize>, Placed)> = None;
    for key in orders {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|&i| items.get(i).map(key));
        let found = first_fit(items, &order);
        if best.as_ref().is_none_or(|(_, b)| found.1 < b.1) {
            best = Some((order, found));
        }
        if best.as_ref().is_some_and(|(_, b)| b.1 == lower_bound) {
            break;
        }
    }
    best.unwrap_or_default()
}

/// Local search: an item at the top of the arena, or any other, is placed earlier; the new order is
/// kept if its arena is not larger.
fn improve(items: &[Item], mut order: Vec<usize>, best: &mut Placed, lower_bound: usize) {
    let mut current = best.clone();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |n: usize| {
        // Xorshift (Marsaglia 2003): always the same sequence.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n.max(1) as u64) as usize
    };
    for round in 0..ROUNDS {
        let end = |&i: &usize| items.get(i).zip(current.0.get(i)).map_or(0, |(item, at)| item.bytes + at);
        let top: Vec<usize> =
            (0..order.len()).filter(|&p| order.get(p).is_some_and(|i| end(i) == current.1)).collect();
        let from = match top.get(random(top.len())) {
            Some(&p) if round % 3 != 2 => p,
            _ => random(order.len()),
        };
        let to = random(from + 1);
        let mut next = order.clone();
        if let Some(range) = next.get_mut(to..=from) {
            range.rotate_right(1);
        }
        let found = first_fit(items, &next);
        if found.1 <= current.1 {
            (order, current) = (next, found);
        }
        if current.1 < best.1 {
            best.clone_from(&current);
        }
        if best.1 == lower_bound {
            return;
        }
    }
}

fn first_fit(items: &[Item], order: &[usize]) -> Placed {
    let mut offsets = vec![0; items.len()];
    // Offset, end and lifetime of the items placed, by offset.
    let mut placed: Vec<(usize, usize, Item)> = Vec::new();
    let mut arena = 0;
    for &i in order {
        let Some(item) = items.get(i) else { continue };
        let mut at = 0usize;
        for (offset, end, other) in &placed {
            if other.meets(item) {
                if at.saturating_add(item.bytes) <= *offset {
                    break;
                }
                at = at.max(*end);
            }
        }
        let end = at.saturating_add(item.bytes);
        arena = arena.max(end);
        let position = placed.partition_point(|p| (p.0, p.1) < (at, end));
        placed.insert(position, (at, end, *item));
        if let Some(o) = offsets.get_mut(i) {
            *o = at;
        }
    }
    (offsets, arena)
}

/// The best placement, and whether that is proven; `best` is one that is known, `live` the bytes
/// live at each step.
fn branch_and_bound(items: &[Item], live: Vec<usize>, best: Placed, lower_bound: usize) -> (Placed, bool) {
    let mut search = Search {
        items,
        floor: vec![0; live.len()],
        rest: live,
        placed: vec![None; items.len()],
        lower_bound,
        best,
        left: LIMIT,
    };
    search.descend(0, 0, 0);
    (search.best, search.left > 0)
}

/// Branch and bound over the orders in which items can be stacked. A packing in which nothing can
/// be pushed down has every item on the highest one below it that it meets; placing items by rising
/// offset, each on the skyline of the steps it lives in, reaches all such packings.
struct Search<'a> {
    items: &'a [Item],
    /// By step: the end of the highest item placed.
    floor: Vec<usize>,
    /// By step: the bytes of the live items not yet placed.
    rest: Vec<usize>,
    placed: Vec<Option<usize>>,
    lower_bound: usize,
    best: Placed,
    left: usize,
}

impl Search<'_> {
    /// Places one more item at `lowest` or higher; `count` are placed, the highest ends at `top`.
    fn descend(&mut self, count: usize, lowest: usize, top: usize) {
        if count == self.items.len() {
            if top < self.best.1 {
                self.best = (self.placed.iter().map(|o| o.unwrap_or(0)).collect(), top);
            }
            return;
        }
        let mut choices: Vec<(usize, usize, usize)> = Vec::new();
        for (i, item) in self.items.iter().enumerate() {
            if self.placed.get(i).copied().flatten().is_none() {
                let at = span(&mut self.floor, item).map(|f| *f).max().unwrap_or(0);
                if at >= lowest {
                    choices.push((at, usize::MAX - item.bytes, i));
                }
            }
        }
        choices.sort_unstable();
        for (at, _, i) in choices {
            if self.left == 0 || self.best.1 == self.lower_bound {
                return;
            }
            self.left -= 1;
            let Some(&item) = self.items.get(i) else { continue };
            let end = at.saturating_add(item.bytes);
            let before: Vec<usize> = span(&mut self.floor, &item).map(|f| *f).collect();
            for r in span(&mut self.rest, &item) {
                *r -= item.bytes;
            }
            for f in span(&mut self.floor, &item) {
                *f = end;
            }
            if let Some(p) = self.placed.get_mut(i) {
                *p = Some(at);
            }
            let hopeful = self.floor.iter().zip(&self.rest).all(|(f, r)| f.saturating_add(*r) < self.best.1);
            if hopeful {
                self.descend(count + 1, at, top.max(end));
            }
            if let Some(p) = self.placed.get_mut(i) {
                *p = None;
            }
            for (f, old) in span(&mut self.floor, &item).zip(before) {
                *f = old;
            }
            for r in span(&mut self.rest, &item) {
                *r += item.bytes;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    /// The smallest arena: first fit over every order reaches every packing in which nothing can be
    /// pushed down.
    fn brute_force(items: &[Item], order: &mut Vec<usize>) -> usize {
        if order.len() == items.len() {
            return first_fit(items, order).1;
        }
        let mut best = usize::MAX;
        for i in 0..items.len() {
            if !order.contains(&i) {
                order.push(i);
                best = best.min(brute_force(items, order));
                order.pop();
            }
        }
        best
    }

    #[test]
    fn branch_and_bound_finds_the_smallest_arena() {
        for seed in 0..200 {
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let items: Vec<Item> = (0..6)
                .map(|_| {
                    let first = rng.random_range(0..6);
                    Item { bytes: 4 * rng.random_range(1..5), first, last: first + rng.random_range(0..5) }
                })
                .collect();
            let smallest = brute_force(&items, &mut Vec::new());
            assert_eq!(pack(&items, 11).bytes, smallest, "seed {seed}: {items:?}");
            // From the worst start, and without a bound that could stop it.
            let mut live = vec![0; 11];
            items.iter().for_each(|i| span(&mut live, i).for_each(|l| *l += i.bytes));
            let (found, proven) = branch_and_bound(&items, live, (Vec::new(), usize::MAX), 0);
            assert_eq!((found.1, proven), (smallest, true), "seed {seed}: {items:?}");
            for (i, (a, at)) in items.iter().zip(&found.0).enumerate() {
                let apart =
                    |(b, bt): (&Item, &usize)| !a.meets(b) || at + a.bytes <= *bt || bt + b.bytes <= *at;
                assert!(items.iter().zip(&found.0).skip(i + 1).all(apart), "seed {seed}: {items:?}");
            }
        }
    }

    #[test]
    fn nothing_to_place_needs_nothing() {
        assert_eq!(pack(&[], 0).bytes, 0);
    }
}
