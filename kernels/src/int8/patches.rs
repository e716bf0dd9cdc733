//! Maps cut into patches, and put together again (MobileViT, arXiv 2110.02178).

/// The shape of a map and its patches.
#[derive(Clone, Copy)]
pub struct Patches {
    /// Rows of the map.
    pub height: usize,
    /// Columns of the map.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// Side of a patch.
    pub patch: usize,
    /// The map's zero.
    pub zero: i8,
}

impl Patches {
    /// Calls `f(token row, row, column)` for every token, group by group.
    #[inline(always)]
    fn tokens<T>(&self, rows: impl Iterator<Item = T>, mut f: impl FnMut(T, usize, usize)) {
        let patch = self.patch.max(1);
        let (mut row, mut column) = (0, 0);
        let (mut top, mut left) = (0, 0);
        for token in rows {
            f(token, top + row, left + column);
            left += patch;
            if left >= self.width {
                left = 0;
                top += patch;
            }
            if top >= self.height {
                top = 0;
                column += 1;
            }
            if column >= patch {
                column = 0;
                row += 1;
            }
        }
    }

    /// Where the pixel begins, unless it is padding.
    #[inline(always)]
    fn pixel(&self, row: usize, column: usize) -> Option<core::ops::Range<usize>> {
        if row >= self.height || column >= self.width {
            return None;
        }
        let start = (row * self.width + column) * self.channels;
        Some(start..start + self.channels)
    }
}

/// A map as `[patch * patch][patches][channels]`: group `py * patch + px`, token `by * columns + bx`
/// is the pixel `(by * patch + py, bx * patch + px)`; the map's zero beyond the map's bottom and right.
#[inline(never)]
pub fn unfold(x: &[i8], y: &mut [i8], s: &Patches) {
    let rows = y.chunks_exact_mut(s.channels.max(1));
    s.tokens(rows, |token, row, column| {
        match s.pixel(row, column).and_then(|range| x.get(range)) {
            Some(pixel) => token.iter_mut().zip(pixel).for_each(|(y, x)| *y = *x),
            None => token.fill(s.zero),
        }
    });
}

/// The inverse of [`unfold`]; what lies beyond the map is dropped.
#[inline(never)]
pub fn fold(x: &[i8], y: &mut [i8], s: &Patches) {
    let rows = x.chunks_exact(s.channels.max(1));
    s.tokens(rows, |token, row, column| {
        if let Some(pixel) = s.pixel(row, column).and_then(|range| y.get_mut(range)) {
            pixel.iter_mut().zip(token).for_each(|(y, x)| *y = *x);
        }
    });
}
