//! What the tensors of a network hold, found by running it on images.

use super::forward::Forward;
use super::histogram::{Histogram, Method};
use crate::codes;
use crate::diag::Diagnostic;
use crate::lower::{Bound, Lowered};
use crate::source::Span;
use crate::weights::{Array, Weights};

/// A range of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Its lower end, at most 0.
    pub lo: f64,
    /// Its upper end, at least 0.
    pub hi: f64,
    /// How it was found.
    pub method: Method,
}

/// What calibration found.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// By step: the range of its result before its activation.
    pub(super) before: Vec<Range>,
    /// By step: the range of its output.
    pub(super) output: Vec<Range>,
    /// By tensor, by channel: the mean.
    pub(super) means: Vec<Vec<f64>>,
}

impl Calibration {
    /// Adds it to weights, so that a file of weights is enough to quantise: by step
    /// `calibration.<step>`, by tensor `calibration.<tensor>.mean`.
    pub fn store(&self, lowered: &Lowered, weights: &mut Weights) {
        let mut put = |name: String, data: Vec<f32>| {
            weights.0.insert(name, Array { shape: vec![data.len()], data });
        };
        for ((step, before), output) in lowered.steps.iter().zip(&self.before).zip(&self.output) {
            let of = |r: &Range| [r.lo as f32, r.hi as f32, r.method.code()];
            put(format!("calibration.{}", step.name), [of(before), of(output)].concat());
        }
        for (tensor, means) in lowered.tensors.iter().zip(&self.means) {
            put(format!("calibration.{}.mean", tensor.name), means.iter().map(|&m| m as f32).collect());
        }
    }

    /// What [`Calibration::store`] added; `None` if it is not there, or not of this network.
    pub fn load(lowered: &Lowered, weights: &Weights) -> Option<Calibration> {
        let mut calibration = Calibration { before: Vec::new(), output: Vec::new(), means: Vec::new() };
        for step in &lowered.steps {
            let data = &weights.0.get(&format!("calibration.{}", step.name))?.data;
            let of = |lo: f32, hi: f32, code: f32| {
                Some(Range { lo: lo.into(), hi: hi.into(), method: Method::of_code(code)? })
            };
            let &[a, b, c, d, e, f] = data.as_slice() else { return None };
            calibration.before.push(of(a, b, c)?);
            calibration.output.push(of(d, e, f)?);
        }
        for tensor in &lowered.tensors {
            let data = &weights.0.get(&format!("calibration.{}.mean", tensor.name))?.data;
            (data.len() == tensor.fact.channels()).then_some(())?;
            calibration.means.push(data.iter().map(|&m| m.into()).collect());
        }
        Some(calibration)
    }

    /// The same ranges without the means: biases are not corrected then. For weights that were trained
    /// with their rounding.
    pub fn without_means(mut self) -> Calibration {
        self.means.iter_mut().for_each(|m| m.fill(0.0));
        self
    }

    /// By step of the schedule: the range of its output.
    pub fn ranges(&self) -> &[Range] {
        &self.output
    }
}

/// Runs a network on images (`[h][w][c]`, normalised, one after the other), twice: for the extremes
/// and for the distribution between them.
///
/// # Errors
/// [`codes::CALIBRATION`]: no images, a pixel that is not a finite number, a layer whose values are
/// not; all layers at once.
pub fn calibrate(bound: &Bound, images: &[f32]) -> Result<Calibration, Vec<Diagnostic>> {
    let lowered = &bound.lowered;
    let size = lowered.fact(lowered.input).elements().max(1);
    let error = |span: Span, message: String, help: &str| {
        vec![Diagnostic::error(codes::CALIBRATION, span, message).help(help)]
    };
    if images.len() < size || !images.len().is_multiple_of(size) {
        let m = format!("{} values are not one or more images of {size}", images.len());
        return Err(error(Span::default(), m, "give whole images to calibrate with"));
    }
    if let Some(at) = images.iter().position(|v| !v.is_finite()) {
        let bad = images.get(at).copied().unwrap_or(f32::NAN);
        let m = format!("calibration image {} holds {bad}", at / size + 1);
        return Err(error(Span::default(), m, "correct `normalize` in the task, or the images"));
    }

    let forward = Forward::new(bound);
    let mut before = vec![Histogram::default(); lowered.steps.len()];
    let mut output = before.clone();
    let mut means: Vec<Vec<f64>> = lowered.tensors.iter().map(|t| vec![0.0; t.fact.channels()]).collect();
    let count = images.len() / size;
    for image in images.chunks(size) {
        add_means(means.get_mut(lowered.input.0), image);
        forward.run(image, |i, pre, post| {
            if let (Some(a), Some(b)) = (before.get_mut(i), output.get_mut(i)) {
                a.widen(pre);
                b.widen(post);
            }
            let id = lowered.steps.get(i).map(|s| s.output.0);
            add_means(id.and_then(|id| means.get_mut(id)), post);
        });
    }
    let broken = |(step, h): (&crate::lower::ir::Step, &Histogram)| {
        let m = format!("`{}` gives values that are infinite or not a number", step.name);
        let help = "its weights are of no use: train again, with a lower learning rate";
        h.broken.then(|| Diagnostic::error(codes::CALIBRATION, step.span, m).help(help))
    };
    let pairs = |all: &'_ [Histogram]| -> Vec<Diagnostic> {
        lowered.steps.iter().zip(all).filter_map(broken).collect()
    };
    let mut found = pairs(&output);
    if found.is_empty() {
        found = pairs(&before);
    }
    if !found.is_empty() {
        return Err(found);
    }
    for image in images.chunks(size) {
        forward.run(image, |i, pre, post| {
            if let (Some(a), Some(b)) = (before.get_mut(i), output.get_mut(i)) {
                a.count(pre);
                b.count(post);
            }
        });
    }
    for (mean, tensor) in means.iter_mut().zip(&lowered.tensors) {
        let rows = (tensor.fact.rows().max(1) * count) as f64;
        // In f32, so that what is stored and read again is the same.
        mean.iter_mut().for_each(|m| *m = f64::from((*m / rows) as f32));
    }
    let last = lowered.output;
    let ranges = |all: Vec<Histogram>| -> Vec<Range> {
        let of = |(step, h): (&crate::lower::ir::Step, Histogram)| {
            let (lo, hi, method) = if step.output == last { (h.lo, h.hi, Method::MinMax) } else { h.range() };
            Range { lo: f64::from(lo as f32), hi: f64::from(hi as f32), method }
        };
        lowered.steps.iter().zip(all).map(of).collect()
    };
    Ok(Calibration { before: ranges(before), output: ranges(output), means })
}

fn add_means(means: Option<&mut Vec<f64>>, values: &[f32]) {
    let Some(means) = means else { return };
    for row in values.chunks(means.len().max(1)) {
        for (m, v) in means.iter_mut().zip(row) {
            *m += f64::from(*v);
        }
    }
}
