//! Places for boxes in layers, after Sugiyama, Tagawa and Toda (1981): layers by the longest path,
//! long edges through invisible points, orders within layers by barycentres, then x coordinates
//! close to the neighbours' by isotonic regression.

/// A drawing's boxes and edges before they have places. Every edge goes from a box to a later one.
pub(super) struct Plan {
    /// Width and height of every box.
    pub sizes: Vec<(f64, f64)>,
    /// Pairs of boxes.
    pub edges: Vec<(usize, usize)>,
}

/// Where everything is; the smallest x and y are 0.
pub(super) struct Layout {
    /// Centre and top of every box.
    pub boxes: Vec<(f64, f64)>,
    /// For every edge, where it passes the layers between its ends: x, top, bottom.
    pub passes: Vec<Vec<(f64, f64, f64)>>,
    /// Width of the whole.
    pub width: f64,
    /// Height of the whole.
    pub height: f64,
}

/// Between boxes of a layer.
const GAP: f64 = 30.0;
/// Between layers: room for an arrow and the words beside it.
const LAYER_GAP: f64 = 40.0;
/// More room below a box with several edges: they first run down side by side, so that the words
/// have their place before the edges part.
pub(super) const STUB: f64 = 20.0;
/// Width of the lane of an edge that passes a layer.
const LANE: f64 = 26.0;

/// A box, or the point where an edge passes a layer.
#[derive(Clone, Default)]
struct Vertex {
    layer: usize,
    width: f64,
    passing: bool,
    x: f64,
    /// Position in its layer.
    rank: usize,
    up: Vec<usize>,
    down: Vec<usize>,
}

