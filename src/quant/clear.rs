//! Scales at which runtimes find the same integers as the exact arithmetic of docs/arithmetic.md.
//!
//! A runtime that multiplies an exact sum by a factor in 32-bit floating point rounds the product to 24
//! bits before it rounds it to an integer. Where the exact product lies within half a unit of the last of
//! those bits of a tie, that first rounding makes it one. Which products come that close depends on the
//! scale, and a scale a few millionths larger means as much: of some such scales these functions take one
//! at which no product does.

use super::scale::Scale;

/// How many scales are tried, each larger than the one before by [`STEP`].
const CANDIDATES: u32 = 1024;

/// What a candidate is larger by, relative to the scale: all of them together are less than a thousandth.
const STEP: f64 = 1.0 / (1 << 20) as f64;

/// How far from a tie `t` a product should be, in parts of `64 + t` steps. Half a unit of the last place,
/// at most `2^-24` of `t`, is what a runtime loses that adds up integers; one that adds up products in
/// floating point loses more the larger its sums are on the way, whatever they come to.
const PRODUCT: f64 = 1.0 / (1 << 20) as f64;

/// How far from a tie, in steps, a sum of two products should be. Runtimes round both factors, both
/// products, and up to three sums, of magnitudes up to 512.
const SUM: f64 = 1.0 / (1 << 14) as f64;

/// Of `scale` and its slightly larger candidates the first whose `margin` is at least `enough`, or the one
/// with the largest. `margin` gets a candidate and the best so far, below which it may give up.
fn best<T: Copy>(
    candidates: impl Iterator<Item = T>,
    enough: f64,
    margin: impl Fn(T, f64) -> f64,
) -> Option<T> {
    let mut best = (None, -1.0);
    for candidate in candidates {
        let margin = margin(candidate, best.1);
        if margin > best.1 {
            best = (Some(candidate), margin);
        }
        if margin >= enough {
            break;
        }
    }
    best.0
}

/// Candidates of a number in 32 bits; those that it cannot hold are left out.
fn candidates(scale: f64) -> impl Iterator<Item = f32> {
    let larger = (0..CANDIDATES).map(move |k| (scale * (1.0 + f64::from(k) * STEP)) as f32);
    larger.filter(|s| s.is_normal() && *s > 0.0)
}

/// A tensor's scale, perhaps slightly larger, at which no integer times `factor` is close to a tie.
pub(super) fn product(y: Scale, factor: impl Fn(Scale) -> f64) -> Scale {
    let candidates = candidates(y.scale.into()).map(|scale| Scale { scale, ..y });
    best(candidates, PRODUCT, |y, limit| product_margin(factor(y), y.zero, limit)).unwrap_or(y)
}

/// As [`product`], where it is a scale of weights that is chosen; `y` is the tensor that the products are
/// of. In 32 bits, as the ONNX file says it.
pub(super) fn weight(scale: f64, y: Scale, factor: impl Fn(f64) -> f64) -> f64 {
    let candidates = candidates(scale).map(f64::from);
    best(candidates, PRODUCT, |s, limit| product_margin(factor(s), y.zero, limit)).unwrap_or(scale)
}

/// The least distance of an integer times `factor` from a tie `t` that decides between two integers of a
/// tensor with `zero`, in parts of `64 + |t|` steps.
fn product_margin(factor: f64, zero: i32, limit: f64) -> f64 {
    if !(f64::MIN_POSITIVE..f64::INFINITY).contains(&factor) {
        return 0.0;
    }
    // Negative ties are as far from integers as positive ones.
    let largest = (127 - zero).max(zero + 128);
    let mut least = 1.0f64;
    for tie in (0..largest).rev() {
        let tie = f64::from(tie) + 0.5;
        let below = (tie / factor).floor();
        let off = (tie - below * factor).abs().min(((below + 1.0) * factor - tie).abs()) / (64.0 + tie);
        least = least.min(off);
        if least <= limit {
            break;
        }
    }
    least
}

