//! Tables, concatenation, copies.

/// `y[i] = x[i]`. Kernels that change `y` begin with this; where `x` is empty, `y` is the input.
///
/// By words, and never a call of `memcpy`, which is large.
#[inline(never)]
pub fn copy(x: &[i8], y: &mut [i8]) {
    let n = x.len().min(y.len());
    let (x, y) = (
        x.get(..n).unwrap_or_default(),
        y.get_mut(..n).unwrap_or_default(),
    );
    let ((x16, x), (y16, y)) = (x.as_chunks::<16>(), y.as_chunks_mut::<16>());
    for (y, x) in y16.iter_mut().zip(x16) {
        rolled();
        *y = *x;
    }
    let ((x4, x), (y4, y)) = (x.as_chunks::<4>(), y.as_chunks_mut::<4>());
    for (y, x) in y4.iter_mut().zip(x4) {
        rolled();
        *y = *x;
    }
    for (y, x) in y.iter_mut().zip(x) {
        rolled();
        *y = *x;
    }
}

/// Keeps the compiler from unrolling the loop that this stands in, where that would take flash for no
/// time.
#[inline(always)]
pub fn rolled() {
    core::hint::black_box(());
}

/// `y[i] = table[y[i] + 128]`.
#[inline(never)]
fn look(y: &mut [i8], table: &[i8; 256]) {
    for y in y {
        *y = table[usize::from(*y as u8 ^ 0x80)];
    }
}

/// `y[i] = table[x[i] + 128]`. Where `x` is empty, `y` is the input too.
#[inline(never)]
pub fn map(x: &[i8], y: &mut [i8], table: &[i8; 256]) {
    copy(x, y);
    look(y, table);
}

/// Where an input of a concatenation goes.
#[derive(Clone, Copy)]
pub struct Concat<'a> {
    /// Features of the input.
    pub n: usize,
    /// Features of the output.
    pub total: usize,
    /// Features of the inputs before.
    pub offset: usize,
    /// From the input's scale to the output's.
    pub table: Option<&'a [i8; 256]>,
}

/// One input of a concatenation along the features: `y[r][offset + i] = x[r][i]`; `x` has rows of
/// `n` features, `y` of `total`.
#[inline(never)]
pub fn concat(x: &[i8], y: &mut [i8], s: &Concat) {
    let rows = x.chunks_exact(s.n.max(1));
    for (x, y) in rows.zip(y.chunks_exact_mut(s.total.max(1))) {
        let y = y.get_mut(s.offset..).unwrap_or_default();
        if let Some(y) = y.get_mut(..s.n) {
            copy(x, y);
            if let Some(table) = s.table {
                look(y, table);
            }
        }
    }
}
