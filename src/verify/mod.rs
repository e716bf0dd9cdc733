//! Running emitted ONNX in runtimes that are not ours, and comparing outputs.
//!
//! Behind the feature `verify`. [`run_tract`] needs nothing but this crate; [`run_onnxruntime`]
//! needs a Python with `numpy` and `onnxruntime`.

mod agreement;
mod onnxruntime;
mod tract;

pub use agreement::{argmax, compare, compare_steps, Agreement, Steps};
pub use onnxruntime::run_onnxruntime;
pub use tract::{run_tract, time_tract};

/// Elements of one image, after checking that `inputs` holds `count` of them.
fn image_len(inputs: &[f32], count: usize, (c, h, w): (usize, usize, usize)) -> Result<usize, String> {
    let image = c.checked_mul(h).and_then(|n| n.checked_mul(w)).filter(|&n| n > 0);
    let image = image.ok_or_else(|| format!("an image of {c}x{h}x{w} cannot be run"))?;
    if image.checked_mul(count) != Some(inputs.len()) {
        return Err(format!("{count} images of {c}x{h}x{w} are not {} numbers", inputs.len()));
    }
    Ok(image)
}
