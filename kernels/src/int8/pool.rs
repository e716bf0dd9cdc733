//! Pooling.

use super::requantise::{saturate, Rescale};
use super::shape::rolled;

/// The shape of a pooling over windows.
#[derive(Clone, Copy)]
pub struct Pool {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// Columns of the output.
    pub out_width: usize,
    /// Side of the window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Distance between its taps.
    pub dilation: usize,
    /// Rows of padding above.
    pub top: usize,
    /// Columns of padding on the left.
    pub left: usize,
    /// The input's zero, the result of a window without values.
    pub zero: i8,
}

impl Pool {
    /// `y[oy][ox][c]` by `reduce` of the values in the map, which it can go through.
    #[inline(always)]
    fn run(&self, x: &[i8], y: &mut [i8], reduce: impl Fn(&Window) -> i8) {
        let c = self.channels.max(1);
        let rows = y.chunks_exact_mut((self.out_width.max(1) * c).max(1));
        for (oy, y) in rows.enumerate() {
            for (ox, y) in y.chunks_exact_mut(c).enumerate() {
                for (at, y) in y.iter_mut().enumerate() {
                    *y = reduce(&Window {
                        pool: self,
                        x,
                        oy,
                        ox,
                        at,
                    });
                }
            }
        }
    }
}

/// One window in one channel.
struct Window<'a> {
    pool: &'a Pool,
    x: &'a [i8],
    oy: usize,
    ox: usize,
    at: usize,
}

impl Window<'_> {
    /// Visits the values in the map.
    #[inline(always)]
    fn each(&self, mut visit: impl FnMut(i32)) {
        let s = self.pool;
        for ky in 0..s.kernel {
            // A position in the padding above or to the left wraps to a huge number.
            let iy = (self.oy * s.stride + ky * s.dilation).wrapping_sub(s.top);
            if iy >= s.height {
                continue;
            }
            for kx in 0..s.kernel {
                rolled();
                let ix = (self.ox * s.stride + kx * s.dilation).wrapping_sub(s.left);
                if ix < s.width {
                    if let Some(q) = self.x.get((iy * s.width + ix) * s.channels + self.at) {
                        visit(i32::from(*q));
                    }
                }
            }
        }
    }
}

/// The maximum of every window; padding is ignored. `x` is a map, `y` a map of as many channels.
#[inline(never)]
pub fn max_pool(x: &[i8], y: &mut [i8], s: &Pool) {
    s.run(x, y, |window| {
        let mut max = i32::MIN;
        window.each(|q| max = max.max(q));
        if max == i32::MIN {
            return s.zero;
        }
        saturate(max)
    });
}

/// The mean of every window; padding is not counted.
#[inline(never)]
pub fn avg_pool(x: &[i8], y: &mut [i8], s: &Pool) {
    s.run(x, y, |window| {
        let (mut sum, mut n) = (0, 0);
        window.each(|q| {
            sum += q;
            n += 1;
        });
        if n == 0 {
            return s.zero;
        }
        saturate((2 * sum + n).div_euclid(2 * n))
    });
}

/// A mean of all rows.
#[derive(Clone, Copy)]
pub struct Mean {
    /// The input's zero.
    pub zero_x: i32,
    /// From sums to the output's scale.
    pub rescale: Rescale,
    /// The output's zero.
    pub zero: i32,
}

/// The mean of all rows; rows are as long as `y`.
#[inline(never)]
pub fn global_avg_pool(x: &[i8], y: &mut [i8], s: &Mean) {
    let n = y.len().max(1);
    for (at, y) in y.iter_mut().enumerate() {
        let mut sum = 0;
        for q in x.get(at..).unwrap_or_default().iter().step_by(n) {
            rolled();
            sum += i32::from(*q) - s.zero_x;
        }
        *y = s.rescale.to(sum, s.zero);
    }
}
