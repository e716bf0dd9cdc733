//! Sums and products of two tensors, or of a map and a vector of its channels.

use super::requantise::{saturate, Rescale};

/// How two tensors are added: `y = zero + (a * (qa - zero_a) + b * (qb - zero_b)) / 2^shift`.
#[derive(Clone, Copy)]
pub struct Add {
    /// Factor of the first.
    pub a: i32,
    /// Factor of the second.
    pub b: i32,
    /// `2^(shift - 1)` less both factors times their tensors' zeros.
    pub offset: i32,
    /// The common shift, 1 to 30.
    pub shift: u32,
    /// The sum's zero.
    pub zero: i32,
}

impl Add {
    #[inline(always)]
    fn of(&self, a: i8, b: i8) -> i8 {
        let (a, b) = (i32::from(a) * self.a, i32::from(b) * self.b);
        // The sum of all three fits, two of them need not.
        let sum = a.wrapping_add(b).wrapping_add(self.offset);
        saturate((sum >> self.shift) + self.zero)
    }

    /// The same with the tensors swapped.
    #[inline(always)]
    fn swapped(&self) -> Add {
        Add {
            a: self.b,
            b: self.a,
            ..*self
        }
    }
}

/// How two tensors are multiplied.
#[derive(Clone, Copy)]
pub struct Mul {
    /// Zero of the first.
    pub zero_a: i32,
    /// Zero of the second.
    pub zero_b: i32,
    /// The product's scale.
    pub rescale: Rescale,
    /// The product's zero.
    pub zero: i32,
}

impl Mul {
    #[inline(always)]
    fn of(&self, a: i8, b: i8) -> i8 {
        let product = (i32::from(a) - self.zero_a) * (i32::from(b) - self.zero_b);
        saturate(self.rescale.apply(product).saturating_add(self.zero))
    }

    #[inline(always)]
    fn swapped(&self) -> Mul {
        Mul {
            zero_a: self.zero_b,
            zero_b: self.zero_a,
            ..*self
        }
    }
}

/// `y[i] = f(a[i], b[i])`.
#[inline(always)]
fn both(a: &[i8], b: &[i8], y: &mut [i8], f: impl Fn(i8, i8) -> i8) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y = f(*a, *b);
    }
}

/// `y[i] = f(y[i], b[i])`.
#[inline(always)]
fn change(y: &mut [i8], b: &[i8], f: impl Fn(i8, i8) -> i8) {
    for (y, b) in y.iter_mut().zip(b) {
        *y = f(*y, *b);
    }
}

/// `y[i] = a[i] + b[i]`.
#[inline(never)]
pub fn add(a: &[i8], b: &[i8], y: &mut [i8], s: &Add) {
    both(a, b, y, |a, b| s.of(a, b));
}

/// `y[i] = y[i] + b[i]`; `y` is the first tensor.
#[inline(never)]
pub fn add_in_place(y: &mut [i8], b: &[i8], s: &Add) {
    change(y, b, |a, b| s.of(a, b));
}

/// `y[i] = a[i] + y[i]`; `y` is the second tensor.
pub fn add_in_place_second(y: &mut [i8], a: &[i8], s: &Add) {
    add_in_place(y, a, &s.swapped());
}

/// `y[i] = a[i] * b[i]`.
#[inline(never)]
pub fn mul(a: &[i8], b: &[i8], y: &mut [i8], s: &Mul) {
    both(a, b, y, |a, b| s.of(a, b));
}

/// `y[i] = y[i] * b[i]`; `y` is the first tensor.
#[inline(never)]
pub fn mul_in_place(y: &mut [i8], b: &[i8], s: &Mul) {
    change(y, b, |a, b| s.of(a, b));
}

/// `y[i] = a[i] * y[i]`; `y` is the second tensor.
pub fn mul_in_place_second(y: &mut [i8], a: &[i8], s: &Mul) {
    mul_in_place(y, a, &s.swapped());
}

/// `y[r][c] = a[r][c] + v[c]` for every row; rows are as long as `v`.
pub fn add_channels(a: &[i8], v: &[i8], y: &mut [i8], s: &Add) {
    let n = v.len().max(1);
    for (y, a) in y.chunks_exact_mut(n).zip(a.chunks_exact(n)) {
        add(a, v, y, s);
    }
}

/// `y[r][c] = y[r][c] + v[c]`.
pub fn add_channels_in_place(y: &mut [i8], v: &[i8], s: &Add) {
    for y in y.chunks_exact_mut(v.len().max(1)) {
        add_in_place(y, v, s);
    }
}

/// `y[r][c] = a[r][c] * v[c]` for every row; rows are as long as `v`.
pub fn mul_channels(a: &[i8], v: &[i8], y: &mut [i8], s: &Mul) {
    let n = v.len().max(1);
    for (y, a) in y.chunks_exact_mut(n).zip(a.chunks_exact(n)) {
        mul(a, v, y, s);
    }
}

/// `y[r][c] = y[r][c] * v[c]`.
pub fn mul_channels_in_place(y: &mut [i8], v: &[i8], s: &Mul) {
    for y in y.chunks_exact_mut(v.len().max(1)) {
        mul_in_place(y, v, s);
    }
}
