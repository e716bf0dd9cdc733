//! A trained network in int8: calibrated on training images, fine-tuned where it loses more than the
//! spec allows, measured.

use super::{Event, PipelineError, Watch};
use crate::check::spec::{Int8, Precision};
use crate::data::{Dataset, Pipeline};
use crate::project::{Design, Project};
use crate::quant::interpret::interpret;
use crate::quant::{clear_tuned, equalise, store_tuned, Calibration, Quantised};
use crate::train::{fine_tune, Control, Progress, TrainData};
use crate::weights::Weights;
use rayon::prelude::*;

/// Images that calibration looks at.
const IMAGES: usize = 256;

/// Calibrates a trained network on training images (evenly spread over all of them, unchanged), after
/// equalising its layers where that helps, and adds what it found to the weights, whether int8 is
/// asked for or not: then a spec that asks for it later needs no data.
///
/// # Errors
/// If the weights do not fit, or give values that are not numbers.
pub fn calibrate(
    project: &Project,
    design: &Design,
    data: &TrainData,
    weights: &mut Weights,
) -> Result<(), PipelineError> {
    clear_tuned(weights);
    let bound = project.bind_int8(design, weights).map_err(PipelineError::Diagnostics)?;
    let size = design.network.input_fact().elements();
    let count = data.train.len().min(IMAGES);
    let mut images = vec![0.0; count * size];
    for (i, out) in images.chunks_mut(size.max(1)).enumerate() {
        if let Some(&image) = data.train.get(i * data.train.len() / count.max(1)) {
            data.pipeline.plain(&data.images, image as usize, out);
        }
    }
    // Pixels without a scale matter only to those who want int8: that is said when it is emitted.
    let equal = match project.pixel_scale() {
        Ok(input) => equalise(&bound, &images, input).map_err(PipelineError::Diagnostics)?,
        Err(_) => bound.clone(),
    };
    let found = crate::quant::calibrate(&equal, &images).map_err(PipelineError::Diagnostics)?;
    found.store(&equal.lowered, weights);
    store_tuned(&bound, &equal, weights);
    Ok(())
}

/// [`calibrate`], and where the spec emits int8 and says what it may cost, fine-tuning if it costs more
/// on the validation images, of which the network classifies the part `float` rightly. The better of
/// the two is kept.
///
/// # Errors
/// As [`calibrate`]; if the fine-tuning is stopped.
pub(super) fn prepare(
    project: &Project,
    design: &Design,
    data: &TrainData,
    weights: &mut Weights,
    float: Option<f64>,
    watch: &dyn Watch,
) -> Result<(), PipelineError> {
    calibrate(project, design, data, weights)?;
    let spec = &project.checked.spec;
    let (Some(limit), true) = (&spec.int8, project.wants(Precision::Int8)) else { return Ok(()) };
    let Some(float) = float.filter(|_| !data.validation.is_empty()) else {
        let m = "no images are held out: what int8 costs is not known, and nothing is fine-tuned";
        watch.event(Event::Note(m.to_string()));
        return Ok(());
    };
    let measure = |weights: &Weights| -> Option<f64> {
        let network = quantised(project, design, weights)?;
        Some(accuracy(&network, &data.images, &data.validation, &data.pipeline))
    };
    // What cannot be quantised is an error of emission, which names the lines.
    let Some(before) = measure(weights) else { return Ok(()) };
    let points = |x: f64| format!("{:.2} points", x * 100.0);
    let allowed = points(limit.loss);
    let lost = |int8: f64| format!("int8 loses {} on the validation images", points(float - int8));
    if float - before <= limit.loss {
        watch.event(Event::Note(format!("{}, {allowed} are allowed", lost(before))));
        return Ok(());
    }
    watch.event(Event::Note(format!("{}, more than {allowed}: fine-tuning", lost(before))));
    let tuned = match fine_tuned(project, design, data, weights, limit, watch) {
        Err(PipelineError::Train(e)) => {
            watch.event(Event::Note(format!("the fine-tuning is of no use: {e}")));
            None
        }
        other => Some(other?),
    };
    let after = tuned.as_ref().and_then(measure).filter(|after| *after > before);
    if let (Some(tuned), Some(_)) = (tuned, after) {
        *weights = tuned;
    }
    let now = after.unwrap_or(before);
    let still = if float - now > limit.loss { format!(", still more than {allowed}") } else { String::new() };
    watch.event(Event::Note(format!("after fine-tuning {}{still}", lost(now))));
    Ok(())
}

