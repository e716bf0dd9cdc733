//! Depthwise convolution: every channel by itself.

use super::tile::TILE;

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
}

impl Depthwise {
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

/// `y[oy][ox][c] = act(bias[c] + sum over ky, kx of x[iy][ix][c] * weight[c][ky][kx])`.
///
/// `x` is the input map, `y` the output map. `weight` is tiled (see [`super::tile`]) with the
/// kernel's positions as taps. `bias` has an element for each channel, or is empty: zero.
pub fn depthwise(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    s: &Depthwise,
    act: impl Fn(f32) -> f32 + Copy,
) {
    let c = s.channels.max(1);
    for (oy, y) in y
        .chunks_exact_mut((s.out_width.max(1) * c).max(1))
        .enumerate()
    {
        // A row in the padding above wraps to a huge number.
        let iy = (oy * s.stride).wrapping_sub(s.top);
        let inside = s.kernel == 3 && s.dilation == 1 && iy < s.height && iy + 2 < s.height;
        for (ox, y) in y.chunks_exact_mut(c).enumerate() {
            let ix = (ox * s.stride).wrapping_sub(s.left);
            if inside && ix < s.width && ix + 2 < s.width {
                inside3(
                    x,
                    weight,
                    bias,
                    y,
                    (iy * s.width + ix) * c,
                    s.width * c,
                    act,
                );
            } else {
                pixel(x, weight, bias, y, s, oy, ox, act);
            }
        }
    }
}

/// All channels of a pixel whose window of 3 x 3 lies in the map: `start` is where the window begins
/// in `x`, `row` the distance of its rows.
#[inline(always)]
fn inside3(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    start: usize,
    row: usize,
    act: impl Fn(f32) -> f32 + Copy,
) {
    let c = y.len();
    let mut taps = [&[][..]; 9];
    for (tap, x_tap) in taps.iter_mut().enumerate() {
        let x = x.get(start + tap / 3 * row + tap % 3 * c..);
        let Some(x) = x.and_then(|x| x.get(..c)) else {
            return;
        };
        *x_tap = x;
    }
    let blocks = taps.map(|x| x.as_chunks::<TILE>());
    let (ys, rest) = y.as_chunks_mut::<TILE>();
    let (tiled, single) = weight
        .split_at_checked(ys.len() * TILE * 9)
        .unwrap_or_default();
    let (tiled, _) = tiled.as_chunks::<TILE>();
    let (tiled, _) = tiled.as_chunks::<9>();
    for (at, (y, w)) in ys.iter_mut().zip(tiled).enumerate() {
        let b = bias.get(at * TILE..).and_then(|b| b.first_chunk::<TILE>());
        let mut acc = b.copied().unwrap_or_default();
        for ((x, _), w) in blocks.iter().zip(w) {
            let Some(x) = x.get(at) else { return };
            for ((a, x), w) in acc.iter_mut().zip(x).zip(w) {
                *a += x * w;
            }
        }
        *y = acc.map(act);
    }
    for (at, (y, w)) in rest.iter_mut().zip(single.as_chunks::<9>().0).enumerate() {
        let mut acc = bias.get(ys.len() * TILE + at).copied().unwrap_or_default();
        for ((_, x), w) in blocks.iter().zip(w) {
            acc += x.get(at).copied().unwrap_or_default() * w;
        }
        *y = act(acc);
    }
}

/// All channels of a pixel.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn pixel(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    s: &Depthwise,
    oy: usize,
    ox: usize,
    act: impl Fn(f32) -> f32 + Copy,
) {
    let taps = (s.kernel * s.kernel).max(1);
    let (ys, rest) = y.as_chunks_mut::<TILE>();
    let (tiled, single) = weight
        .split_at_checked(ys.len() * TILE * taps)
        .unwrap_or_default();
    let mut bias = bias.iter().copied();
    let mut at = 0;
    for (y, w) in ys.iter_mut().zip(tiled.chunks_exact((TILE * taps).max(1))) {
        let mut acc = [(); TILE].map(|()| bias.next().unwrap_or_default());
        window(&mut acc, x, w.as_chunks().0, s, oy, ox, at);
        *y = acc.map(act);
        at += TILE;
    }
    for (y, w) in rest.iter_mut().zip(single.chunks_exact(taps)) {
        let mut acc = [bias.next().unwrap_or_default()];
        window(&mut acc, x, w.as_chunks().0, s, oy, ox, at);
        let [a] = acc;
        *y = act(a);
        at += 1;
    }
}

/// Adds the products of one window for the `N` channels from `channel` on.
#[inline(always)]
fn window<const N: usize>(
    acc: &mut [f32; N],
    x: &[f32],
    w: &[[f32; N]],
    s: &Depthwise,
    oy: usize,
    ox: usize,
    channel: usize,
) {
    let (first, end) = s.taps(ox);
    let step = s.dilation * s.channels;
    for (ky, w) in w.chunks_exact(s.kernel.max(1)).enumerate() {
        let iy = (oy * s.stride + ky * s.dilation).wrapping_sub(s.top);
        if iy >= s.height {
            continue;
        }
        let ix = (ox * s.stride + first * s.dilation).wrapping_sub(s.left);
        let mut at = (iy * s.width + ix) * s.channels + channel;
        for w in w.get(first..end).unwrap_or_default() {
            let Some(x) = x.get(at..).and_then(|x| x.first_chunk::<N>()) else {
                return;
            };
            for ((a, x), w) in acc.iter_mut().zip(x).zip(w) {
                *a += x * w;
            }
            at += step;
        }
    }
}
