//! Pooling.

use crate::train::kernels::{columns, im2col, memory, par, Slide};
use crate::train::tape::{Call, Forward, Operation};

/// Maximum over windows; padding is ignored. Saves the input position of each maximum (the first in
/// row order), as bits.
#[derive(Debug, Clone)]
pub(crate) struct MaxPool {
    /// Window and sizes.
    pub slide: Slide,
    /// Channels.
    pub channels: usize,
}

impl Operation for MaxPool {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let (s, c) = (&self.slide, self.channels);
        let (input, output) = (s.input.0 * s.input.1 * c, s.output.0 * s.output.1 * c);
        let mut value = vec![f32::NEG_INFINITY; batch * output];
        let saved = par::map_portions(&mut value, output, |i, out| {
            let image = &inputs[0][i * input..(i + 1) * input];
            let mut winners = vec![0.0f32; output];
            im2col::walk(s, |position, _, pixel| {
                let Some(p) = pixel else { return };
                for ch in 0..c {
                    let (at, x) = (position * c + ch, image[p * c + ch]);
                    // Not `x > out`: NaN must win.
                    if x.is_nan() || x > out[at] {
                        out[at] = x;
                        winners[at] = f32::from_bits(p as u32);
                    }
                }
            });
            winners
        });
        Forward { value, saved: saved.concat() }
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let (s, c) = (&self.slide, self.channels);
        let (input, output) = (s.input.0 * s.input.1 * c, s.output.0 * s.output.1 * c);
        let mut dx = memory::zeros(call.batch * input);
        par::portions(&mut dx, input, |i, dx| {
            let range = i * output..(i + 1) * output;
            for (at, (g, w)) in grad[range.clone()].iter().zip(&call.saved[range]).enumerate() {
                dx[w.to_bits() as usize * c + at % c] += g;
            }
        });
        vec![Some(dx)]
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}

/// Mean over windows; padding is not counted.
#[derive(Debug, Clone)]
pub(crate) struct AvgPool {
    /// Window and sizes.
    pub slide: Slide,
    /// Channels.
    pub channels: usize,
}

impl AvgPool {
    /// One over the number of pixels in every window.
    fn weights(&self) -> Vec<f32> {
        let mut counts = vec![0u32; self.slide.output.0 * self.slide.output.1];
        im2col::walk(&self.slide, |position, _, pixel| counts[position] += u32::from(pixel.is_some()));
        counts.into_iter().map(|n| 1.0 / n.max(1) as f32).collect()
    }
}

impl Operation for AvgPool {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let (s, c) = (&self.slide, self.channels);
        let (input, output) = (s.input.0 * s.input.1 * c, s.output.0 * s.output.1 * c);
        let weights = self.weights();
        let mut value = memory::zeros(batch * output);
        par::portions(&mut value, output, |i, out| {
            let image = &inputs[0][i * input..(i + 1) * input];
            im2col::walk(s, |position, _, pixel| {
                let Some(p) = pixel else { return };
                for ch in 0..c {
                    out[position * c + ch] += image[p * c + ch];
                }
            });
            for (row, w) in out.chunks_exact_mut(c).zip(&weights) {
                row.iter_mut().for_each(|x| *x *= w);
            }
        });
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let (s, c) = (&self.slide, self.channels);
        let (input, output) = (s.input.0 * s.input.1 * c, s.output.0 * s.output.1 * c);
        let weights = self.weights();
        let mut dx = memory::zeros(call.batch * input);
        par::portions(&mut dx, input, |i, dx| {
            let grad = &grad[i * output..(i + 1) * output];
            im2col::walk(s, |position, _, pixel| {
                let Some(p) = pixel else { return };
                for ch in 0..c {
                    dx[p * c + ch] += grad[position * c + ch] * weights[position];
                }
            });
        });
        vec![Some(dx)]
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}

/// Mean over all rows of an image.
#[derive(Debug, Clone)]
pub(crate) struct GlobalPool {
    /// Rows of one image.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
}

impl Operation for GlobalPool {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let c = self.channels;
        let mut value = memory::zeros(batch * c);
        par::portions(&mut value, c, |i, out| {
            let image = &inputs[0][i * self.rows * c..(i + 1) * self.rows * c];
            for (o, s) in out.iter_mut().zip(columns::sums(image, c)) {
                *o = s / self.rows as f32;
            }
        });
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let c = self.channels;
        let mut dx = Vec::with_capacity(call.batch * self.rows * c);
        for g in grad.chunks_exact(c) {
            let row: Vec<f32> = g.iter().map(|g| g / self.rows as f32).collect();
            for _ in 0..self.rows {
                dx.extend_from_slice(&row);
            }
        }
        vec![Some(dx)]
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}