pub(super) fn layout(plan: &Plan) -> Layout {
    let (mut vertices, chains) = vertices(plan);
    let count = vertices.iter().map(|v| v.layer + 1).max().unwrap_or(0);
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (i, v) in vertices.iter().enumerate() {
        if let Some(layer) = layers.get_mut(v.layer) {
            layer.push(i);
        }
    }
    order(&mut vertices, &mut layers);
    place(&mut vertices, &layers);
    straighten(&mut vertices, &layers, &chains);

    let left = vertices.iter().map(|v| v.x - v.width / 2.0).fold(f64::INFINITY, f64::min);
    let right = vertices.iter().map(|v| v.x + v.width / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let mut rows = Vec::new();
    let mut y = 0.0;
    for (i, layer) in layers.iter().enumerate() {
        let heights = layer.iter().filter_map(|&v| plan.sizes.get(v)).map(|s| s.1);
        let height = heights.fold(0.0, f64::max);
        rows.push((y, height));
        let parting = layer.iter().filter_map(|&v| vertices.get(v)).any(|v| v.down.len() > 1);
        let last = i + 1 == count;
        y += height + if last { 0.0 } else { LAYER_GAP } + if parting { STUB } else { 0.0 };
    }
    let row = |v: &Vertex| rows.get(v.layer).copied().unwrap_or_default();
    let boxes = vertices.iter().zip(&plan.sizes).map(|(v, size)| {
        let (top, height) = row(v);
        (v.x - left, top + (height - size.1) / 2.0)
    });
    let pass = |&v: &usize| {
        let v = vertices.get(v)?;
        let (top, height) = row(v);
        v.passing.then_some((v.x - left, top, top + height))
    };
    Layout {
        boxes: boxes.collect(),
        passes: chains.iter().map(|chain| chain.iter().filter_map(pass).collect()).collect(),
        width: (right - left).max(0.0),
        height: y,
    }
}

/// The boxes, then the points where edges pass; and for every edge the vertices it goes through.
fn vertices(plan: &Plan) -> (Vec<Vertex>, Vec<Vec<usize>>) {
    let mut all: Vec<Vertex> =
        plan.sizes.iter().map(|&(width, _)| Vertex { width, ..Vertex::default() }).collect();
    let mut edges: Vec<&(usize, usize)> = plan.edges.iter().collect();
    edges.sort_by_key(|e| e.1);
    for &&(from, to) in &edges {
        let above = all.get(from).map_or(0, |v| v.layer);
        if let Some(v) = all.get_mut(to) {
            v.layer = v.layer.max(above + 1);
        }
    }
    let mut chains = Vec::new();
    for &(from, to) in &plan.edges {
        let layer = |i: usize| all.get(i).map_or(0, |v| v.layer);
        let between = layer(from) + 1..layer(to);
        let mut chain = vec![from];
        for layer in between {
            chain.push(all.len());
            all.push(Vertex { layer, width: LANE, passing: true, ..Vertex::default() });
        }
        chain.push(to);
        for pair in chain.windows(2) {
            let &[a, b] = pair else { continue };
            if let Some(v) = all.get_mut(a) {
                v.down.push(b);
            }
            if let Some(v) = all.get_mut(b) {
                v.up.push(a);
            }
        }
        chains.push(chain);
    }
    (all, chains)
}

/// Orders the layers to have few crossings: sweeps by barycentres, the best order seen wins.
fn order(vertices: &mut [Vertex], layers: &mut Vec<Vec<usize>>) {
    rank(vertices, layers);
    let mut best = (crossings(vertices, layers), layers.clone());
    for sweep in 0..12 {
        let downwards = sweep % 2 == 0;
        let count = layers.len();
        for i in 0..count {
            let i = if downwards { i } else { count - 1 - i };
            let Some(layer) = layers.get_mut(i) else { continue };
            let key = |v: &usize| {
                let v = vertices.get(*v)?;
                let near = if downwards { &v.up } else { &v.down };
                let ranks: Vec<f64> =
                    near.iter().filter_map(|&n| vertices.get(n)).map(|n| n.rank as f64).collect();
                (!ranks.is_empty()).then(|| ranks.iter().sum::<f64>() / ranks.len() as f64)
            };
            let own = |v: &usize| vertices.get(*v).map_or(0.0, |v| v.rank as f64);
            let mut keyed: Vec<(f64, usize)> = layer.iter().map(|v| (key(v).unwrap_or(own(v)), *v)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *layer = keyed.into_iter().map(|(_, v)| v).collect();
            rank(vertices, std::slice::from_ref(layer));
        }
        let found = crossings(vertices, layers);
        if found < best.0 {
            best = (found, layers.clone());
        }
    }
    *layers = best.1;
    rank(vertices, layers);
}

fn rank(vertices: &mut [Vertex], layers: &[Vec<usize>]) {
    for layer in layers {
        for (rank, &v) in layer.iter().enumerate() {
            if let Some(v) = vertices.get_mut(v) {
                v.rank = rank;
            }
        }
    }
}

/// How many pairs of edges between neighbouring layers cross.
fn crossings(vertices: &[Vertex], layers: &[Vec<usize>]) -> usize {
    let mut found = 0;
    for layer in layers {
        let mut links = Vec::new();
        for v in layer.iter().filter_map(|&v| vertices.get(v)) {
            links.extend(v.down.iter().filter_map(|&d| vertices.get(d)).map(|d| (v.rank, d.rank)));
        }
        for (i, a) in links.iter().enumerate() {
            found += links
                .iter()
                .skip(i + 1)
                .filter(|b| (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1))
                .count();
        }
    }
    found
}

/// Gives every vertex its x: close to its neighbours', no two of a layer too close to each other.
fn place(vertices: &mut [Vertex], layers: &[Vec<usize>]) {
    for sweep in 0..40 {
        let count = layers.len();
        for i in 0..count {
            let i = if sweep % 2 == 0 { i } else { count - 1 - i };
            let Some(layer) = layers.get(i) else { continue };
            let mut wishes = Vec::new();
            for &v in layer {
                let Some(v) = vertices.get(v) else { continue };
                // First what is above decides, then both sides; boxes follow boxes, so that the
                // trunk stays straight, and passing edges give way.
                let near = v.up.iter().chain(v.down.iter().filter(|_| sweep > 1));
                let (mut sum, mut total) = (0.0, 0.0);
                for n in near.filter_map(|&n| vertices.get(n)) {
                    let weight = if n.passing && !v.passing { 0.001 } else { 1.0 };
                    sum += weight * n.x;
                    total += weight;
                }
                let wish = if total > 0.0 { sum / total } else { v.x };
                wishes.push((wish, if v.passing { 1.0 } else { 1000.0 }, v.width));
            }
            for (x, &v) in spread(&wishes).into_iter().zip(layer) {
                if let Some(v) = vertices.get_mut(v) {
                    v.x = x;
                }
            }
        }
    }
}

/// Lets every long edge pass all its layers in one straight lane where it can: the one farthest from
/// its ends, which it cannot avoid. Boxes stay where they are; lanes around lanes give way outwards.
fn straighten(vertices: &mut [Vertex], layers: &[Vec<usize>], chains: &[Vec<usize>]) {
    for _ in 0..6 {
        let mut lanes = vec![None; vertices.len()];
        for chain in chains {
            let x = |v: Option<&usize>| v.and_then(|&v| vertices.get(v)).map_or(0.0, |v| v.x);
            let middle = (x(chain.first()) + x(chain.last())) / 2.0;
            let passing = || chain.iter().filter(|&&v| vertices.get(v).is_some_and(|v| v.passing));
            let lane = passing()
                .map(|v| x(Some(v)))
                .max_by(|a, b| (a - middle).abs().total_cmp(&(b - middle).abs()));
            for &v in passing() {
                if let Some(slot) = lanes.get_mut(v) {
                    *slot = lane;
                }
            }
        }
        for layer in layers {
            let wish = |&v: &usize| {
                let lane = lanes.get(v).copied().flatten();
                let v = vertices.get(v)?;
                Some((lane.unwrap_or(v.x), if v.passing { 1.0 } else { 1e6 }, v.width))
            };
            let wishes: Vec<_> = layer.iter().filter_map(wish).collect();
            for (x, &v) in spread(&wishes).into_iter().zip(layer) {
                if let Some(v) = vertices.get_mut(v) {
                    v.x = x;
                }
            }
        }
    }
}

/// The places closest to the wishes (place, weight, width), by least squares, that keep the order and the
/// distances. Without the widths this is isotonic regression, by pooling adjacent violators.
fn spread(wishes: &[(f64, f64, f64)]) -> Vec<f64> {
    let mut offsets = Vec::new();
    let mut at = 0.0;
    let mut before: Option<f64> = None;
    for &(_, _, width) in wishes {
        if let Some(before) = before {
            at += (before + width) / 2.0 + GAP;
        }
        offsets.push(at);
        before = Some(width);
    }
    // Blocks of (mean, weight, members).
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (&(wish, weight, _), offset) in wishes.iter().zip(&offsets) {
        let mut block = (wish - offset, weight, 1);
        while let Some(&(mean, heavy, members)) = blocks.last().filter(|b| b.0 > block.0) {
            let weight = heavy + block.1;
            block = ((mean * heavy + block.0 * block.1) / weight, weight, members + block.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    let means = blocks.iter().flat_map(|&(mean, _, members)| std::iter::repeat_n(mean, members));
    means.zip(&offsets).map(|(mean, offset)| mean + offset).collect()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn wishes_that_collide_share_the_distance() {
        // Two boxes of width 10 that both want to be at 0 end 40 apart, 30 of them a gap.
        assert_eq!(spread(&[(0.0, 1.0, 10.0), (0.0, 1.0, 10.0)]), [-20.0, 20.0]);
        // Far enough apart, both have their wish; a heavy one gives way less.
        assert_eq!(spread(&[(0.0, 1.0, 10.0), (100.0, 1.0, 10.0)]), [0.0, 100.0]);
        assert_eq!(spread(&[(0.0, 3.0, 10.0), (0.0, 1.0, 10.0)]), [-10.0, 30.0]);
    }

    #[test]
    fn a_skipping_edge_passes_beside_the_box() {
        let plan = Plan { sizes: vec![(100.0, 20.0); 3], edges: vec![(0, 1), (1, 2), (0, 2)] };
        let l = layout(&plan);
        assert_eq!(l.passes.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 1]);
        let (lane, top, bottom) = l.passes[2][0];
        let (x, y) = l.boxes[1];
        assert!((lane - x).abs() >= 50.0 + LANE / 2.0 && (top, bottom) == (y, y + 20.0));
        assert!((l.boxes[0].0 - l.boxes[2].0).abs() < 1.0, "the trunk is straight: {:?}", l.boxes);
        assert_eq!(l.height, 3.0 * 20.0 + 2.0 * LAYER_GAP + STUB);
    }

    #[test]
    fn a_long_edge_is_one_straight_lane() {
        // Boxes of growing width beside it, and an inner edge from the second box to the fourth.
        let sizes = [60.0, 100.0, 60.0, 180.0, 90.0, 60.0].map(|w| (w, 20.0)).to_vec();
        let edges = vec![(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5), (1, 3)];
        let l = layout(&Plan { sizes, edges });
        let lane: Vec<f64> = l.passes[5].iter().map(|p| p.0).collect();
        assert_eq!(lane.len(), 4);
        assert!(lane.iter().all(|x| (x - lane[0]).abs() < 1.0), "{lane:?}");
        assert!((lane[2] - l.boxes[3].0).abs() >= 90.0 + LANE / 2.0);
    }

    #[test]
    fn crossed_branches_are_uncrossed() {
        // 0 to 1 and 2; 3 hangs on 2 and 4 on 1, in the order of numbers they would cross.
        let edges = vec![(0, 1), (0, 2), (2, 3), (1, 4), (3, 5), (4, 5)];
        let l = layout(&Plan { sizes: vec![(50.0, 20.0); 6], edges });
        let x = |i: usize| l.boxes[i].0;
        assert_eq!(x(1) < x(2), x(4) < x(3));
    }

    #[test]
    fn nothing_at_all() {
        let l = layout(&Plan { sizes: vec![], edges: vec![] });
        assert_eq!((l.width, l.height), (0.0, 0.0));
    }
}
