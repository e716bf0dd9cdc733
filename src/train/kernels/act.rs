//! Element-wise non-linearities and their derivatives.

use super::simd::{exp, fma};
use crate::graph::Act;

/// A non-linearity as a type, so that loops over it are compiled for each.
pub(crate) trait Curve {
    /// Its value.
    fn at<const FMA: bool>(x: f32) -> f32;
    /// Its derivative.
    fn slope<const FMA: bool>(x: f32) -> f32;
}

/// `x` itself.
pub(crate) struct Identity;
pub(crate) struct Relu;
pub(crate) struct Relu6;
pub(crate) struct Silu;
pub(crate) struct Gelu;
pub(crate) struct HardSwish;
pub(crate) struct Sigmoid;

impl Curve for Identity {
    #[inline(always)]
    fn at<const FMA: bool>(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn slope<const FMA: bool>(_: f32) -> f32 {
        1.0
    }
}

// Comparisons are written so that NaN stays NaN: a diverging network must show it.
impl Curve for Relu {
    #[inline(always)]
    fn at<const FMA: bool>(x: f32) -> f32 {
        if x < 0.0 {
            0.0
        } else {
            x
        }
    }
    #[inline(always)]
    fn slope<const FMA: bool>(x: f32) -> f32 {
        if x > 0.0 {
            1.0
        } else {
            0.0
        }
    }
}

impl Curve for Relu6 {
    #[inline(always)]
    fn at<const FMA: bool>(x: f32) -> f32 {
        x.clamp(0.0, 6.0)
    }
    #[inline(always)]
    fn slope<const FMA: bool>(x: f32) -> f32 {
        if x > 0.0 && x < 6.0 {
            1.0
        } else {
            0.0
        }
    }
}

impl Curve for Sigmoid {
    #[inline(always)]
    fn at<const FMA: bool>(x: f32) -> f32 {
        1.0 / (1.0 + exp::<FMA>(-x))
    }
    #[inline(always)]
    fn slope<const FMA: bool>(x: f32) -> f32 {
        let s = Self::at::<FMA>(x);
        s * (1.0 - s)
    }
}

impl Curve for Silu {
    #[inline(always)]
    fn at<const FMA: bool>(x: f32) -> f32 {
        x / (1.0 + exp::<FMA>(-x))
    }
    #[inline(always)]
    fn slope<const FMA: bool>(x: f32) -> f32 {
        let s = Sigmoid::at::<FMA>(x);
        s * fma::<FMA>(x, 1.0 - s, 1.0)
    }
}

impl Curve for HardSwish {
    #[inline(always)]
    fn at<const FMA: bool>(x: f32) -> f32 {
        x * Relu6::at::<FMA>(x + 3.0) * (1.0 / 6.0)
    }
    #[inline(always)]
    fn slope<const FMA: bool>(x: f32) -> f32 {
        if x <= -3.0 {
            0.0
        } else if x >= 3.0 {
            1.0
        } else {
            fma::<FMA>(x, 1.0 / 3.0, 0.5)
        }
    }
}

/// The standard normal distribution function, absolute error below 3e-7 (Abramowitz and Stegun
/// 7.1.26), given `e = exp(-x^2 / 2)`.
#[inline(always)]
fn normal<const FMA: bool>(x: f32, e: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / fma::<FMA>(0.327_591_1, z, 1.0);
    let mut p = 1.061_405_4;
    for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = fma::<FMA>(p, t, c);
    }
    let tail = 0.5 * p * t * e;
    if x < 0.0 {
        tail
    } else {
        1.0 - tail
    }
}

impl Curve for Gelu {
    #[inline(always)]
    fn at<const FMA: bool>(x: f32) -> f32 {
        x * normal::<FMA>(x, exp::<FMA>(-0.5 * x * x))
    }
    #[inline(always)]
    fn slope<const FMA: bool>(x: f32) -> f32 {
        const FRAC_1_SQRT_2PI: f32 = 0.398_942_3;
        let e = exp::<FMA>(-0.5 * x * x);
        fma::<FMA>(x * FRAC_1_SQRT_2PI, e, normal::<FMA>(x, e))
    }
}

/// `with_curve!(act, C => expression)` evaluates the expression with `C` as the type of the
/// non-linearity `act: Option<Act>`.
macro_rules! with_curve {
    ($act:expr, $curve:ident => $body:expr) => {{
        use $crate::graph::Act;
        use $crate::train::kernels::act;
        match $act {
            None => {
                type $curve = act::Identity;
                $body
            }
            Some(Act::Relu) => {
                type $curve = act::Relu;
                $body
            }
            Some(Act::Relu6) => {
                type $curve = act::Relu6;
                $body
            }
            Some(Act::Silu) => {
                type $curve = act::Silu;
                $body
            }
            Some(Act::Gelu) => {
                type $curve = act::Gelu;
                $body
            }
            Some(Act::HardSwish) => {
                type $curve = act::HardSwish;
                $body
            }
            Some(Act::Sigmoid) => {
                type $curve = act::Sigmoid;
                $body
            }
        }
    }};
}
pub(crate) use with_curve;

/// `y = act(x)` element by element.
pub(crate) fn apply(act: Act, x: &[f32], y: &mut [f32]) {
    with_curve!(Some(act), C => super::simd::vectorized!(FMA => {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = C::at::<FMA>(x);
        }
    }));
}

/// `g *= act'(x)` element by element.
pub(crate) fn chain(act: Act, x: &[f32], g: &mut [f32]) {
    with_curve!(Some(act), C => super::simd::vectorized!(FMA => {
        for (g, &x) in g.iter_mut().zip(x) {
            *g *= C::slope::<FMA>(x);
        }
    }));
}
