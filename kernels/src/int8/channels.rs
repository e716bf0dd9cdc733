//! What the output channels of a layer have besides their weights.

use super::requantise::{high, saturate, Rescale};
use super::shape::rolled;

/// Biases and factors of the output channels, and the output's zero. All slices are of one length.
#[derive(Clone, Copy)]
pub struct Channels<'a> {
    /// Biases, with the input's zero in them.
    pub bias: &'a [i32],
    /// Multipliers, in `2^30..2^31` or 0.
    pub multiplier: &'a [i32],
    /// Shifts less 33; where the layer is wide, the shifts.
    pub shift: &'a [u8],
    /// The output's zero.
    pub zero: i32,
    /// Whether shifts below 33 occur.
    pub wide: bool,
}

impl Channels<'_> {
    /// The `n` channels from `at` on.
    #[inline(always)]
    pub fn part(&self, at: usize, n: usize) -> Option<Channels<'_>> {
        Some(Channels {
            bias: self.bias.get(at..)?.get(..n)?,
            multiplier: self.multiplier.get(at..)?.get(..n)?,
            shift: self.shift.get(at..)?.get(..n)?,
            ..*self
        })
    }

    /// The result of one channel's sum.
    #[inline(always)]
    pub fn one(&self, sum: i32, multiplier: i32, shift: u8) -> i8 {
        let shift = u32::from(shift);
        match self.wide {
            false => saturate(high(sum, multiplier, shift).saturating_add(self.zero)),
            true => Rescale { multiplier, shift }.to(sum, self.zero),
        }
    }

    /// The results of the sums of all channels.
    #[inline(always)]
    pub fn finish(&self, sums: &[i32], y: &mut [i8]) {
        let all = y.iter_mut().zip(sums).zip(self.multiplier).zip(self.shift);
        if self.wide {
            for (((y, sum), multiplier), shift) in all {
                rolled();
                let shift = u32::from(*shift);
                *y = Rescale {
                    multiplier: *multiplier,
                    shift,
                }
                .to(*sum, self.zero);
            }
        } else {
            for (((y, sum), multiplier), shift) in all {
                let sum = high(*sum, *multiplier, u32::from(*shift));
                *y = saturate(sum.saturating_add(self.zero));
            }
        }
    }
}
