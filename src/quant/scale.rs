//! Scales, and what is computed of them: requantisation, tables (docs/arithmetic.md, "Numbers").

use hytc_kernels::int8::requantise::Rescale;

/// What the integers of a tensor mean: `scale * (q - zero)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The value of a step; positive and finite.
    pub scale: f32,
    /// The integer that means 0, in -128..=127.
    pub zero: i32,
}

/// 256 results, of -128 first.
pub type Table = Box<[i8; 256]>;

/// Halves go up.
pub fn round(x: f64) -> f64 {
    (x + 0.5).floor()
}

/// Saturates a rounded number to eight bits.
pub fn saturate(x: f64) -> i8 {
    x.clamp(-128.0, 127.0) as i8
}

impl Scale {
    /// What the result of a softmax has.
    pub const SOFTMAX: Scale = Scale { scale: 1.0 / 256.0, zero: -128 };

    /// The scale of a range, which is widened to hold 0. `None` if the ends are not finite, or so
    /// close or far that no f32 holds the scale.
    pub fn of(lo: f64, hi: f64) -> Option<Scale> {
        if !lo.is_finite() || !hi.is_finite() {
            return None;
        }
        let (lo, hi) = (lo.min(0.0), hi.max(0.0));
        if lo == hi {
            return Some(Scale { scale: 1.0 / 128.0, zero: -128 });
        }
        let scale = ((hi - lo) / 255.0) as f32;
        let zero = round(-128.0 - lo / f64::from(scale)).clamp(-128.0, 127.0) as i32;
        (scale.is_normal() && scale > 0.0).then_some(Scale { scale, zero })
    }

    /// The scale of images: bytes after `normalize`. `None` where `mean` or `std` are unusable.
    pub fn of_pixels(mean: &[f32], std: &[f32]) -> Option<Scale> {
        let ends = mean.iter().zip(std).map(|(&m, &s)| (f64::from(m), f64::from(s)));
        let ends = ends.map(|(m, s)| (-m / s, (1.0 - m) / s));
        let (lo, hi) = ends.fold((0.0f64, 0.0f64), |(a, b), (lo, hi)| (a.min(lo), b.max(hi)));
        let scale = (hi - lo) / 255.0;
        let integer = ((lo / scale) - (lo / scale).round()).abs() < 1e-6;
        let scale = (if integer { scale } else { (hi - lo) / 254.0 }) as f32;
        let zero = round(-128.0 - lo / f64::from(scale));
        let fits = scale.is_normal() && scale > 0.0 && (-128.0..=127.0).contains(&zero);
        fits.then_some(Scale { scale, zero: zero as i32 })
    }

    /// A real number as an integer.
    pub fn quantise(self, x: f64) -> i8 {
        saturate(round(x / f64::from(self.scale)) + f64::from(self.zero))
    }

    /// What an integer means.
    pub fn real(self, q: i32) -> f64 {
        f64::from(self.scale) * f64::from(q - self.zero)
    }

    /// The table from bytes of a channel's pixels: `(p / 255 - mean) / std`, the byte 0 first.
    pub fn pixels(self, mean: f32, std: f32) -> Table {
        let mut table = Box::new([0; 256]);
        for (p, entry) in (0..256).zip(table.iter_mut()) {
            *entry = self.quantise((f64::from(p) / 255.0 - f64::from(mean)) / f64::from(std));
        }
        table
    }

    /// An f32 of an image as an integer, in f32 as emitted code computes it.
    pub fn quantise_f32(self, x: f32) -> i8 {
        let q = (x / self.scale + 0.5).floor() + self.zero as f32;
        if q.is_nan() {
            return self.zero as i8;
        }
        q.clamp(-128.0, 127.0) as i8
    }

    /// How far the results of a function stay from where [`Scale::table`] rounds up or down, in steps of
    /// `to`: 0 is a tie. What saturates in any case does not count.
    pub fn margin(self, to: Scale, f: impl Fn(f64) -> f64) -> f64 {
        let steps = (-128..=127).map(|q| f(self.real(q)) / f64::from(to.scale));
        let inside = |x: &f64| (-129.0..=128.0).contains(&(x + f64::from(to.zero)));
        steps.filter(inside).map(|x| (x - x.floor() - 0.5).abs()).fold(0.5, f64::min)
    }

