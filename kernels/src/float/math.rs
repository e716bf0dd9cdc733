//! The elementary functions that `core` does not have. Without branches where it can be, so that
//! loops over them vectorise.

/// `e^x`, relative error below 3e-7 for `x` in -87.3..88.7; beyond, the value at the end of that
/// range.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; `e^r` by its Taylor polynomial of degree 7 (truncation
/// below 6e-9), `2^n` by the exponent's bits. `ln 2` is subtracted in two parts, the first exact in
/// its product with `n` (Cody and Waite 1980).
#[inline]
pub fn exp(x: f32) -> f32 {
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.7 { 88.7 } else { x };
    let scaled = x * core::f32::consts::LOG2_E;
    let n = (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i32;
    let f = n as f32;
    let r = x - f * HIGH - f * LOW;
    let p = 1.0 / 720.0 + r * (1.0 / 5040.0);
    let p = 1.0 / 120.0 + r * p;
    let p = 1.0 / 24.0 + r * p;
    let p = 1.0 / 6.0 + r * p;
    let p = 0.5 + r * p;
    let p = 1.0 + r * p;
    let p = 1.0 + r * p;
    // n is in -126..=128; 2^128 does not exist, so half of the exponent's last step is put in p.
    let (n, p) = if n > 127 { (127, p + p) } else { (n, p) };
    p * f32::from_bits(((n + 127) as u32) << 23)
}

/// `1 / sqrt(x)` for positive normal `x`, relative error below 3e-7.
///
/// A first guess by halving the exponent's bits, three steps of Newton's method
/// `y' = y (3 - x y^2) / 2`, each squaring the error of 3.5 % with which it begins.
#[inline]
pub fn rsqrt(x: f32) -> f32 {
    let mut y = f32::from_bits(0x5f37_59df_u32.wrapping_sub(x.to_bits() >> 1));
    let half = 0.5 * x;
    y *= 1.5 - half * y * y;
    y *= 1.5 - half * y * y;
    y *= 1.5 - half * y * y;
    y
}

/// The complementary error function `1 - erf(z)` for `z >= 0`, relative error below 1e-6 up to
/// `z = 2` and 2e-6 up to `z = 4`, where it is 1.5e-8; the error of `e^(-z^2)` grows with `z^2`.
///
/// `e^(-z^2) t Q(t)` with `t = 1 / (1 + z / 2)`, the form of Press et al., Numerical Recipes, 6.2;
/// `Q` is a polynomial of degree 8 fitted for hytc to the least relative error, 5e-8 on 0..10.
#[inline]
pub fn erfc(z: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.5 * z);
    let q = 0.284_576_17 - t * 0.059_069_206;
    let q = -0.487_202_3 + t * q;
    let q = 0.278_069_8 + t * q;
    let q = -0.026_627_386 + t * q;
    let q = 0.202_687_55 + t * q;
    let q = 0.243_103_6 + t * q;
    let q = 0.282_375_33 + t * q;
    let q = 0.282_086_42 + t * q;
    t * q * exp(-z * z)
}
