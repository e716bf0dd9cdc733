//! How far two runs of a network agree.

use serde::Serialize;

/// Two sets of logits compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Largest absolute difference of two logits; infinite if a logit is not finite on one side.
    pub max_difference: f64,
    /// Mean absolute difference.
    pub mean_difference: f64,
    /// Fraction of images, in 0..1, whose largest logit is the same one.
    pub argmax_agreement: f64,
    /// Images compared.
    pub images: usize,
}

impl Agreement {
    /// Whether no logit differs by more than `tolerance`. False if nothing was compared.
    pub fn within(&self, tolerance: f64) -> bool {
        self.images > 0 && self.max_difference <= tolerance
    }
}

/// Compares logits of `[images, classes]`.
///
/// # Errors
/// If the two are not as long as each other, or not whole rows.
pub fn compare(ours: &[f32], theirs: &[f32], classes: usize) -> Result<Agreement, String> {
    if ours.len() != theirs.len() || classes == 0 || !ours.len().is_multiple_of(classes) {
        return Err(format!(
            "{} and {} logits of {classes} classes cannot be compared",
            ours.len(),
            theirs.len()
        ));
    }
    let images = ours.len() / classes;
    let (mut max, mut sum) = (0.0f64, 0.0f64);
    for (&a, &b) in ours.iter().zip(theirs) {
        let difference =
            if a.is_finite() && b.is_finite() { (f64::from(a) - f64::from(b)).abs() } else { f64::INFINITY };
        max = max.max(difference);
        sum += difference;
    }
    let same =
        ours.chunks(classes).zip(theirs.chunks(classes)).filter(|(a, b)| argmax(a) == argmax(b)).count();
    let n = ours.len().max(1) as f64;
    Ok(Agreement {
        max_difference: max,
        mean_difference: sum / n,
        argmax_agreement: if images == 0 { 0.0 } else { same as f64 / images as f64 },
        images,
    })
}

/// Two sets of quantised logits compared, in steps of their scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Steps {
    /// The most steps that two logits are apart; `u32::MAX` if one is not finite.
    pub largest: u32,
    /// The part of the logits, in 0..1, that differ.
    pub differing: f64,
    /// The part that differ by more than one step.
    pub beyond_one: f64,
    /// The part of the images whose largest logit is the same one.
    pub argmax_agreement: f64,
}

/// Compares logits of `[images, classes]` that are multiples of `scale`.
///
/// # Errors
/// If the two are not as long as each other, not whole rows, or nothing.
pub fn compare_steps(ours: &[f32], theirs: &[f32], classes: usize, scale: f64) -> Result<Steps, String> {
    let agreement = compare(ours, theirs, classes)?;
    if agreement.images == 0 {
        return Err("there are no images to compare on".to_string());
    }
    let apart = ours.iter().zip(theirs).map(|(&a, &b)| {
        let steps = (f64::from(a) - f64::from(b)).abs() / scale;
        // Conversion saturates; a NaN becomes the most.
        if steps.is_nan() {
            u32::MAX
        } else {
            steps.round() as u32
        }
    });
    let part = |least: u32| apart.clone().filter(|&n| n >= least).count() as f64 / ours.len() as f64;
    Ok(Steps {
        largest: apart.clone().max().unwrap_or(u32::MAX),
        differing: part(1),
        beyond_one: part(2),
        argmax_agreement: agreement.argmax_agreement,
    })
}

/// Position of the largest element, the first of equals; `None` for an empty row.
pub fn argmax(row: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (i, &x) in row.iter().enumerate() {
        if best.is_none_or(|(_, b)| x > b) {
            best = Some((i, x));
        }
    }
    best.map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_and_agreement_by_hand() {
        let a = compare(&[1.0, 2.0, 5.0, 4.0], &[1.5, 2.0, 3.0, 4.0], 2).unwrap();
        assert_eq!(
            a,
            Agreement { max_difference: 2.0, mean_difference: 0.625, argmax_agreement: 0.5, images: 2 }
        );
        assert!(a.within(2.0) && !a.within(1.9));
    }

    #[test]
    fn what_is_not_finite_never_agrees() {
        for bad in [f32::NAN, f32::INFINITY] {
            let a = compare(&[bad, 0.0], &[bad, 0.0], 2).unwrap();
            assert!(!a.within(1e9), "{a:?}");
        }
        assert!(!compare(&[], &[], 2).unwrap().within(1.0), "nothing compared is no agreement");
        assert!(compare(&[1.0], &[1.0, 2.0], 1).is_err());
        assert!(compare(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], 2).is_err());
    }

    #[test]
    fn steps_are_counted() {
        let s = compare_steps(&[0.5, 1.0, 0.0, -1.0], &[0.5, 1.5, 1.0, -1.0], 2, 0.5).unwrap();
        assert_eq!(s, Steps { largest: 2, differing: 0.5, beyond_one: 0.25, argmax_agreement: 1.0 });
        let bad = compare_steps(&[0.0], &[f32::NAN], 1, 0.5).unwrap();
        assert_eq!((bad.largest, bad.differing), (u32::MAX, 1.0));
        assert!(compare_steps(&[], &[], 1, 0.5).is_err());
    }

    #[test]
    fn the_first_of_equals() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(argmax(&[]), None);
    }
}
