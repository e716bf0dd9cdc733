//! Calibration for int8 on training images.

use super::PipelineError;
use crate::project::{Design, Project};
use crate::train::TrainData;
use crate::weights::Weights;

/// Images that calibration looks at.
const IMAGES: usize = 256;

/// Calibrates a trained network on training images (evenly spread over all of them, unchanged) and
/// adds what it found to the weights, whether int8 is asked for or not: then a spec that asks for it
/// later needs no data.
///
/// # Errors
/// If the weights do not fit, or give values that are not numbers.
pub fn calibrate(
    project: &Project,
    design: &Design,
    data: &TrainData,
    weights: &mut Weights,
) -> Result<(), PipelineError> {
    let bound = project.bind_int8(design, weights).map_err(PipelineError::Diagnostics)?;
    let size = design.network.input_fact().elements();
    let count = data.train.len().min(IMAGES);
    let mut images = vec![0.0; count * size];
    for (i, out) in images.chunks_mut(size.max(1)).enumerate() {
        if let Some(&image) = data.train.get(i * data.train.len() / count.max(1)) {
            data.pipeline.plain(&data.images, image as usize, out);
        }
    }
    let found = crate::quant::calibrate(&bound, &images).map_err(PipelineError::Diagnostics)?;
    found.store(&bound.lowered, weights);
    Ok(())
}
