//! Tables, concatenation, copies.

/// `y[i] = x[i]`.
#[inline(never)]
pub fn copy(x: &[i8], y: &mut [i8]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = *x;
    }
}

/// `table[q + 128]`.
#[inline(always)]
fn look(table: &[i8; 256], q: i8) -> i8 {
    table[usize::from(q as u8 ^ 0x80)]
}

/// `y[i] = table[x[i] + 128]`.
#[inline(never)]
pub fn map(x: &[i8], y: &mut [i8], table: &[i8; 256]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = look(table, *x);
    }
}

/// `y[i] = table[y[i] + 128]`.
#[inline(never)]
pub fn map_in_place(y: &mut [i8], table: &[i8; 256]) {
    for y in y {
        *y = look(table, *y);
    }
}

/// One input of a concatenation along the features: `y[r][offset + i] = x[r][i]`; `x` has rows of
/// `n` features, `y` of `total`.
#[inline(never)]
pub fn concat(x: &[i8], y: &mut [i8], n: usize, total: usize, offset: usize) {
    for (x, y) in x
        .chunks_exact(n.max(1))
        .zip(y.chunks_exact_mut(total.max(1)))
    {
        for (y, x) in y.get_mut(offset..).unwrap_or_default().iter_mut().zip(x) {
            *y = *x;
        }
    }
}

/// The same through a table.
#[inline(never)]
pub fn concat_map(
    x: &[i8],
    y: &mut [i8],
    n: usize,
    total: usize,
    offset: usize,
    table: &[i8; 256],
) {
    for (x, y) in x
        .chunks_exact(n.max(1))
        .zip(y.chunks_exact_mut(total.max(1)))
    {
        for (y, x) in y.get_mut(offset..).unwrap_or_default().iter_mut().zip(x) {
            *y = look(table, *x);
        }
    }
}
