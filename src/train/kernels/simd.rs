//! One source for every vector instruction set.
//!
//! Kernels are `#[inline(always)]` functions over arrays of constant length, which the compiler
//! turns into vector code. [`vectorized!`] compiles a kernel once for each instruction set that
//! pulp knows and picks the best one at run time.

/// `a * b + c`: fused where the instruction set has it (`FMA`), else two operations; the fused form
/// without hardware support is a slow library call.
#[inline(always)]
pub(crate) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// Whether the widest instruction set here has fused multiplication and addition.
pub(crate) fn has_fma() -> bool {
    cfg!(target_arch = "aarch64") || !matches!(pulp::Arch::new(), pulp::Arch::Scalar)
}

/// A kernel to be compiled for every instruction set. It is called through `FnMut`: through `FnOnce`
/// the call goes by way of a shim that is not inlined, and its code would know no vectors.
pub(crate) struct Kernel<F>(pub F);

impl<R, F: FnMut() -> R> pulp::WithSimd for Kernel<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}

/// `vectorized!(FMA => expression)` evaluates the expression with the machine's vector
/// instructions; in it, `FMA` is a constant that says whether to use [`fma`]'s fused form.
macro_rules! vectorized {
    ($fma:ident => $body:expr) => {{
        use $crate::train::kernels::simd::{has_fma, Kernel};
        let arch = pulp::Arch::new();
        if has_fma() {
            arch.dispatch(Kernel(
                #[inline(always)]
                || {
                    const $fma: bool = true;
                    $body
                },
            ))
        } else {
            arch.dispatch(Kernel(
                #[inline(always)]
                || {
                    const $fma: bool = false;
                    $body
                },
            ))
        }
    }};
}
pub(crate) use vectorized;

/// The `L` floats at the start of a slice.
#[inline(always)]
pub(crate) fn lanes<const L: usize>(s: &[f32]) -> &[f32; L] {
    match s.first_chunk::<L>() {
        Some(a) => a,
        None => panic!("a slice is shorter than a vector"),
    }
}

/// The `L` floats at the start of a mutable slice.
#[inline(always)]
pub(crate) fn lanes_mut<const L: usize>(s: &mut [f32]) -> &mut [f32; L] {
    match s.first_chunk_mut::<L>() {
        Some(a) => a,
        None => panic!("a slice is shorter than a vector"),
    }
}

/// `e^x`, relative error below 2e-7; 0 below -87.3, capped above 88.
///
/// `x = n ln 2 + r` with a polynomial for `e^r` on `|r| <= ln 2 / 2` (Cody and Waite's reduction;
/// the coefficients are those of the Taylor series, whose remainder is below 1e-8 there).
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.0);
    let t = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = t - ROUND;
    let r = fma::<FMA>(n, -LN2_LOW, fma::<FMA>(n, -LN2_HIGH, x));
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = fma::<FMA>(p, r, c);
    }
    let scale = f32::from_bits(t.to_bits().wrapping_add(127) << 23);
    p * scale
}