/// A tensor's scale, perhaps slightly larger, at which none of the sums of an `a` and a `b` is close to a
/// tie.
pub(super) fn sum(a: Scale, b: Scale, y: Scale) -> Scale {
    let candidates = candidates(y.scale.into()).map(|scale| Scale { scale, ..y });
    best(candidates, SUM, |y, limit| sum_margin(a, b, y, limit)).unwrap_or(y)
}

/// The least distance from a tie of the sums of an `a` and a `b` that do not saturate, in steps.
fn sum_margin(a: Scale, b: Scale, y: Scale, limit: f64) -> f64 {
    let ratio = |x: Scale| f64::from(x.scale) / f64::from(y.scale);
    let (fa, fb) = (ratio(a), ratio(b));
    // Fractions of a step in 32 bits, which wrap: whole steps do not matter here.
    let one = 2f64.powi(32);
    let fraction = |x: f64| (((x - x.floor()) * one) as u64) as u32;
    let (ua, ub) = (fraction(fa), fraction(fb));
    let mut least = u32::MAX >> 1;
    let limit = (limit.max(0.0) * one) as u32;
    for qa in -128 - a.zero..=127 - a.zero {
        let part = fa * f64::from(qa);
        // What saturates in any case does not count.
        let end = |y: f64| ((y - part) / fb).clamp(-256.0, 256.0);
        let low = (end(f64::from(-129 - y.zero)).ceil() as i32).max(-128 - b.zero);
        let high = (end(f64::from(128 - y.zero)).floor() as i32).min(127 - b.zero);
        let start = ua.wrapping_mul(qa as u32);
        for qb in low..=high {
            let at = start.wrapping_add(ub.wrapping_mul(qb as u32));
            least = least.min(at.abs_diff(1 << 31));
        }
        if least <= limit {
            break;
        }
    }
    f64::from(least) / one
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a runtime computes in 32 bits, ties to even.
    fn runtime(sum: i32, factor: f32, zero: i32) -> i32 {
        ((sum as f32 * factor).round_ties_even() as i32 + zero).clamp(-128, 127)
    }

    fn exact(sum: i32, factor: f32, zero: i32) -> i32 {
        ((f64::from(sum) * f64::from(factor) + 0.5).floor() as i32 + zero).clamp(-128, 127)
    }

    #[test]
    fn products_in_32_bits_round_as_exact_ones() {
        let (mut before, mut after) = (0, 0);
        for i in 0..60 {
            let x = Scale { scale: 0.013 + i as f32 * 1e-5, zero: 3 };
            let y = Scale { scale: 0.021, zero: if i % 2 == 0 { -128 } else { 5 } };
            let factor = |w: f64| x.scale * w as f32 / y.scale;
            let sw = f64::from(0.0021f32 + i as f32 * 1.3e-5);
            let chosen = weight(sw, y, |w| factor(w).into());
            assert!((sw..sw * 1.001).contains(&chosen));
            let reach = (255.0 / factor(sw)) as i32;
            let same = |n: i32, f: f32| exact(n, f, y.zero) == runtime(n, f, y.zero);
            let differ = |f: f32| (-reach..reach).filter(|&n| !same(n, f)).count();
            before += differ(factor(sw));
            after += differ(factor(chosen));
        }
        assert!(before > 0 && after == 0, "{before} {after}");
    }

    #[test]
    fn sums_keep_off_ties() {
        for i in 0..20 {
            let a = Scale { scale: 0.03 + i as f32 * 1e-4, zero: 7 - i };
            let b = Scale { scale: 0.011, zero: -128 + i };
            let y = Scale { scale: 0.032, zero: -9 };
            let chosen = sum(a, b, y);
            assert!((y.scale..y.scale * 1.001).contains(&chosen.scale));
            let mut least = 1.0f64;
            for (qa, qb) in (-128..=127).flat_map(|a| (-128..=127).map(move |b| (a, b))) {
                let x = (a.real(qa) + b.real(qb)) / f64::from(chosen.scale);
                if (-129.0..=128.0).contains(&(x + f64::from(y.zero))) {
                    least = least.min((x - x.floor() - 0.5).abs());
                }
            }
            assert!(least > 2f64.powi(-15), "{least}");
        }
    }
}
