//! Depthwise convolution: every channel by itself.

use super::channels::Channels;

/// Channels computed at once: their sums lie on the stack.
const BLOCK: usize = 32;

/// The shape of a depthwise convolution.
#[derive(Clone, Copy)]
pub struct Depthwise {
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
/// `x` is the input map, `y` the output map, `weight` `[kernel][kernel][channels]`.
#[inline(never)]
pub fn depthwise<const WIDE: bool>(
    x: &[i8],
    weight: &[i8],
    channels: &Channels,
    y: &mut [i8],
    s: &Depthwise,
) {
    let row = (s.width * s.channels).max(1);
    let of = |iy: usize| x.get(iy * row..).and_then(|x| x.get(..row));
    let rows = y.chunks_exact_mut((s.out_width * s.channels).max(1));
    for (oy, y) in rows.enumerate() {
        output_row::<WIDE>(of, weight, channels, y, oy, s);
    }
}

/// The same with the output over the input: `map` begins with the input map and then begins with
/// the output map, whose rows are not longer. `ring` holds the input's rows that the kernel still
/// needs: `((kernel - 1) * dilation + 1) * width * channels` bytes.
#[inline(never)]
pub fn depthwise_in_place<const WIDE: bool>(
    map: &mut [i8],
    weight: &[i8],
    channels: &Channels,
    ring: &mut [i8],
    s: &Depthwise,
    out_height: usize,
) {
    let row = (s.width * s.channels).max(1);
    let out_row = (s.out_width * s.channels).max(1);
    let reach = s.kernel.saturating_sub(1) * s.dilation + 1;
    let mut saved = 0;
    for oy in 0..out_height {
        // Input rows up to the last that this output row sees.
        let needed = (oy * s.stride + reach).saturating_sub(s.top).min(s.height);
        while saved < needed {
            let slot = saved % reach * row;
            let from = map.get(saved * row..).unwrap_or_default();
            for (to, from) in ring
                .get_mut(slot..)
                .unwrap_or_default()
                .iter_mut()
                .zip(from)
                .take(row)
            {
                *to = *from;
            }
            saved += 1;
        }
        let of = |iy: usize| ring.get(iy % reach * row..).and_then(|x| x.get(..row));
        let y = map
            .get_mut(oy * out_row..)
            .and_then(|y| y.get_mut(..out_row));
        output_row::<WIDE>(of, weight, channels, y.unwrap_or_default(), oy, s);
    }
}

/// One row of the output; `of` gives the input's rows.
#[inline(always)]
fn output_row<'a, const WIDE: bool>(
    of: impl Fn(usize) -> Option<&'a [i8]>,
    weight: &[i8],
    channels: &Channels,
    y: &mut [i8],
    oy: usize,
    s: &Depthwise,
) {
    let c = s.channels.max(1);
    // A row in the padding above wraps to a huge number.
    let iy = (oy * s.stride).wrapping_sub(s.top);
    let source = |ky: usize| {
        let iy = iy.wrapping_add(ky * s.dilation);
        (iy < s.height).then(|| of(iy)).flatten()
    };
    let three = match (s.kernel, s.dilation, source(0), source(1), source(2)) {
        (3, 1, Some(a), Some(b), Some(c)) => Some([a, b, c]),
        _ => None,
    };
    for first in (0..c).step_by(BLOCK) {
        let n = BLOCK.min(c - first);
        let (Some(part), Some(weight)) = (channels.part(first, n), weight.get(first..)) else {
            return;
        };
        let mut sums = [0; BLOCK];
        let Some(sums) = sums.get_mut(..n) else {
            return;
        };
        for (ox, y) in y.chunks_exact_mut(c).enumerate() {
            let ix = (ox * s.stride).wrapping_sub(s.left);
            for (sum, bias) in sums.iter_mut().zip(part.bias) {
                *sum = *bias;
            }
            match three {
                Some(rows) if ix < s.width && ix + 2 < s.width => {
                    for (row, at) in rows.into_iter().zip([0, 3 * c, 6 * c]) {
                        if let (Some(x), Some(w)) = (row.get(ix * c + first..), weight.get(at..)) {
                            three_taps(sums, x, w, c);
                        }
                    }
                }
                _ => {
                    for ky in 0..s.kernel {
                        let row = source(ky);
                        for kx in 0..s.kernel {
                            let ix = ix.wrapping_add(kx * s.dilation);
                            let inside = row.filter(|_| ix < s.width);
                            let x = inside.and_then(|row| row.get(ix * c + first..));
                            if let Some(w) = weight.get((ky * s.kernel + kx) * c..) {
                                tap(sums, x, w, s.zero);
                            }
                        }
                    }
                }
            }
            if let Some(y) = y.get_mut(first..first + n) {
                part.finish::<WIDE>(sums, y);
            }
        }
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

/// `sums[i] += x[i] * w[i]`; in the padding `zero * w[i]`.
#[inline(never)]
fn tap(sums: &mut [i32], x: Option<&[i8]>, w: &[i8], zero: i8) {
    match x {
        Some(x) => {
            for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                *sum += i32::from(*x) * i32::from(*w);
            }
        }
        None => {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += i32::from(zero) * i32::from(*w);
            }
        }
    }
}
