//! Scale and shift of channels: a batch norm that could not be folded into its neighbour.

use super::channels::Channels;

/// `y[r][c] = finish(bias[c] + x[r][c] * weight[c])` for every row; rows are as long as `weight`.
#[inline(never)]
pub fn affine<const WIDE: bool>(x: &[i8], weight: &[i8], channels: &Channels, y: &mut [i8]) {
    let n = weight.len().max(1);
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        for (at, ((y, x), w)) in y.iter_mut().zip(x).zip(weight).enumerate() {
            let [channel] = channels.block(at);
            *y = channel.finish::<WIDE>(channel.bias + i32::from(*x) * i32::from(*w));
        }
    }
}

/// The same with the result over the input.
#[inline(never)]
pub fn affine_in_place<const WIDE: bool>(y: &mut [i8], weight: &[i8], channels: &Channels) {
    for y in y.chunks_exact_mut(weight.len().max(1)) {
        for (at, (y, w)) in y.iter_mut().zip(weight).enumerate() {
            let [channel] = channels.block(at);
            *y = channel.finish::<WIDE>(channel.bias + i32::from(*y) * i32::from(*w));
        }
    }
}
