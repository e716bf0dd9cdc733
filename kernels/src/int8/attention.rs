//! The middle of multi-head self-attention (arXiv 1706.03762).

use super::exp::{exp, Shares};
use super::requantise::Rescale;
use super::shape::rolled;

/// The shape of an attention.
#[derive(Clone, Copy)]
pub struct Attention {
    /// Tokens of a group; attention is within groups.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// The input's zero.
    pub zero_x: i32,
    /// From products of queries and keys to `2^-24`.
    pub score: Rescale,
    /// Bits that the exponentials lose, so that their sum has at most 32.
    pub drop: u32,
    /// From values with 23 fractional bits to the output's scale.
    pub value: Rescale,
    /// The output's zero.
    pub zero: i32,
}

/// `softmax(q k^T / sqrt(head_dim)) v` of every head.
///
/// `x` is `[groups][tokens][3 * heads * head_dim]`: all queries, all keys, all values, each head by
/// head. `y` is `[groups][tokens][heads * head_dim]`. `scratch` is for a row of `tokens` scores of
/// four bytes.
#[inline(never)]
pub fn attention(x: &[i8], y: &mut [i8], scratch: &mut [i8], s: &Attention) {
    let dim = s.head_dim.max(1);
    let inner = (s.heads * dim).max(1);
    let tokens = s.tokens.max(1);
    let (scores, _) = scratch.as_chunks_mut::<4>();
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
                let max = similarity(q, keys, scores, 3 * inner, s.zero_x);
                let sum = shares(scores, max, s);
                mix(scores, sum, values, y, 3 * inner, s);
            }
        }
    }
}

/// The bytes of a number, in the arena's type.
#[inline(always)]
fn put(x: i32) -> [i8; 4] {
    x.to_le_bytes().map(|b| b as i8)
}

#[inline(always)]
fn get(x: [i8; 4]) -> i32 {
    i32::from_le_bytes(x.map(|b| b as u8))
}

/// `scores[j] = (q - zero) . k[j]` and their maximum; key `j` begins at `j * stride`. The keys' zero
/// would subtract the same from all scores, and only their differences matter.
#[inline(never)]
fn similarity(q: &[i8], keys: &[i8], scores: &mut [[i8; 4]], stride: usize, zero: i32) -> i32 {
    let mut max = i32::MIN;
    for (score, k) in scores.iter_mut().zip(keys.chunks(stride.max(1))) {
        let mut sum = 0;
        for (q, k) in q.iter().zip(k) {
            sum += (i32::from(*q) - zero) * i32::from(*k);
        }
        max = max.max(sum);
        *score = put(sum);
    }
    max
}

/// Scores become shares with 23 fractional bits; gives their sum, which is `2^23` but for rounding.
#[inline(never)]
fn shares(scores: &mut [[i8; 4]], max: i32, s: &Attention) -> i32 {
    let mut sum = 0;
    for score in scores.iter_mut() {
        rolled();
        let e = exp(s.score.apply(max - get(*score))) >> s.drop;
        sum += e;
        *score = put(e as i32);
    }
    let shares = Shares::of(sum.max(1));
    let mut sum = 0;
    for score in scores {
        rolled();
        let share = shares.share(get(*score) as u32, 23) as i32;
        sum += share;
        *score = put(share);
    }
    sum
}

/// `y[i]` of the sum over `j` of `share[j] * (v[j][i] - zero)`; value `j` begins at `j * stride`, `sum`
/// is that of all shares.
#[inline(never)]
fn mix(scores: &[[i8; 4]], sum: i32, values: &[i8], y: &mut [i8], stride: usize, s: &Attention) {
    let start = -s.zero_x * sum;
    let mut values = values;
    for y in y.chunks_mut(4) {
        let mut acc = [start; 4];
        for (score, v) in scores.iter().zip(values.chunks(stride.max(1))) {
            let e = get(*score);
            match v.first_chunk::<4>() {
                Some(v) => {
                    for (a, v) in acc.iter_mut().zip(v) {
                        *a += e * i32::from(*v);
                    }
                }
                // The last values of all.
                None => {
                    for (a, v) in acc.iter_mut().zip(v) {
                        rolled();
                        *a += e * i32::from(*v);
                    }
                }
            }
        }
        for (y, acc) in y.iter_mut().zip(acc) {
            rolled();
            *y = s.value.to(acc, s.zero);
        }
        values = values.get(4..).unwrap_or_default();
    }
}
