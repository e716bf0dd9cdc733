//! Depthwise convolution: every channel by itself.

use super::channels::Channels;
use super::shape::{copy, rolled};

/// Channels computed at once: their sums lie on the stack.
const BLOCK: usize = 32;

/// A depthwise convolution.
#[derive(Clone, Copy)]
pub struct Depthwise<'a> {
    /// `[kernel][kernel][channels]`.
    pub weight: &'a [i8],
    /// Biases and factors of the channels.
    pub factors: Channels<'a>,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// Columns of the output.
    pub out_width: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step of the kernel.
    pub stride: usize,
    /// Distance between its taps.
    pub dilation: usize,
    /// Rows of padding above.
    pub top: usize,
    /// Columns of padding on the left.
    pub left: usize,
    /// The input's zero.
    pub zero: i8,
}

/// `y[oy][ox][c] = finish(bias[c] + sum over ky, kx of x[iy][ix][c] * weight[ky][kx][c])`.
///
/// `x` is the input map, `y` the output map. Where `x` is empty, `y` is the input too, of the same
/// shape, and `ring` holds the rows that the kernel still needs:
/// `((kernel - 1) * dilation + 1) * width * channels` bytes.
#[inline(never)]
pub fn depthwise(x: &[i8], y: &mut [i8], ring: &mut [i8], s: &Depthwise) {
    let row = (s.width * s.channels).max(1);
    let out_row = (s.out_width * s.channels).max(1);
    let reach = s.kernel.saturating_sub(1) * s.dilation + 1;
    let mut saved = 0;
    for oy in 0..y.len() / out_row {
        // Input rows up to the last that this output row sees.
        let needed = (oy * s.stride + reach).saturating_sub(s.top).min(s.height);
        while x.is_empty() && saved < needed {
            let to = ring
                .get_mut(saved.checked_rem(reach).unwrap_or(0) * row..)
                .unwrap_or_default();
            let to = to.get_mut(..row).unwrap_or_default();
            copy(y.get(saved * row..).unwrap_or_default(), to);
            saved += 1;
        }
        let (map, rows) = match x.is_empty() {
            true => (&*ring, reach),
            false => (x, s.height),
        };
        if let Some(y) = y.get_mut(oy * out_row..).and_then(|y| y.get_mut(..out_row)) {
            output_row(map, rows, y, oy, s);
        }
    }
}

/// One row of the output. Row `iy` of the input is row `iy % rows` of `map`.
#[inline(never)]
fn output_row(map: &[i8], rows: usize, y: &mut [i8], oy: usize, s: &Depthwise) {
    let c = s.channels.max(1);
    let source = |ky: usize| {
        // A row in the padding above wraps to a huge number.
        let iy = (oy * s.stride + ky * s.dilation).wrapping_sub(s.top);
        let row = map.get(iy.checked_rem(rows)? * s.width * c..)?;
        (iy < s.height).then_some(row)
    };
    let three = match (s.kernel, s.dilation, source(0), source(1), source(2)) {
        (3, 1, Some(a), Some(b), Some(c)) => Some([a, b, c]),
        _ => None,
    };
    let (mut sums, padding) = ([0; BLOCK], [s.zero; BLOCK]);
    for first in (0..c).step_by(BLOCK) {
        let n = BLOCK.min(c - first);
        let Some(factors) = s.factors.part(first, n) else {
            return;
        };
        let Some(sums) = sums.get_mut(..n) else {
            return;
        };
        for (ox, y) in y.chunks_exact_mut(c).enumerate() {
            let ix = (ox * s.stride).wrapping_sub(s.left);
            begin(sums, factors.bias);
            let mut weight = s.weight.get(first..).unwrap_or_default();
            match three {
                Some(rows) if ix < s.width && ix + 2 < s.width => {
                    for row in rows {
                        three_taps(
                            sums,
                            row.get(ix * c + first..).unwrap_or_default(),
                            weight,
                            c,
                        );
                        weight = weight.get(3 * c..).unwrap_or_default();
                    }
                }
                _ => {
                    for ky in 0..s.kernel {
                        let row = source(ky);
                        for kx in 0..s.kernel {
                            let ix = ix.wrapping_add(kx * s.dilation);
                            let inside = row.filter(|_| ix < s.width);
                            let x = inside.and_then(|row| row.get(ix * c + first..));
                            tap(sums, x.unwrap_or(&padding), weight);
                            weight = weight.get(c..).unwrap_or_default();
                        }
                    }
                }
            }
            if let Some(y) = y.get_mut(first..first + n) {
                factors.finish(sums, y);
            }
        }
    }
}

/// `sums[i] = bias[i]`.
#[inline(always)]
fn begin(sums: &mut [i32], bias: &[i32]) {
    let ((s4, s), (b4, b)) = (sums.as_chunks_mut::<4>(), bias.as_chunks::<4>());
    for (sums, bias) in s4.iter_mut().zip(b4) {
        rolled();
        *sums = *bias;
    }
    for (sum, bias) in s.iter_mut().zip(b) {
        rolled();
        *sum = *bias;
    }
}

/// `sums[i] += x[i] * w[i] + x[i + c] * w[i + c] + x[i + 2 * c] * w[i + 2 * c]`.
#[inline(never)]
fn three_taps(sums: &mut [i32], x: &[i8], w: &[i8], c: usize) {
    let n = sums.len();
    let (Some(x0), Some(x1), Some(x2)) = (x.get(..n), x.get(c..c + n), x.get(2 * c..2 * c + n))
    else {
        return;
    };
    let (Some(w0), Some(w1), Some(w2)) = (w.get(..n), w.get(c..c + n), w.get(2 * c..2 * c + n))
    else {
        return;
    };
    let xs = x0.iter().zip(x1).zip(x2);
    let ws = w0.iter().zip(w1).zip(w2);
    for ((sum, ((x0, x1), x2)), ((w0, w1), w2)) in sums.iter_mut().zip(xs).zip(ws) {
        *sum += i32::from(*x0) * i32::from(*w0)
            + i32::from(*x1) * i32::from(*w1)
            + i32::from(*x2) * i32::from(*w2);
    }
}

/// `sums[i] += x[i] * w[i]`.
#[inline(never)]
fn tap(sums: &mut [i32], x: &[i8], w: &[i8]) {
    for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
        *sum += i32::from(*x) * i32::from(*w);
    }
}
