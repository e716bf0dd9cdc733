//! The elementary functions against f64.

use hytc_kernels::float::activation::{gelu, hard_swish, relu6, sigmoid, silu};
use hytc_kernels::float::math::{erfc, exp, rsqrt};

/// The largest relative error of `f` against `reference` on a grid.
fn worst(from: f64, to: f64, f: impl Fn(f32) -> f32, reference: impl Fn(f64) -> f64) -> f64 {
    let steps = 200_000;
    let error = |i: u32| {
        let x = (from + (to - from) * f64::from(i) / f64::from(steps)) as f32;
        let wanted = reference(f64::from(x));
        ((f64::from(f(x)) - wanted) / wanted).abs()
    };
    let worst = (0..=steps).map(error).fold(0.0, f64::max);
    assert!(
        worst > 0.0,
        "an error of exactly zero means that nothing was compared"
    );
    worst
}

/// Abramowitz and Stegun 7.1.5 below 2, 7.1.14 above.
fn reference_erfc(z: f64) -> f64 {
    if z < 2.0 {
        let (mut term, mut sum) = (z, z);
        for n in 1..200 {
            let n = f64::from(n);
            term *= -z * z / n;
            sum += term / (2.0 * n + 1.0);
        }
        1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let tail = (1..400)
            .rev()
            .fold(z, |tail, n| z + f64::from(n) / 2.0 / tail);
        (-z * z).exp() * std::f64::consts::FRAC_2_SQRT_PI / 2.0 / tail
    }
}

#[test]
fn exp_is_accurate() {
    assert!(worst(-87.3, 88.7, exp, f64::exp) < 3e-7);
    assert_eq!(exp(0.0), 1.0);
    assert!(exp(-1000.0) > 0.0 && exp(-1000.0) < 1.3e-38);
    assert!(exp(1000.0).is_finite() && exp(1000.0) > 3e38);
    assert!(exp(f32::NAN).is_nan());
}

#[test]
fn rsqrt_is_accurate() {
    assert!(worst(1e-6, 4.0, rsqrt, |x| 1.0 / x.sqrt()) < 3e-7);
    assert!(worst(1.0, 1e6, rsqrt, |x| 1.0 / x.sqrt()) < 3e-7);
}

#[test]
fn erfc_is_accurate() {
    assert!(worst(0.0, 2.0, erfc, reference_erfc) < 1e-6);
    assert!(worst(2.0, 4.0, erfc, reference_erfc) < 2e-6);
}

#[test]
fn activations_are_accurate() {
    let phi = |x: f64| {
        let half = 0.5 * reference_erfc(x.abs() * std::f64::consts::FRAC_1_SQRT_2);
        if x < 0.0 {
            half
        } else {
            1.0 - half
        }
    };
    assert!(worst(-5.0, -0.01, gelu, |x| x * phi(x)) < 2e-6);
    assert!(worst(0.01, 20.0, gelu, |x| x * phi(x)) < 1e-6);
    assert!(worst(-80.0, 80.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 5e-7);
    assert!(worst(0.01, 80.0, silu, |x| x / (1.0 + (-x).exp())) < 5e-7);
    assert_eq!((gelu(0.0), silu(0.0), sigmoid(0.0)), (0.0, 0.0, 0.5));
    let edges = [-4.0, -3.0, 0.0, 3.0, 4.0].map(hard_swish);
    let wanted = [0.0, 0.0, 0.0, 3.0, 4.0];
    assert!(edges
        .iter()
        .zip(wanted)
        .all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6));
    assert_eq!([-1.0, 3.0, 7.0].map(relu6), [0.0, 3.0, 6.0]);
}
