//! What the output channels of a layer have besides their weights.

use super::requantise::{high, saturate, Rescale};

/// Biases and factors of the output channels, and the output's zero.
#[derive(Clone, Copy)]
pub struct Channels<'a> {
    /// Biases, with the input's zero in them.
    pub bias: &'a [i32],
    /// Multipliers, in `2^30..2^31` or 0.
    pub multiplier: &'a [i32],
    /// Shifts less 33; of a layer that is `WIDE`, the shifts.
    pub shift: &'a [u8],
    /// The output's zero.
    pub zero: i32,
}

impl Channels<'_> {
    /// The `N` channels from `at` on; channels of zeros where there are not so many.
    #[inline(always)]
    pub fn block<const N: usize>(&self, at: usize) -> [Channel; N] {
        let bias = self.bias.get(at..).and_then(|x| x.first_chunk::<N>());
        let multiplier = self.multiplier.get(at..).and_then(|x| x.first_chunk::<N>());
        let shift = self.shift.get(at..).and_then(|x| x.first_chunk::<N>());
        let mut all = [Channel {
            bias: 0,
            multiplier: 0,
            shift: 1,
            zero: self.zero,
        }; N];
        if let (Some(bias), Some(multiplier), Some(shift)) = (bias, multiplier, shift) {
            let parts = bias.iter().zip(multiplier).zip(shift);
            for (channel, ((bias, multiplier), shift)) in all.iter_mut().zip(parts) {
                channel.bias = *bias;
                channel.multiplier = *multiplier;
                channel.shift = *shift;
            }
        }
        all
    }

    /// The `n` channels from `at` on.
    #[inline(always)]
    pub fn part(&self, at: usize, n: usize) -> Option<Channels<'_>> {
        Some(Channels {
            bias: self.bias.get(at..at + n)?,
            multiplier: self.multiplier.get(at..at + n)?,
            shift: self.shift.get(at..at + n)?,
            zero: self.zero,
        })
    }

    /// The results of the sums of all channels.
    #[inline(always)]
    pub fn finish<const WIDE: bool>(&self, sums: &[i32], y: &mut [i8]) {
        let factors = self.multiplier.iter().zip(self.shift);
        for ((y, sum), (multiplier, shift)) in y.iter_mut().zip(sums).zip(factors) {
            *y = finish::<WIDE>(*sum, *multiplier, *shift, self.zero);
        }
    }
}

/// One channel.
#[derive(Clone, Copy)]
pub struct Channel {
    /// Where a sum begins.
    pub bias: i32,
    multiplier: i32,
    shift: u8,
    zero: i32,
}

impl Channel {
    /// The result of a sum. `WIDE`: shifts below 33 occur in the layer.
    #[inline(always)]
    pub fn finish<const WIDE: bool>(&self, sum: i32) -> i8 {
        finish::<WIDE>(sum, self.multiplier, self.shift, self.zero)
    }
}

#[inline(always)]
fn finish<const WIDE: bool>(sum: i32, multiplier: i32, shift: u8, zero: i32) -> i8 {
    let shift = u32::from(shift);
    let scaled = if WIDE {
        Rescale { multiplier, shift }.apply(sum)
    } else {
        high(sum, multiplier, shift)
    };
    saturate(scaled.saturating_add(zero))
}
