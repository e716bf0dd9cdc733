//! Weights in the order the kernels read them, as text.

use super::text::{plain, Text};
use crate::lower::ir::{Kernel, Step};
use crate::lower::Bound;

/// Outputs of a block; `hytc_kernels::float::tile::TILE`.
const TILE: usize = hytc_kernels::float::tile::TILE;

/// One array as the kernel wants it.
#[derive(Debug, Clone)]
pub(super) struct Static {
    /// Its name in the emitted code.
    pub(super) name: String,
    /// Its name in the network, its shape and its order, for a comment.
    pub(super) about: String,
    /// The type of an element.
    pub(super) kind: &'static str,
    /// The elements as literals.
    pub(super) data: Vec<String>,
}

impl Static {
    /// The alignment and size that its elements have in flash.
    pub(super) fn bytes(&self) -> usize {
        let each = match self.kind {
            "i8" | "u8" => 1,
            "i16" => 2,
            _ => 4,
        };
        each * self.data.len()
    }
}

/// The elements of the slot at `position` of a step in the order of emitted code, and that order.
pub(crate) fn arrange(bound: &Bound, step: &Step, position: usize) -> (Vec<f32>, &'static str) {
    let array = step.slots.get(position).and_then(|&id| bound.array(id));
    let Some(array) = array else { return (Vec::new(), "") };
    let dim = |i: usize| array.shape.get(i).copied().unwrap_or(1);
    let data = &array.data;
    let get = |i: usize| data.get(i).copied().unwrap_or(0.0);
    match step.kernel {
        Kernel::Conv { groups, .. } if position == 0 => {
            let (out, depth, k) = (dim(0), dim(1), dim(2));
            let groups = groups.max(1);
            // A depthwise convolution is one layer of as many outputs with one tap's channel each.
            let depthwise = depth == 1 && out == groups;
            let (count, each) = if depthwise { (1, out) } else { (groups, out / groups) };
            let tiles = (0..count).flat_map(|g| {
                tiled(each, k * k * depth, move |o, tap| {
                    let (ky, kx, i) = (tap / (k * depth), tap / depth.max(1) % k, tap % depth.max(1));
                    (((g * each + o) * depth + i) * k + ky) * k + kx
                })
            });
            (tiles.map(get).collect(), "tiled")
        }
        Kernel::Linear { .. } if position == 0 => {
            let inputs = dim(1);
            (tiled(dim(0), inputs, |o, i| o * inputs + i).into_iter().map(get).collect(), "tiled")
        }
        _ => (data.clone(), ""),
    }
}

/// The order of tiled weights: blocks of [`TILE`] outputs, each `[taps][TILE]`, then the outputs
/// that fill no block, each `[taps]`.
fn tiled(outputs: usize, taps: usize, index: impl Fn(usize, usize) -> usize) -> Vec<usize> {
    let blocks = outputs / TILE;
    let mut order = Vec::with_capacity(outputs * taps);
    for block in 0..blocks {
        for tap in 0..taps {
            order.extend((0..TILE).map(|o| index(block * TILE + o, tap)));
        }
    }
    for o in blocks * TILE..outputs {
        order.extend((0..taps).map(|tap| index(o, tap)));
    }
    order
}

/// The module `weights`.
pub(super) fn module(statics: &[Static]) -> String {
    let mut t = Text::default();
    for (i, s) in statics.iter().enumerate() {
        if i > 0 {
            t.line("");
        }
        t.line(format!("/// `{}`", plain(&s.about)));
        t.line("#[rustfmt::skip]");
        t.line(format!("pub static {}: [{}; {}] = [", s.name, s.kind, s.data.len()));
        let columns = if s.kind.ends_with('8') { 24 } else { 8 };
        for row in s.data.chunks(columns) {
            t.line(format!("    {},", row.join(", ")));
        }
        t.line("];");
    }
    t.0
}
