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

/// Edits (insert, delete, replace, swap neighbours) from one word to the other: optimal string alignment
/// (Damerau 1964, without edits of what was swapped).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().map(|c| c.to_ascii_lowercase()).collect();
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    // The distances of the beginnings of `a` from those of `b`: two characters ago, one, now.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut now = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, j) + usize::from(ca != cb);
            let mut best = replaced.min(at(&last, j + 1) + 1).min(at(&now, j) + 1);
            let neighbours = |v: &[char], k: usize| k.checked_sub(1).and_then(|k| v.get(k)).copied();
            if neighbours(&a, i) == Some(*cb) && neighbours(&b, j) == Some(*ca) {
                best = best.min(at(&before, j - 1) + 1);
            }
            now.push(best);
        }
        before = std::mem::replace(&mut last, now);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn swapped_letters_are_one_edit() {
        assert_eq!(distance("trails", "trials"), 1);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("ca", "abc"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("trails", ["train", "trials"]), Some("trials"));
    }
}
