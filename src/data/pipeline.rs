//! From bytes to the network's input: augmented, scaled, normalised.

use super::Dataset;
use crate::check::spec::{Augment, Task};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What happens to an image between the data set and the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Subtracted from pixels scaled to 0..1, one per channel.
    pub mean: Vec<f32>,
    /// Divides afterwards, one per channel.
    pub std: Vec<f32>,
    /// Changes while training.
    pub augment: Augment,
}

/// One image's random changes.
#[derive(Debug, Clone, Copy)]
struct Change {
    flip: bool,
    /// Rows and columns by which the image is shifted up and left.
    shift: (isize, isize),
    brightness: f32,
    contrast: f32,
}

impl Change {
    const NONE: Change = Change { flip: false, shift: (0, 0), brightness: 0.0, contrast: 1.0 };

    fn draw(augment: &Augment, seed: u64, epoch: u64, image: u64) -> Change {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        rng.set_stream(image);
        let crop = augment.crop as i64;
        // Every value is drawn, whether it is used or not: switching one change on leaves the
        // others as they were.
        let flip = rng.random_bool(0.5);
        let mut offset = || rng.random_range(-crop..=crop) as isize;
        let shift = (offset(), offset());
        let signed = |x: f32| 2.0 * x - 1.0;
        let (b, c) = (signed(rng.random::<f32>()), signed(rng.random::<f32>()));
        Change {
            flip: augment.flip && flip,
            shift,
            brightness: augment.brightness * b,
            contrast: 1.0 + augment.contrast * c,
        }
    }
}

impl Pipeline {
    /// The task's. A missing mean is 0, a missing standard deviation 1.
    pub fn new(task: &Task) -> Pipeline {
        let fill = |v: &[f32], default: f32| {
            (0..task.input.2).map(|i| v.get(i).or(v.last()).copied().unwrap_or(default)).collect()
        };
        Pipeline { mean: fill(&task.mean, 0.0), std: fill(&task.std, 1.0), augment: task.augment }
    }

    /// Writes image `i`, unchanged but for `(pixel / 255 - mean) / std`, as `[h][w][c]`.
    pub fn plain(&self, data: &Dataset, i: usize, out: &mut [f32]) {
        self.write(data, i, Change::NONE, out);
    }

    /// Writes image `i` as training sees it in this epoch.
    pub fn augmented(&self, data: &Dataset, i: usize, seed: u64, epoch: usize, out: &mut [f32]) {
        if self.augment == Augment::default() {
            return self.plain(data, i, out);
        }
        self.write(data, i, Change::draw(&self.augment, seed, epoch as u64, i as u64), out);
    }

    fn write(&self, data: &Dataset, i: usize, change: Change, out: &mut [f32]) {
        let image = data.image(i);
        let (h, w, c) = (data.h as isize, data.w as isize, data.c);
        // Per channel, byte x becomes scale * x + offset.
        let affine: Vec<(f32, f32)> = (0..c)
            .map(|ch| {
                let mean = self.mean.get(ch).copied().unwrap_or(0.0);
                let std = self.std.get(ch).copied().unwrap_or(1.0);
                if change.contrast == 1.0 && change.brightness == 0.0 {
                    return (1.0 / (255.0 * std), -mean / std);
                }
                let pixels = image.iter().skip(ch).step_by(c.max(1));
                let sum: u64 = pixels.map(|&p| u64::from(p)).sum();
                let center = sum as f32 / (255.0 * (h * w).max(1) as f32);
                // ((x / 255 - center) * contrast + center + brightness - mean) / std
                let offset = center * (1.0 - change.contrast) + change.brightness - mean;
                (change.contrast / (255.0 * std), offset / std)
            })
            .collect();
        let mut out = out.chunks_exact_mut(c.max(1));
        for y in 0..h {
            let sy = y + change.shift.0;
            for x in 0..w {
                let sx = if change.flip { w - 1 - x } else { x } + change.shift.1;
                let inside = (0..h).contains(&sy) && (0..w).contains(&sx);
                let at = if inside { ((sy * w + sx) as usize) * c } else { usize::MAX };
                let Some(pixel) = out.next() else { return };
                for (ch, (o, &(scale, offset))) in pixel.iter_mut().zip(&affine).enumerate() {
                    let byte = at.checked_add(ch).and_then(|k| image.get(k)).copied().unwrap_or(0);
                    *o = f32::from(byte) * scale + offset;
                }
            }
        }
    }
}
