//! Moving rows without changing them.

use crate::train::kernels::{memory, par};
use crate::train::tape::{Call, Forward, Operation};
use std::sync::Arc;

/// Marks a row of zeros in a [`Gather`].
pub(crate) const ZERO: u32 = u32::MAX;

/// Row `i` of a result's image is row `from[i]` of the input's, or zeros; no row is taken twice.
/// Unfolding, folding and transposing are such.
#[derive(Debug, Clone)]
pub(crate) struct Gather {
    /// Elements of a row.
    pub width: usize,
    /// Rows of an input image.
    pub rows: usize,
    /// Where each row of the result comes from.
    pub from: Arc<Vec<u32>>,
}

impl Gather {
    /// Patches of a map as tokens: see [`crate::graph::Op::Unfold`].
    pub fn unfold(p: crate::graph::Patches, channels: usize) -> Gather {
        let (rows, columns) = p.grid();
        let mut from = Vec::with_capacity(p.patch * p.patch * rows * columns);
        for py in 0..p.patch {
            for px in 0..p.patch {
                for by in 0..rows {
                    for bx in 0..columns {
                        let (y, x) = (by * p.patch + py, bx * p.patch + px);
                        from.push(if y < p.h && x < p.w { (y * p.w + x) as u32 } else { ZERO });
                    }
                }
            }
        }
        Gather { width: channels, rows: p.h * p.w, from: Arc::new(from) }
    }

    /// The inverse of [`Gather::unfold`], without the padding.
    pub fn fold(p: crate::graph::Patches, channels: usize) -> Gather {
        let unfold = Gather::unfold(p, channels);
        let mut from = vec![ZERO; p.h * p.w];
        for (token, &pixel) in unfold.from.iter().enumerate() {
            if let Some(f) = from.get_mut(pixel as usize) {
                *f = token as u32;
            }
        }
        Gather { width: channels, rows: unfold.from.len(), from: Arc::new(from) }
    }

    /// Swaps tokens and features in every group.
    pub fn transpose(groups: usize, tokens: usize, dim: usize) -> Gather {
        let of = |i: usize| {
            let (group, within) = (i / (tokens * dim), i % (tokens * dim));
            (group * tokens * dim + within % tokens * dim + within / tokens) as u32
        };
        let n = groups * tokens * dim;
        Gather { width: 1, rows: n, from: Arc::new((0..n).map(of).collect()) }
    }
}

impl Operation for Gather {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let w = self.width;
        let (from, to) = (self.rows * w, self.from.len() * w);
        let mut value = memory::zeros(batch * to);
        par::portions(&mut value, to, |i, out| {
            let image = &inputs[0][i * from..(i + 1) * from];
            for (out, &r) in out.chunks_exact_mut(w).zip(self.from.iter()) {
                if r != ZERO {
                    out.copy_from_slice(&image[r as usize * w..][..w]);
                }
            }
        });
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let w = self.width;
        let (from, to) = (self.rows * w, self.from.len() * w);
        let mut dx = memory::zeros(call.batch * from);
        par::portions(&mut dx, from, |i, dx| {
            let image = &grad[i * to..(i + 1) * to];
            for (g, &r) in image.chunks_exact(w).zip(self.from.iter()) {
                if r != ZERO {
                    dx[r as usize * w..][..w].copy_from_slice(g);
                }
            }
        });
        vec![Some(dx)]
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}

/// Two values side by side along the feature dimension.
#[derive(Debug, Clone)]
pub(crate) struct Concat {
    /// Features of the first's rows.
    pub a: usize,
    /// Features of the second's rows.
    pub b: usize,
}

impl Operation for Concat {
    fn forward(&self, _: usize, inputs: &[&[f32]]) -> Forward {
        let mut value = Vec::with_capacity(inputs[0].len() + inputs[1].len());
        for (a, b) in inputs[0].chunks_exact(self.a).zip(inputs[1].chunks_exact(self.b)) {
            value.extend_from_slice(a);
            value.extend_from_slice(b);
        }
        Forward::of(value)
    }

    fn backward(&self, _: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let rows = grad.len() / (self.a + self.b);
        let (mut da, mut db) = (Vec::with_capacity(rows * self.a), Vec::with_capacity(rows * self.b));
        for row in grad.chunks_exact(self.a + self.b) {
            let (a, b) = row.split_at(self.a);
            da.extend_from_slice(a);
            db.extend_from_slice(b);
        }
        vec![Some(da), Some(db)]
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}
