//! Pooling.

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
}

impl Pool {
    /// Calls `visit(output pixel, input pixel, first)` for every position of every window that lies
    /// in the map, and `done(output pixel, positions)` after each window.
    #[inline(always)]
    fn windows(
        &self,
        x: &[f32],
        y: &mut [f32],
        mut visit: impl FnMut(&mut [f32], &[f32], bool),
        mut done: impl FnMut(&mut [f32], usize),
    ) {
        let c = self.channels.max(1);
        for (oy, y) in y
            .chunks_exact_mut((self.out_width.max(1) * c).max(1))
            .enumerate()
        {
            for (ox, y) in y.chunks_exact_mut(c).enumerate() {
                let mut taps = 0;
                for ky in 0..self.kernel {
                    // A position in the padding above or to the left wraps to a huge number.
                    let iy = (oy * self.stride + ky * self.dilation).wrapping_sub(self.top);
                    if iy >= self.height {
                        continue;
                    }
                    for kx in 0..self.kernel {
                        let ix = (ox * self.stride + kx * self.dilation).wrapping_sub(self.left);
                        if ix >= self.width {
                            continue;
                        }
                        let start = (iy * self.width + ix) * c;
                        if let Some(pixel) = x.get(start..).and_then(|x| x.get(..c)) {
                            visit(y, pixel, taps == 0);
                            taps += 1;
                        }
                    }
                }
                done(y, taps);
            }
        }
    }
}

/// The maximum of every window; padding is ignored. `x` is a map, `y` a map of as many channels.
pub fn max_pool(x: &[f32], y: &mut [f32], s: &Pool) {
    let visit = |y: &mut [f32], x: &[f32], first: bool| {
        for (y, x) in y.iter_mut().zip(x) {
            *y = if first || *x > *y { *x } else { *y };
        }
    };
    let done = |y: &mut [f32], taps: usize| {
        if taps == 0 {
            y.fill(0.0);
        }
    };
    s.windows(x, y, visit, done);
}

/// The mean of every window; padding is not counted.
pub fn avg_pool(x: &[f32], y: &mut [f32], s: &Pool) {
    let visit = |y: &mut [f32], x: &[f32], first: bool| {
        for (y, x) in y.iter_mut().zip(x) {
            *y = if first { *x } else { *y + *x };
        }
    };
    let done = |y: &mut [f32], taps: usize| {
        let share = if taps == 0 { 0.0 } else { 1.0 / taps as f32 };
        for y in y {
            *y *= share;
        }
    };
    s.windows(x, y, visit, done);
}

/// The mean of all rows; rows are as long as `y`.
pub fn global_avg_pool(x: &[f32], y: &mut [f32]) {
    let n = y.len().max(1);
    y.fill(0.0);
    for x in x.chunks_exact(n) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }
    let share = 1.0 / (x.len() / n) as f32;
    for y in y {
        *y *= share;
    }
}
