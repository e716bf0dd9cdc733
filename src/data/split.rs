//! Choosing images, class by class, so that every part has the classes' proportions.

use super::DataError;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Splits the images with these labels into those to train on and those held out: `part` (0..1) of
/// every class, rounded, at random by the seed. Both lists are in ascending order.
///
/// # Errors
/// If `part` is positive and a class has so few images that one of the lists would be without it.
pub fn hold_out(
    labels: &[u16],
    classes: &[String],
    part: f64,
    seed: u64,
) -> Result<(Vec<u32>, Vec<u32>), DataError> {
    let (mut train, mut held) = (Vec::new(), Vec::new());
    for (label, mut images) in shuffled(labels, seed).into_iter().enumerate() {
        if part <= 0.0 {
            train.append(&mut images);
            continue;
        }
        let count = images.len();
        let n = ((count as f64 * part).round() as usize).max(1);
        if count > 0 && n >= count {
            let class = classes.get(label).cloned().unwrap_or_else(|| label.to_string());
            return Err(DataError::TooFew { class, count, percent: part * 100.0 });
        }
        train.extend(images.split_off(n.min(count)));
        held.append(&mut images);
    }
    train.sort_unstable();
    held.sort_unstable();
    Ok((train, held))
}

/// `part` (0..1) of these images, class by class, at least one of each; always the same ones: they
/// do not depend on any seed, so that all trials of a search see the same data. A smaller part is
/// contained in a larger one.
pub fn subset(labels: &[u16], images: &[u32], part: f64) -> Vec<u32> {
    const SEED: u64 = 0x7375_6273_6574;
    if part >= 1.0 {
        return images.to_vec();
    }
    let of: Vec<u16> = images.iter().map(|&i| labels.get(i as usize).copied().unwrap_or_default()).collect();
    let mut chosen = Vec::new();
    for class in shuffled(&of, SEED) {
        let n = ((class.len() as f64 * part).round() as usize).max(1);
        chosen.extend(class.into_iter().take(n).filter_map(|i| images.get(i as usize)));
    }
    chosen.sort_unstable();
    chosen
}

/// The positions of every label, shuffled, each label by its own stream.
fn shuffled(labels: &[u16], seed: u64) -> Vec<Vec<u32>> {
    let classes = labels.iter().max().map_or(0, |&l| usize::from(l) + 1);
    let mut by_class = vec![Vec::new(); classes];
    for (i, &l) in labels.iter().enumerate() {
        if let Some(list) = by_class.get_mut(usize::from(l)) {
            list.push(i as u32);
        }
    }
    for (label, list) in by_class.iter_mut().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(label as u64);
        shuffle(list, &mut rng);
    }
    by_class
}

/// Fisher and Yates.
pub(crate) fn shuffle<T>(list: &mut [T], rng: &mut ChaCha8Rng) {
    for i in (1..list.len()).rev() {
        list.swap(i, rng.random_range(0..=i));
    }
}
