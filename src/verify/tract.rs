//! ONNX in [tract](https://github.com/sonos/tract), an inference engine in Rust.

use super::image_len;
use tract_onnx::prelude::*;

/// Numbers a batch may hold: enough images for the products to be worth their overhead, few enough
/// for the caches.
const BATCH_ELEMENTS: usize = 1 << 16;
const MAX_BATCH: usize = 32;

/// Runs an ONNX file on `count` images, `inputs` of `[count, c, h, w]`, on all cores. The result is
/// `[count, classes]`.
///
/// # Errors
/// A sentence: the file cannot be read, an operator is unknown to tract, or the images do not fit.
pub fn run_tract(
    onnx: &[u8],
    inputs: &[f32],
    count: usize,
    shape: (usize, usize, usize),
) -> Result<Vec<f32>, String> {
    let image = image_len(inputs, count, shape)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let batch = (BATCH_ELEMENTS / image).clamp(1, MAX_BATCH).min(count);
    let plan = plan(onnx, batch, shape).map_err(|e| format!("tract cannot run the model: {e:#}"))?;
    let batches: Vec<&[f32]> = inputs.chunks(batch * image).collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(batches.len());
    let share = batches.len().div_ceil(workers);
    let run_share = |mine: &[&[f32]]| -> TractResult<Vec<f32>> {
        let mut out = Vec::new();
        for images in mine {
            out.extend(run(&plan, images, batch, shape)?);
        }
        Ok(out)
    };
    let parts: Vec<TractResult<Vec<f32>>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            batches.chunks(share).map(|mine| scope.spawn(move || run_share(mine))).collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Err(TractError::msg("a thread of tract panicked"))))
            .collect()
    });
    let mut out = Vec::new();
    for part in parts {
        out.extend(part.map_err(|e| format!("tract failed on the model: {e:#}"))?);
    }
    Ok(out)
}

/// The times of inferences of one image in one thread, in nanoseconds: for half of `seconds`, after a
/// fifth of it to warm up, eleven at least.
///
/// # Errors
/// As [`run_tract`].
pub fn time_tract(onnx: &[u8], shape: (usize, usize, usize), seconds: f64) -> Result<Vec<u64>, String> {
    use std::time::{Duration, Instant};
    let (c, h, w) = shape;
    let plan = plan(onnx, 1, shape).map_err(|e| format!("tract cannot run the model: {e:#}"))?;
    let image: Vec<f32> = (0..c * h * w).map(|i| (i % 251) as f32 / 125.0 - 1.0).collect();
    let once = || {
        let start = Instant::now();
        run(&plan, &image, 1, shape).map_err(|e| format!("tract failed on the model: {e:#}"))?;
        Ok::<u64, String>(start.elapsed().as_nanos() as u64)
    };
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs_f64(seconds / 5.0) {
        once()?;
    }
    let mut times = Vec::new();
    let begun = Instant::now();
    while times.len() < 11 || begun.elapsed() < Duration::from_secs_f64(seconds / 2.0) {
        times.push(once()?);
    }
    Ok(times)
}

/// The model for a fixed batch, optimised. Where tract's optimiser fails (0.23.9 does on some strided
/// convolutions after a reshape: "Pulling Downsample over Reshape: Invalid axis"), the model runs as
/// it was written, slower.
fn plan(onnx: &[u8], batch: usize, (c, h, w): (usize, usize, usize)) -> TractResult<Arc<TypedRunnableModel>> {
    // The shapes of intermediate values are for a symbolic batch; tract infers them anew for this one.
    let model = tract_onnx::onnx()
        .with_ignore_value_info(true)
        .model_for_read(&mut std::io::Cursor::new(onnx))?
        .with_input_fact(0, f32::fact([batch, c, h, w]).into())?
        .into_typed()?;
    match model.clone().into_optimized().and_then(|m| m.into_runnable()) {
        Ok(plan) => Ok(plan),
        Err(_) => model.into_runnable(),
    }
}

/// One batch; a last one that is not full is filled with zeros, whose results are dropped.
fn run(
    plan: &Arc<TypedRunnableModel>,
    images: &[f32],
    batch: usize,
    (c, h, w): (usize, usize, usize),
) -> TractResult<Vec<f32>> {
    let full = batch * c * h * w;
    let filled = images.len() * batch / full;
    let mut data = images.to_vec();
    data.resize(full, 0.0);
    let input = Tensor::from_shape(&[batch, c, h, w], &data)?;
    let outputs = plan.run(tvec!(input.into()))?;
    let Some(logits) = outputs.first() else { return Err(TractError::msg("the model has no output")) };
    let logits = logits.to_plain_array_view::<f32>()?;
    let per_image = logits.len() / batch;
    Ok(logits.iter().take(filled * per_image).copied().collect())
}
