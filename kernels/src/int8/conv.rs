//! Convolution: any kernel, stride, dilation, padding, groups.

use super::channels::Channels;
use super::linear::{one_row, two_rows};

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
    /// The input's zero.
    pub zero: i8,
}

impl Conv {
    /// Copies the window of an output position, for the channels of group `g`, to
    /// `[ky][kx][channels of the group]`.
    #[inline(never)]
    fn window(&self, x: &[i8], oy: usize, ox: usize, g: usize, to: &mut [i8]) {
        let depth = self.channels / self.groups.max(1);
        let first = (ox * self.stride).wrapping_sub(self.left);
        // Without dilation and groups a row of the window is one run.
        let joined = self.groups == 1 && self.dilation == 1;
        let inside = first < self.width && first + self.kernel <= self.width;
        for (ky, to) in to
            .chunks_exact_mut((self.kernel * depth).max(1))
            .enumerate()
        {
            // A row in the padding above wraps to a huge number.
            let iy = (oy * self.stride + ky * self.dilation).wrapping_sub(self.top);
            let row = (iy < self.height)
                .then(|| x.get(iy * self.width * self.channels..))
                .flatten();
            let Some(row) = row else {
                to.fill(self.zero);
                continue;
            };
            if joined && inside {
                copy(row.get(first * depth..).unwrap_or_default(), to);
                continue;
            }
            for (kx, to) in to.chunks_exact_mut(depth.max(1)).enumerate() {
                let ix = (ox * self.stride + kx * self.dilation).wrapping_sub(self.left);
                if ix < self.width {
                    let from = row.get(ix * self.channels + g * depth..);
                    copy(from.unwrap_or_default(), to);
                } else {
                    to.fill(self.zero);
                }
            }
        }
    }
}

#[inline(always)]
fn copy(from: &[i8], to: &mut [i8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// `y[oy][ox][o] = finish(bias[o] + sum over ky, kx, i of x[iy][ix][i] * weight[o][ky][kx][i])`.
///
/// `x` is the input map, `y` the output map. `weight` is `[out_channels][kernel][kernel][channels /
/// groups]`. `scratch` has room for two windows of a group: `2 * kernel * kernel * channels /
/// groups` bytes.
#[inline(never)]
pub fn conv<const WIDE: bool>(
    x: &[i8],
    weight: &[i8],
    channels: &Channels,
    y: &mut [i8],
    s: &Conv,
    scratch: &mut [i8],
) {
    let groups = s.groups.max(1);
    let taps = (s.kernel * s.kernel * (s.channels / groups)).max(1);
    let out = s.out_channels.max(1);
    let per_group = (out / groups).max(1);
    let Some((first, second)) = scratch.split_at_mut_checked(taps) else {
        return;
    };
    let Some(second) = second.get_mut(..taps) else {
        return;
    };
    for (g, weight) in weight.chunks_exact((taps * per_group).max(1)).enumerate() {
        let at = g * per_group;
        let rows = y.chunks_exact_mut((s.out_width.max(1) * out).max(1));
        for (oy, y) in rows.enumerate() {
            for (pair, y) in y.chunks_mut((2 * out).max(1)).enumerate() {
                s.window(x, oy, 2 * pair, g, first);
                if let Some((y0, y1)) = y.split_at_mut_checked(out) {
                    let y0 = y0.get_mut(at..at + per_group);
                    let y1 = y1.get_mut(at..at + per_group);
                    if let (Some(y0), Some(y1)) = (y0, y1) {
                        s.window(x, oy, 2 * pair + 1, g, second);
                        two_rows::<WIDE>([first, second], weight, channels, at, y0, y1);
                        continue;
                    }
                }
                if let Some(y) = y.get_mut(at..at + per_group) {
                    one_row::<WIDE>(first, weight, channels, at, y);
                }
            }
        }
    }
}
