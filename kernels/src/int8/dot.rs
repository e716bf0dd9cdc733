//! The inner loops of dense kernels: products of rows with rows of weights.
//!
//! A kernel for one target replaces these functions; their results are exact, so there is nothing
//! that could differ.

/// `acc[2 * p + o] += sum over i of x[p][i] * w[o][i]`.
#[inline(always)]
pub fn dot_2x2(mut acc: [i32; 4], [x0, x1]: [&[i8]; 2], [w0, w1]: [&[i8]; 2]) -> [i32; 4] {
    for (((x0, x1), w0), w1) in x0.iter().zip(x1).zip(w0).zip(w1) {
        let (x0, x1) = (i32::from(*x0), i32::from(*x1));
        let (w0, w1) = (i32::from(*w0), i32::from(*w1));
        acc[0] += x0 * w0;
        acc[1] += x0 * w1;
        acc[2] += x1 * w0;
        acc[3] += x1 * w1;
    }
    acc
}

/// `acc + sum over i of x[i] * w[i]`.
#[inline(always)]
pub fn dot(acc: i32, x: &[i8], w: &[i8]) -> i32 {
    let products = x.iter().zip(w).map(|(x, w)| i32::from(*x) * i32::from(*w));
    acc + products.sum::<i32>()
}
