//! Which known word a mistyped one was meant to be.

/// The candidate most like `name`, if one is near enough to be what was meant; of several the one that
/// begins most like it.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody misspells a word of hundreds of letters; and the distance takes their product in time.
    if name.is_empty() || name.len() > 64 {
        return None;
    }
    candidates
        .into_iter()
        .take(512)
        // Words of very different lengths are far apart.
        .filter(|c| c.len().abs_diff(name.len()) <= 1 + c.len().min(name.len()) / 4)
        .map(|c| (distance(name, c), c))
        .filter(|(d, c)| *d < c.len().min(name.len()) && *d <= 1 + c.len().min(name.len()) / 4)
        .min_by_key(|(d, c)| {
            let alike = name.bytes().zip(c.bytes()).take_while(|(a, b)| a == b).count();
            (*d, std::cmp::Reverse(alike), *c)
        })
        .map(|(_, c)| c)
}

/// Edits (insert, delete, replace) from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cb, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let cost = usize::from(!ca.eq_ignore_ascii_case(cb));
            let best = (diagonal + cost).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
