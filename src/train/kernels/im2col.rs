//! Patches of a map as the rows of a matrix, so that a convolution is a matrix product.

use super::Slide;

/// Writes, for every output position of one image `[h][w][stride_c]`, the `channels` channels from
/// `from` on of its window as one row `[ky][kx][channel]`. Rows are `row` apart.
pub(crate) fn patches(
    s: &Slide,
    image: &[f32],
    depth: usize,
    from: usize,
    channels: usize,
    row: usize,
    out: &mut [f32],
) {
    walk(s, |position, tap, pixel| {
        let at = position * row + tap * channels;
        let to = &mut out[at..at + channels];
        match pixel {
            Some(p) => to.copy_from_slice(&image[p * depth + from..p * depth + from + channels]),
            None => to.fill(0.0),
        }
    });
}

/// The transpose of [`patches`]: adds every row's elements to the pixels they came from.
pub(crate) fn scatter(
    s: &Slide,
    rows: &[f32],
    depth: usize,
    from: usize,
    channels: usize,
    row: usize,
    image: &mut [f32],
) {
    walk(s, |position, tap, pixel| {
        let Some(p) = pixel else { return };
        let at = position * row + tap * channels;
        let to = &mut image[p * depth + from..p * depth + from + channels];
        for (t, &x) in to.iter_mut().zip(&rows[at..at + channels]) {
            *t += x;
        }
    });
}

/// Calls `f(output position, tap, input position)` for all taps of all windows; the input position
/// is `None` in the padding.
#[inline(always)]
pub(crate) fn walk(s: &Slide, mut f: impl FnMut(usize, usize, Option<usize>)) {
    let (h, w) = s.input;
    for oy in 0..s.output.0 {
        for ox in 0..s.output.1 {
            for ky in 0..s.kernel {
                let y = (oy * s.stride + ky * s.dilation).checked_sub(s.before.0).filter(|&y| y < h);
                for kx in 0..s.kernel {
                    let x = (ox * s.stride + kx * s.dilation).checked_sub(s.before.1).filter(|&x| x < w);
                    let pixel = y.zip(x).map(|(y, x)| y * w + x);
                    f(oy * s.output.1 + ox, ky * s.kernel + kx, pixel);
                }
            }
        }
    }
}
