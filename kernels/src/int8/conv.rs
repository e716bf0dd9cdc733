//! Convolution: any kernel, stride, dilation, padding, groups.

use super::channels::Channels;
use super::linear::{one_row, two_rows};
use super::shape::copy;

/// A convolution.
#[derive(Clone, Copy)]
pub struct Conv<'a> {
    /// `[out_channels][kernel][kernel][channels / groups]`.
    pub weight: &'a [i8],
    /// Biases and factors of the output channels.
    pub factors: Channels<'a>,
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

impl Conv<'_> {
    /// Copies the window of an output position, for the channels of group `g`, to
    /// `[ky][kx][channels of the group]`.
    #[inline(never)]
    fn window(&self, x: &[i8], [oy, ox, g]: [usize; 3], to: &mut [i8]) {
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

/// `y[oy][ox][o] = finish(bias[o] + sum over ky, kx, i of x[iy][ix][i] * weight[o][ky][kx][i])`.
///
/// `x` is the input map, `y` the output map. `scratch` has room for two windows of a group:
/// `2 * kernel * kernel * channels / groups` bytes.
#[inline(never)]
pub fn conv(x: &[i8], y: &mut [i8], scratch: &mut [i8], s: &Conv) {
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
    for (g, weight) in s.weight.chunks_exact((taps * per_group).max(1)).enumerate() {
        let at = g * per_group;
        let Some(factors) = s.factors.part(at, per_group) else {
            return;
        };
        let rows = y.chunks_exact_mut((s.out_width.max(1) * out).max(1));
        for (oy, y) in rows.enumerate() {
            for (pair, y) in y.chunks_mut((2 * out).max(1)).enumerate() {
                s.window(x, [oy, 2 * pair, g], first);
                let (y0, y1) = y.split_at_mut_checked(out).unwrap_or_default();
                let Some(y0) = y0.get_mut(at..at + per_group) else {
                    return;
                };
                match y1.get_mut(at..at + per_group) {
                    Some(y1) => {
                        s.window(x, [oy, 2 * pair + 1, g], second);
                        two_rows([first, second], weight, &factors, y0, y1);
                    }
                    None => one_row(first, weight, &factors, y0),
                }
            }
        }
    }
}
