//! Convolution: any kernel, stride, dilation, padding, groups.

use super::tile::{four_rows, one_row, TILE};

/// The shape of a convolution.
#[derive(Clone, Copy)]
pub struct Conv {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Columns of the output.
    pub out_width: usize,
    /// Channels of the output.
    pub out_channels: usize,
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
    /// Groups of channels.
    pub groups: usize,
}

impl Conv {
    /// Input channels that an output sees.
    #[inline(always)]
    fn depth(&self) -> usize {
        self.channels / self.groups.max(1)
    }

    /// The taps of a kernel's row whose columns lie in the map, for output column `ox`.
    #[inline(always)]
    fn taps(&self, ox: usize) -> (usize, usize) {
        let dilation = self.dilation.max(1);
        let start = ox * self.stride;
        let first = self.left.saturating_sub(start).div_ceil(dilation);
        let end = (self.width + self.left)
            .saturating_sub(start)
            .div_ceil(dilation);
        (first, end.min(self.kernel))
    }
}

/// `y[oy][ox][o] = act(bias[o] + sum over ky, kx, i of x[iy][ix][i] * weight[o][ky][kx][i])`.
///
/// `x` is the input map, `y` the output map. `weight` holds for each group its outputs tiled (see
/// [`super::tile`]), with taps in the order `ky`, `kx`, `i`. `bias` has an element for each output.
pub fn conv(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    s: &Conv,
    act: impl Fn(f32) -> f32 + Copy,
) {
    let out = s.out_channels.max(1);
    for (oy, y) in y
        .chunks_exact_mut((s.out_width.max(1) * out).max(1))
        .enumerate()
    {
        let mut ox = 0;
        let mut rest = y;
        while !rest.is_empty() {
            // Four pixels at once where the columns of all four lie in the map.
            let inside = s.taps(ox) == (0, s.kernel) && s.taps(ox + TILE - 1) == (0, s.kernel);
            let pixels = if inside && rest.len() >= TILE * out {
                TILE
            } else {
                1
            };
            let Some((now, later)) = rest.split_at_mut_checked(pixels * out) else {
                return;
            };
            if pixels == TILE {
                block::<TILE>(x, weight, bias, now, s, oy, ox, act);
            } else {
                block::<1>(x, weight, bias, now, s, oy, ox, act);
            }
            rest = later;
            ox += pixels;
        }
    }
}

/// All outputs of `P` (1 or 4) neighbouring pixels; `y` is `[P][out_channels]`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn block<const P: usize>(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    s: &Conv,
    oy: usize,
    ox: usize,
    act: impl Fn(f32) -> f32 + Copy,
) {
    let per_group = (s.out_channels / s.groups.max(1)).max(1);
    let taps = (s.kernel * s.kernel * s.depth()).max(1);
    for (g, weight) in weight.chunks_exact((taps * per_group).max(1)).enumerate() {
        let mut at = g * per_group;
        let tiled = per_group / TILE * TILE * taps;
        let (tiled, single) = weight.split_at_checked(tiled).unwrap_or_default();
        for w in tiled.chunks_exact((TILE * taps).max(1)) {
            let b = bias.get(at..).and_then(|b| b.first_chunk::<TILE>());
            let mut acc = [b.copied().unwrap_or_default(); P];
            window(&mut acc, x, w.as_chunks().0, s, oy, ox, g);
            for (y, a) in y.chunks_exact_mut(s.out_channels.max(1)).zip(acc) {
                if let Some(y) = y.get_mut(at..).and_then(|y| y.first_chunk_mut::<TILE>()) {
                    *y = a.map(act);
                }
            }
            at += TILE;
        }
        for w in single.chunks_exact(taps) {
            let mut acc = [[bias.get(at).copied().unwrap_or_default()]; P];
            window(&mut acc, x, w.as_chunks().0, s, oy, ox, g);
            for (y, [a]) in y.chunks_exact_mut(s.out_channels.max(1)).zip(acc) {
                if let Some(y) = y.get_mut(at) {
                    *y = act(a);
                }
            }
            at += 1;
        }
    }
}

/// Adds the products of one window for `P` pixels and `O` outputs. The channels of neighbouring
/// positions lie side by side, so without dilation and groups a row of the kernel is one run.
#[inline(always)]
fn window<const P: usize, const O: usize>(
    acc: &mut [[f32; O]; P],
    x: &[f32],
    w: &[[f32; O]],
    s: &Conv,
    oy: usize,
    ox: usize,
    g: usize,
) {
    let depth = s.depth();
    let (first, end) = s.taps(ox);
    let joined = s.dilation == 1 && s.groups == 1;
    let (steps, run) = if joined {
        (1, end.saturating_sub(first) * depth)
    } else {
        (end.saturating_sub(first), depth)
    };
    for (ky, w) in w.chunks_exact((s.kernel * depth).max(1)).enumerate() {
        // A row in the padding above wraps to a huge number.
        let iy = (oy * s.stride + ky * s.dilation).wrapping_sub(s.top);
        if iy >= s.height {
            continue;
        }
        for step in 0..steps {
            let kx = first + step;
            let ix = (ox * s.stride + kx * s.dilation).wrapping_sub(s.left);
            let start = (iy * s.width + ix) * s.channels + g * depth;
            let mut rows = [&[][..]; P];
            for (p, row) in rows.iter_mut().enumerate() {
                let x = x.get(start + p * s.stride * s.channels..);
                let Some(x) = x.and_then(|x| x.get(..run)) else {
                    return;
                };
                *row = x;
            }
            let w = w.get(kx * depth..).unwrap_or_default();
            if let (Some(acc), Some(rows)) = (acc.first_chunk_mut(), rows.first_chunk::<TILE>()) {
                four_rows(acc, *rows, w);
            } else if let (Some(acc), Some(row)) = (acc.first_mut(), rows.first()) {
                one_row(acc, row, w);
            }
        }
    }
}
