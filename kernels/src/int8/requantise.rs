//! From 32-bit sums back to eight bits.

use super::shape::rolled;

/// A real factor `multiplier / 2^shift`; shifts are 1 to 62.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rescale {
    /// In `2^30..2^31`, or 0.
    pub multiplier: i32,
    /// 1 to 62.
    pub shift: u32,
}

impl Rescale {
    /// `floor((a * multiplier + 2^(shift - 1)) / 2^shift)`, saturated to 32 bits.
    // Not inlined: shifts of 64 bits are long on 32-bit cores.
    #[inline(never)]
    pub fn apply(self, a: i32) -> i32 {
        let product = i64::from(a) * i64::from(self.multiplier) + (1 << (self.shift - 1));
        (product >> self.shift).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    }

    /// The same, moved to a zero and saturated to eight bits.
    #[inline(always)]
    pub fn to(self, a: i32, zero: i32) -> i8 {
        saturate(self.apply(a).saturating_add(zero))
    }
}

/// The same where the shift is at least 33, given as `fraction = shift - 33`: the upper half of the
/// product is enough.
#[inline(always)]
pub fn high(a: i32, multiplier: i32, fraction: u32) -> i32 {
    let high = ((i64::from(a) * i64::from(multiplier)) >> 32) as i32;
    ((high >> fraction) + 1) >> 1
}

/// Saturates to eight bits.
#[inline(always)]
pub fn saturate(x: i32) -> i8 {
    x.clamp(-128, 127) as i8
}

/// `floor(2^power / divisor)` for a divisor that is not 0, `power` at most 63: bit by bit, since a
/// division of 64 bits is long on 32-bit cores.
#[inline(never)]
pub fn reciprocal(power: u32, divisor: u32) -> u64 {
    let divisor = u64::from(divisor);
    let (mut quotient, mut rest) = (0, 1);
    for _ in 0..power {
        rolled();
        quotient <<= 1;
        if rest >= divisor {
            rest -= divisor;
            quotient |= 1;
        }
        rest <<= 1;
    }
    (quotient << 1) | u64::from(rest >= divisor)
}
