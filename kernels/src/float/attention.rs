//! The middle of multi-head self-attention (arXiv 1706.03762).

use super::softmax::exponentials;
use super::tile::{four_rows, multiply_add, one_row, TILE};

/// The shape of an attention.
#[derive(Clone, Copy)]
pub struct Attention {
    /// Tokens of a group; attention is within groups.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// `1 / sqrt(head_dim)`.
    pub scale: f32,
}

/// `softmax(q k^T * scale) v` of every head.
///
/// `x` is `[groups][tokens][3 * heads * head_dim]`: all queries, all keys, all values, each head by
/// head. `y` is `[groups][tokens][heads * head_dim]`. `scores` is for one row of `tokens`.
pub fn attention(x: &[f32], scores: &mut [f32], y: &mut [f32], s: &Attention) {
    let dim = s.head_dim.max(1);
    let inner = (s.heads * dim).max(1);
    let tokens = s.tokens.max(1);
    let Some(scores) = scores.get_mut(..tokens) else {
        return;
    };
    let groups = x.chunks_exact((tokens * 3 * inner).max(1));
    for (x, y) in groups.zip(y.chunks_exact_mut((tokens * inner).max(1))) {
        for (row, y) in x
            .chunks_exact((3 * inner).max(1))
            .zip(y.chunks_exact_mut(inner))
        {
            for (head, (q, y)) in row
                .chunks_exact(dim)
                .zip(y.chunks_exact_mut(dim))
                .enumerate()
            {
                let keys = x.get(inner + head * dim..).unwrap_or_default();
                let values = x.get(2 * inner + head * dim..).unwrap_or_default();
                similarity(q, keys, scores, 3 * inner, s.scale);
                let share = 1.0 / exponentials(scores);
                mix(scores, values, y, 3 * inner, share);
            }
        }
    }
}

/// `scores[j] = scale * (q . k[j])`; key `j` begins at `j * stride`.
fn similarity(q: &[f32], keys: &[f32], scores: &mut [f32], stride: usize, scale: f32) {
    let (q, _) = q.as_chunks::<1>();
    let mut keys = keys
        .chunks(stride)
        .map(|k| k.get(..q.len()).unwrap_or_default());
    let (blocks, rest) = scores.as_chunks_mut::<TILE>();
    for scores in blocks {
        let k = [(); TILE].map(|()| keys.next().unwrap_or_default());
        let mut acc = [[0.0]; TILE];
        four_rows(&mut acc, k, q);
        *scores = acc.map(|[a]| a * scale);
    }
    for (score, k) in rest.iter_mut().zip(keys) {
        let mut acc = [0.0];
        one_row(&mut acc, k, q);
        let [a] = acc;
        *score = a * scale;
    }
}

/// `y[i] = share * (sum over j of scores[j] * v[j][i])`; value `j` begins at `j * stride`.
fn mix(scores: &[f32], values: &[f32], y: &mut [f32], stride: usize, share: f32) {
    let mut at = 0;
    let (blocks, rest) = y.as_chunks_mut::<TILE>();
    for y in blocks {
        let mut acc = [0.0; TILE];
        let columns = values.get(at..).unwrap_or_default().chunks(stride);
        for (score, v) in scores.iter().zip(columns) {
            if let Some(v) = v.first_chunk() {
                multiply_add(&mut acc, *score, v);
            }
        }
        *y = acc.map(|a| a * share);
        at += TILE;
    }
    for y in rest {
        let columns = values.get(at..).unwrap_or_default().chunks(stride);
        let products = scores
            .iter()
            .zip(columns)
            .map(|(s, v)| s * v.first().unwrap_or(&0.0));
        *y = share * products.sum::<f32>();
        at += 1;
    }
}
