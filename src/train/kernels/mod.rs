//! Arithmetic on slices of `f32`, feature dimension innermost: what the operations are made of.
//!
//! Two rules keep results independent of the machine's number of threads: work is divided by images
//! ([`par`]), and whatever is summed over images is summed per fixed group of images first, then
//! group after group. Vector instructions are chosen at run time ([`simd`]); every sum runs in the
//! same order whichever are chosen.

pub(crate) mod act;
pub(crate) mod columns;
pub(crate) mod depthwise;
pub(crate) mod gemm;
pub(crate) mod im2col;
pub(crate) mod memory;
pub(crate) mod par;
pub(crate) mod simd;

/// A sliding window with its input and output sizes, for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slide {
    /// Input height and width.
    pub input: (usize, usize),
    /// Output height and width.
    pub output: (usize, usize),
    /// Side of the kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Distance between taps.
    pub dilation: usize,
    /// Rows of padding above, columns left.
    pub before: (usize, usize),
}

impl Slide {
    /// Of a window over a map of `h` x `w`.
    pub fn new(window: &crate::graph::Window, h: usize, w: usize) -> Slide {
        Slide {
            input: (h, w),
            output: window.output(h, w).unwrap_or((0, 0)),
            kernel: window.kernel,
            stride: window.stride,
            dilation: window.dilation,
            before: (window.padding.top, window.padding.left),
        }
    }

    /// Height and width of the part of the padded map that some tap reads.
    pub fn padded(&self) -> (usize, usize) {
        let reach = self.dilation * (self.kernel - 1) + 1;
        let side = |out: usize| out.saturating_sub(1) * self.stride + reach;
        (side(self.output.0), side(self.output.1))
    }

    /// Copies an image `[h][w][c]` into the padded buffer (zeros around it).
    pub fn pad(&self, c: usize, image: &[f32], buffer: &mut [f32]) {
        let (ph, pw) = self.padded();
        let (top, left) = self.before;
        buffer.fill(0.0);
        let rows = self.input.0.min(ph.saturating_sub(top));
        let columns = self.input.1.min(pw.saturating_sub(left));
        for y in 0..rows {
            let to = ((y + top) * pw + left) * c;
            let from = y * self.input.1 * c;
            buffer[to..to + columns * c].copy_from_slice(&image[from..from + columns * c]);
        }
    }

    /// The inverse of [`Slide::pad`]: what lies within the image; zero where no tap reads.
    pub fn crop(&self, c: usize, buffer: &[f32], image: &mut [f32]) {
        let (ph, pw) = self.padded();
        let (top, left) = self.before;
        let rows = self.input.0.min(ph.saturating_sub(top));
        let columns = self.input.1.min(pw.saturating_sub(left));
        if (rows, columns) != self.input {
            image.fill(0.0);
        }
        for y in 0..rows {
            let from = ((y + top) * pw + left) * c;
            let to = y * self.input.1 * c;
            image[to..to + columns * c].copy_from_slice(&buffer[from..from + columns * c]);
        }
    }
}
