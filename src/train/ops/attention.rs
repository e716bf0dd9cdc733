//! Scaled dot-product attention (arXiv 1706.03762), between two dense layers.

use super::norm::{softmax, softmax_backward};
use crate::train::kernels::gemm::{self, Packed, Tall};
use crate::train::kernels::{memory, par};
use crate::train::tape::{Call, Forward, Operation};

/// `softmax(q k^T / sqrt(dim)) v` per group of tokens and head. Input: `[groups][tokens][3][heads]
/// [dim]`, queries, keys and values of a token in this order; result: `[groups][tokens][heads][dim]`.
/// Saves the softmax's results, `[groups][heads][tokens][tokens]`.
#[derive(Debug, Clone)]
pub(crate) struct Attend {
    /// Independent sequences.
    pub groups: usize,
    /// Tokens of a sequence.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Features of a head.
    pub dim: usize,
}

impl Attend {
    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }
}

impl Operation for Attend {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let (t, d) = (self.tokens, self.dim);
        let inner = self.heads * d;
        let group = t * 3 * inner;
        let mut value = memory::scratch(batch * self.groups * t * inner);
        let portion = par::IMAGES * self.groups;
        let saved = par::map_portions(&mut value, portion * t * inner, |i, out| {
            let mut saved = memory::zeros(out.len() / inner * self.heads * t);
            let mut maps = saved.chunks_exact_mut(t * t);
            let groups = inputs[0][i * portion * group..].chunks_exact(group);
            for (x, out) in groups.zip(out.chunks_exact_mut(t * inner)) {
                for head in 0..self.heads {
                    let Some(p) = maps.next() else { continue };
                    let [q, k, v] = [0, 1, 2].map(|part| &x[part * inner + head * d..]);
                    let keys = Packed::new(d, t, k, 1, 3 * inner);
                    gemm::rows(t, Tall { data: q, stride: 3 * inner }, &keys, None, p, t);
                    for row in p.chunks_exact_mut(t) {
                        row.iter_mut().for_each(|s| *s *= self.scale());
                        softmax(row);
                    }
                    let values = Packed::new(t, d, v, 3 * inner, 1);
                    gemm::rows(t, Tall { data: p, stride: t }, &values, None, &mut out[head * d..], inner);
                }
            }
            saved
        });
        Forward { value, saved: saved.concat() }
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let (t, d) = (self.tokens, self.dim);
        let inner = self.heads * d;
        let (group, row) = (t * 3 * inner, 3 * inner);
        let x = call.inputs[0];
        let mut dx = memory::scratch(x.len());
        let portion = par::IMAGES * self.groups;
        par::portions(&mut dx, portion * group, |i, dx| {
            let mut ds = vec![0.0; t * t];
            let mut small = vec![0.0; t * d];
            let mut maps = call.saved[i * portion * self.heads * t * t..].chunks_exact(t * t);
            let groups = x[i * portion * group..].chunks_exact(group);
            let grads = grad[i * portion * t * inner..].chunks_exact(t * inner);
            for ((x, g), dx) in groups.zip(grads).zip(dx.chunks_exact_mut(group)) {
                for head in 0..self.heads {
                    let Some(p) = maps.next() else { continue };
                    let [q, k, v] = [0, 1, 2].map(|part| &x[part * inner + head * d..]);
                    let g = Tall { data: &g[head * d..], stride: inner };
                    let mut write = |part: usize, small: &[f32]| {
                        let at = part * inner + head * d;
                        for (to, from) in dx.chunks_exact_mut(row).zip(small.chunks_exact(d)) {
                            to[at..at + d].copy_from_slice(from);
                        }
                    };
                    small.fill(0.0);
                    gemm::outer(t, t, d, Tall { data: p, stride: t }, g, &mut small);
                    write(2, &small);
                    gemm::rows(t, g, &Packed::new(d, t, v, 1, row), None, &mut ds, t);
                    for (p, ds) in p.chunks_exact(t).zip(ds.chunks_exact_mut(t)) {
                        softmax_backward(p, ds);
                        ds.iter_mut().for_each(|s| *s *= self.scale());
                    }
                    let ds = Tall { data: &ds, stride: t };
                    gemm::rows(t, ds, &Packed::new(t, d, k, row, 1), None, &mut small, d);
                    write(0, &small);
                    small.fill(0.0);
                    gemm::outer(t, t, d, ds, Tall { data: q, stride: row }, &mut small);
                    write(1, &small);
                }
            }
        });
        vec![Some(dx)]
    }
}
