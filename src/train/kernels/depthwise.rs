//! Depthwise convolution of one image, channels innermost, weights `[ky][kx][c]`.
//!
//! The image is copied into a zero-padded buffer first, so that no inner loop looks at borders.
//! Channels go in blocks of a constant number of lanes.

use super::simd::{fma, lanes, lanes_mut, vectorized};
use super::Slide;

/// Calls `$f::<.., L>(.., c0)` for blocks of 16, 8 and 1 channels.
macro_rules! channel_blocks {
    ($c:expr, $at:ident, $lanes:ident => $body:expr) => {{
        let mut $at = 0;
        while $at + 16 <= $c {
            const $lanes: usize = 16;
            $body;
            $at += 16;
        }
        while $at + 8 <= $c {
            const $lanes: usize = 8;
            $body;
            $at += 8;
        }
        while $at < $c {
            const $lanes: usize = 1;
            $body;
            $at += 1;
        }
    }};
}

/// Output positions whose sums are held in registers at once.
const PIXELS: usize = 4;

/// `out` (`[oh][ow][c]`) is the convolution of `padded` ([`Slide::pad`]) with the weights, plus bias.
pub(crate) fn forward(
    s: &Slide,
    c: usize,
    padded: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    vectorized!(FMA => forward_in::<FMA>(s, c, padded, weights, bias, out));
}

#[inline(always)]
fn forward_in<const FMA: bool>(
    s: &Slide,
    c: usize,
    padded: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    for oy in 0..s.output.0 {
        channel_blocks!(c, at, L => {
            let mut ox = 0;
            while ox + PIXELS <= s.output.1 {
                dot::<FMA, PIXELS, L>(s, c, at, oy, ox, padded, weights, bias, out);
                ox += PIXELS;
            }
            while ox < s.output.1 {
                dot::<FMA, 1, L>(s, c, at, oy, ox, padded, weights, bias, out);
                ox += 1;
            }
        });
    }
}

#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn dot<const FMA: bool, const P: usize, const L: usize>(
    s: &Slide,
    c: usize,
    at: usize,
    oy: usize,
    ox: usize,
    padded: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let pw = s.padded().1;
    let mut acc = match bias {
        Some(bias) => [*lanes::<L>(&bias[at..]); P],
        None => [[0.0; L]; P],
    };
    for ky in 0..s.kernel {
        let row = (oy * s.stride + ky * s.dilation) * pw + ox * s.stride;
        for kx in 0..s.kernel {
            let w = lanes::<L>(&weights[(ky * s.kernel + kx) * c + at..]);
            let start = (row + kx * s.dilation) * c + at;
            for (p, acc) in acc.iter_mut().enumerate() {
                let x = lanes::<L>(&padded[start + p * s.stride * c..]);
                for ((a, &x), &w) in acc.iter_mut().zip(x).zip(w) {
                    *a = fma::<FMA>(x, w, *a);
                }
            }
        }
    }
    for (p, acc) in acc.iter().enumerate() {
        *lanes_mut::<L>(&mut out[((oy * s.output.1) + ox + p) * c + at..]) = *acc;
    }
}

/// Adds to `padded_grad` what the output's gradient gives for the padded image.
pub(crate) fn scatter(s: &Slide, c: usize, grad: &[f32], weights: &[f32], padded_grad: &mut [f32]) {
    vectorized!(FMA => scatter_in::<FMA>(s, c, grad, weights, padded_grad));
}

#[inline(always)]
fn scatter_in<const FMA: bool>(s: &Slide, c: usize, grad: &[f32], weights: &[f32], padded_grad: &mut [f32]) {
    let pw = s.padded().1;
    for oy in 0..s.output.0 {
        for ky in 0..s.kernel {
            let row = (oy * s.stride + ky * s.dilation) * pw;
            for ox in 0..s.output.1 {
                let g = &grad[(oy * s.output.1 + ox) * c..][..c];
                for kx in 0..s.kernel {
                    let w = &weights[(ky * s.kernel + kx) * c..][..c];
                    let to = &mut padded_grad[(row + ox * s.stride + kx * s.dilation) * c..][..c];
                    for ((t, &g), &w) in to.iter_mut().zip(g).zip(w) {
                        *t = fma::<FMA>(g, w, *t);
                    }
                }
            }
        }
    }
}

/// Adds the weights' gradient (`[ky][kx][c]`) of one image.
pub(crate) fn weight_grad(s: &Slide, c: usize, padded: &[f32], grad: &[f32], out: &mut [f32]) {
    vectorized!(FMA => match s.kernel {
        3 => weight_grad_in::<FMA, 3>(s, c, padded, grad, out),
        5 => weight_grad_in::<FMA, 5>(s, c, padded, grad, out),
        7 => weight_grad_in::<FMA, 7>(s, c, padded, grad, out),
        _ => weight_grad_in::<FMA, 1>(s, c, padded, grad, out),
    });
}

/// `K` taps of a row of the kernel at a time; `K` divides the kernel's side.
#[inline(always)]
fn weight_grad_in<const FMA: bool, const K: usize>(
    s: &Slide,
    c: usize,
    padded: &[f32],
    grad: &[f32],
    out: &mut [f32],
) {
    let pw = s.padded().1;
    for oy in 0..s.output.0 {
        for ky in 0..s.kernel {
            let row = (oy * s.stride + ky * s.dilation) * pw;
            for kx in (0..s.kernel).step_by(K) {
                let tap = ky * s.kernel + kx;
                channel_blocks!(c, at, L => {
                    let mut acc = [[0.0f32; L]; K];
                    for ox in 0..s.output.1 {
                        let g = lanes::<L>(&grad[(oy * s.output.1 + ox) * c + at..]);
                        let start = (row + ox * s.stride + kx * s.dilation) * c + at;
                        for (k, acc) in acc.iter_mut().enumerate() {
                            let x = lanes::<L>(&padded[start + k * s.dilation * c..]);
                            for ((a, &x), &g) in acc.iter_mut().zip(x).zip(g) {
                                *a = fma::<FMA>(x, g, *a);
                            }
                        }
                    }
                    for (k, acc) in acc.iter().enumerate() {
                        let to = lanes_mut::<L>(&mut out[(tap + k) * c + at..]);
                        for (t, a) in to.iter_mut().zip(acc) {
                            *t += a;
                        }
                    }
                });
            }
        }
    }
}