    /// The table of a function from this scale to another.
    pub fn table(self, to: Scale, f: impl Fn(f64) -> f64) -> Table {
        let mut table = Box::new([0; 256]);
        for (q, entry) in (-128..).zip(table.iter_mut()) {
            *entry = to.quantise(f(self.real(q)));
        }
        table
    }
}

/// The multiplier and shift of a factor; `None` if it is not in `0..2^29`.
pub fn rescale(factor: f64) -> Option<Rescale> {
    if !(0.0..f64::from(1 << 29)).contains(&factor) {
        return None;
    }
    if factor < 2f64.powi(-32) {
        return Some(Rescale { multiplier: 0, shift: 62 });
    }
    // The largest shift that keeps the multiplier below 2^31, even after rounding.
    let mut shift = (30 - factor.log2().floor() as i32).clamp(1, 62);
    let of = |shift: i32| round(factor * 2f64.powi(shift));
    if of(shift) >= 2f64.powi(31) {
        shift -= 1;
    } else if of(shift) < 2f64.powi(30) && shift < 62 {
        shift += 1;
    }
    (shift >= 1).then(|| Rescale { multiplier: of(shift) as i32, shift: shift as u32 })
}

/// Factors of a sum's two tensors over a common shift: `(a, b, shift)`; `None` if one is too large.
pub fn add_factors(a: f64, b: f64) -> Option<(i32, i32, u32)> {
    let large = a.max(b);
    let limit = 2f64.powi(31);
    let shift = (16..=45).rev().find(|&t| round(large * 2f64.powi(t)) < limit)?;
    let of = |x: f64| round(x * 2f64.powi(shift)) as i32;
    Some((of(a), of(b), shift as u32))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_exact_to_31_bits() {
        for i in 0..20_000 {
            let factor = 2f64.powf(f64::from(i) / 20_000.0 * 58.0 - 30.0) * 0.999;
            let r = rescale(factor).unwrap();
            assert!((1..=62).contains(&r.shift) && r.multiplier >= 1 << 30, "{factor}");
            let found = f64::from(r.multiplier) / 2f64.powi(r.shift as i32);
            assert!((found / factor - 1.0).abs() < 2f64.powi(-30), "{factor} {found}");
        }
        assert_eq!(rescale(0.0).unwrap().multiplier, 0);
        assert!(rescale(f64::NAN).is_none() && rescale(-1.0).is_none() && rescale(1e9).is_none());
    }

    #[test]
    fn the_upper_half_of_the_product_is_enough() {
        for a in [0, 1, -1, 77, -12345, i32::MAX, i32::MIN, 1 << 20] {
            for shift in 33..=62 {
                for multiplier in [1 << 30, i32::MAX, 0x5bad_f00d] {
                    let exact = Rescale { multiplier, shift }.apply(a);
                    let half = hytc_kernels::int8::requantise::high(a, multiplier, shift - 33);
                    assert_eq!(exact, half, "{a} {multiplier} {shift}");
                }
            }
        }
    }

    #[test]
    fn ranges_hold_zero_exactly() {
        for (lo, hi) in [(-1.0, 1.0), (0.0, 6.0), (2.0, 3.0), (-5.0, -1.0), (-1e-30, 1e-30), (0.0, 0.0)] {
            let s = Scale::of(lo, hi).unwrap();
            assert!((-128..=127).contains(&s.zero));
            assert_eq!(s.quantise(0.0), s.zero as i8);
            for x in [lo, hi] {
                let error = (s.real(s.quantise(x).into()) - x).abs();
                assert!(error <= f64::from(s.scale) * 1.01, "{lo} {hi} {error}");
            }
        }
        assert!(Scale::of(f64::NAN, 1.0).is_none() && Scale::of(0.0, f64::INFINITY).is_none());
        assert!(Scale::of(0.0, 1e-42).is_none());
    }

    #[test]
    fn pixels_keep_all_their_bits_where_they_can() {
        let plain = Scale::of_pixels(&[0.0], &[1.0]).unwrap();
        assert_eq!(plain.zero, -128);
        for p in 0..=255 {
            assert_eq!(plain.quantise(f64::from(p) / 255.0), (p - 128) as i8);
        }
        let centred = Scale::of_pixels(&[0.5; 3], &[0.5; 3]).unwrap();
        assert_eq!(centred.quantise(-1.0), -128);
        assert!(Scale::of_pixels(&[0.5], &[0.0]).is_none());
    }
}
