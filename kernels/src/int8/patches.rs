//! Maps cut into patches, and put together again (MobileViT, arXiv 2110.02178).

use super::shape::copy;

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

/// The tokens of a map, group by group.
struct Tokens<'a> {
    s: &'a Patches,
    /// The corner of the patch.
    top: usize,
    left: usize,
    /// The place in the patch.
    row: usize,
    column: usize,
}

impl Tokens<'_> {
    fn of(s: &Patches) -> Tokens<'_> {
        Tokens {
            s,
            top: 0,
            left: 0,
            row: 0,
            column: 0,
        }
    }

    /// Where the pixel of the next token begins in the map, unless it is padding.
    #[inline(never)]
    fn next(&mut self) -> Option<usize> {
        let (patch, width) = (self.s.patch.max(1), self.s.width);
        let (row, column) = (self.top + self.row, self.left + self.column);
        let inside = row < self.s.height && column < width;
        self.left += patch;
        if self.left >= width {
            self.left = 0;
            self.top += patch;
        }
        if self.top >= self.s.height {
            self.top = 0;
            self.column += 1;
        }
        if self.column >= patch {
            self.column = 0;
            self.row += 1;
        }
        inside.then_some((row * width + column) * self.s.channels)
    }
}

/// A map as `[patch * patch][patches][channels]`: group `py * patch + px`, token `by * columns + bx`
/// is the pixel `(by * patch + py, bx * patch + px)`; the map's zero beyond the map's bottom and right.
#[inline(never)]
pub fn unfold(x: &[i8], y: &mut [i8], s: &Patches) {
    let mut places = Tokens::of(s);
    for token in y.chunks_exact_mut(s.channels.max(1)) {
        match places.next().and_then(|at| x.get(at..)) {
            Some(pixel) => copy(pixel, token),
            None => token.fill(s.zero),
        }
    }
}

/// The inverse of [`unfold`]; what lies beyond the map is dropped.
#[inline(never)]
pub fn fold(x: &[i8], y: &mut [i8], s: &Patches) {
    let mut places = Tokens::of(s);
    for token in x.chunks_exact(s.channels.max(1)) {
        if let Some(pixel) = places.next().and_then(|at| y.get_mut(at..)) {
            copy(token, pixel);
        }
    }
}