/// The network in int8, if it can be quantised.
fn quantised(project: &Project, design: &Design, weights: &Weights) -> Option<Quantised> {
    let bound = project.bind_int8(design, weights).ok()?;
    project.quantise(&bound, weights).ok()
}

/// The weights with those of int8 fine-tuned, at the same ranges.
fn fine_tuned(
    project: &Project,
    design: &Design,
    data: &TrainData,
    weights: &Weights,
    limit: &Int8,
    watch: &dyn Watch,
) -> Result<Weights, PipelineError> {
    let diagnostics = PipelineError::Diagnostics;
    let bound = project.bind_int8(design, weights).map_err(diagnostics)?;
    let network = project.quantise(&bound, weights).map_err(diagnostics)?;
    watch.event(Event::Start { trial: None, what: "fine-tuned for int8".to_string() });
    let seed = project.checked.spec.search.seed ^ crate::hash::fnv1a(b"int8");
    let tuned = fine_tune(&bound, &network, data, &limit.train, seed, 0, &Told(watch))?;
    let mut own = weights.clone();
    if let Some(calibration) = Calibration::load(&bound.lowered, weights) {
        calibration.without_means().store(&bound.lowered, &mut own);
    }
    clear_tuned(&mut own);
    let plain = project.bind_int8(design, &own).map_err(diagnostics)?;
    store_tuned(&plain, &tuned, &mut own);
    Ok(own)
}

/// Passes a training's progress on, and the wish to stop it.
struct Told<'a>(&'a dyn Watch);

impl Control for Told<'_> {
    fn progress(&self, progress: &Progress) {
        self.0.event(Event::Progress { trial: None, progress });
    }

    fn stop(&self) -> bool {
        self.0.stop()
    }
}

/// The part of these images of a data set that a quantised network classifies rightly, by the integer
/// interpreter: what every emitted crate does too, to the bit.
pub fn accuracy(network: &Quantised, data: &Dataset, images: &[u32], pipeline: &Pipeline) -> f64 {
    let scale = network.scale(network.lowered().input());
    let right = |&&i: &&u32| {
        let mut image = vec![0.0; data.image_len()];
        pipeline.plain(data, i as usize, &mut image);
        let pixels: Vec<i8> = image.into_iter().map(|v| scale.quantise_f32(v)).collect();
        let scores = interpret(network, &pixels);
        let best = scores.iter().max().and_then(|top| scores.iter().position(|s| s == top));
        best == data.labels.get(i as usize).map(|&label| usize::from(label))
    };
    images.par_iter().filter(right).count() as f64 / images.len().max(1) as f64
}

/// What `accuracy` of a lock is in int8: of the test images, or where the spec has none of the
/// validation images of `data`. `None` where the network cannot be quantised, or there are no images.
///
/// # Errors
/// If the test images cannot be read.
pub fn measure_int8(
    project: &Project,
    design: &Design,
    weights: &Weights,
    data: Option<&TrainData>,
) -> Result<Option<f64>, PipelineError> {
    let task = &project.checked.spec.task;
    let Some(network) = quantised(project, design, weights) else { return Ok(None) };
    if task.test.is_some() {
        let test = crate::data::load_test(task, project.dir())?;
        let all: Vec<u32> = (0..test.len() as u32).collect();
        return Ok(Some(accuracy(&network, &test, &all, &Pipeline::new(task))));
    }
    let data = data.filter(|d| !d.validation.is_empty());
    Ok(data.map(|d| accuracy(&network, &d.images, &d.validation, &d.pipeline)))
}
