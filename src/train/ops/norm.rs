//! Normalisations.

use crate::graph::Act;
use crate::train::kernels::simd::{exp, vectorized};
use crate::train::kernels::{columns, memory, par};
use crate::train::tape::{Call, Forward, Operation};
use std::sync::Arc;

/// Batch normalisation by channel, with the non-linearity that follows it (arXiv 1502.03167).
/// Inputs: value, weight `[c]`, bias `[c]`. Saves mean, `1 / sqrt(variance + eps)` and the variance
/// (biased), `c` of each.
#[derive(Debug, Clone)]
pub(crate) struct BatchNorm {
    /// Rows of one image.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Applied to the result.
    pub act: Option<Act>,
    /// Running mean and variance, used in place of the batch's.
    pub frozen: Option<Arc<(Vec<f32>, Vec<f32>)>>,
}

impl BatchNorm {
    /// Mean and biased variance of the batch, by channel. Each portion's own mean and squared
    /// distances from it are joined by the rule of Chan, Golub and LeVeque (1979).
    fn statistics(&self, batch: usize, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let c = self.channels;
        let parts = par::map_images(batch, |images| {
            let x = &x[images.start * self.rows * c..images.end * self.rows * c];
            let n = images.len() * self.rows;
            let mean: Vec<f32> = columns::sums(x, c).iter().map(|s| s / n as f32).collect();
            let squares = columns::squared_distances(x, &mean);
            (n as f64, mean, squares)
        });
        let mut count = 0.0f64;
        let (mut mean, mut squares) = (vec![0.0f64; c], vec![0.0f64; c]);
        for (n, m, s) in parts {
            let total = count + n;
            for (((mean, squares), m), s) in mean.iter_mut().zip(&mut squares).zip(m).zip(s) {
                let d = f64::from(m) - *mean;
                *mean += d * n / total;
                *squares += f64::from(s) + d * d * count * n / total;
            }
            count = total;
        }
        (
            mean.iter().map(|&m| m as f32).collect(),
            squares.iter().map(|&s| (s / count.max(1.0)) as f32).collect(),
        )
    }

    /// Per channel, what multiplies `x` and what is added.
    fn affine(mean: &[f32], inv: &[f32], weight: &[f32], bias: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let scale: Vec<f32> = inv.iter().zip(weight).map(|(i, w)| i * w).collect();
        let shift: Vec<f32> = bias.iter().zip(mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        (columns::tile(&scale), columns::tile(&shift))
    }
}

impl Operation for BatchNorm {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let (mean, variance) = match &self.frozen {
            Some(running) => (running.0.clone(), running.1.clone()),
            None => self.statistics(batch, inputs[0]),
        };
        let inv: Vec<f32> = variance.iter().map(|v| 1.0 / (v + self.eps).sqrt()).collect();
        let (scale, shift) = Self::affine(&mean, &inv, inputs[1], inputs[2]);
        let size = par::IMAGES * self.rows * self.channels;
        let mut value = memory::scratch(inputs[0].len());
        par::portions(&mut value, size, |i, out| {
            let x = &inputs[0][i * size..i * size + out.len()];
            columns::affine(self.act, x, &scale, &shift, out);
        });
        Forward { value, saved: [mean, inv, variance].concat() }
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let c = self.channels;
        let (x, weight, bias) = (call.inputs[0], call.inputs[1], call.inputs[2]);
        let (mean, inv) = (&call.saved[..c], &call.saved[c..2 * c]);
        let (scale, shift) = Self::affine(mean, inv, weight, bias);
        let center = columns::tile(mean);
        let size = par::IMAGES * self.rows * c;
        let parts = par::map_portions(grad, size, |i, g| {
            let x = &x[i * size..i * size + g.len()];
            columns::affine_backward(self.act, x, &scale, &shift, &center, c, g)
        });
        let (sums, dots): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let (sum, dot) = (par::sum(sums), par::sum(dots));
        let dweight: Vec<f32> = dot.iter().zip(inv).map(|(d, i)| d * i).collect();
        let dx = call.wants(0).then(|| {
            // scale * (g - sum / n - (x - mean) * inv^2 * dot / n)
            let n = (call.batch * self.rows).max(1) as f32;
            let mut by_x = vec![0.0; c];
            let mut constant = vec![0.0; c];
            if self.frozen.is_none() {
                for i in 0..c {
                    let a = weight[i] * inv[i];
                    by_x[i] = -a * inv[i] * inv[i] * dot[i] / n;
                    constant[i] = -a * sum[i] / n - by_x[i] * mean[i];
                }
            }
            let (by_x, constant) = (columns::tile(&by_x), columns::tile(&constant));
            par::portions(grad, size, |i, g| {
                let x = &x[i * size..i * size + g.len()];
                columns::blend(g, x, &scale, &by_x, &constant);
            });
            std::mem::take(grad)
        });
        vec![dx, Some(dweight), Some(sum)]
    }
}

/// Layer normalisation of every row (arXiv 1607.06450). Inputs: value, weight `[c]`, bias `[c]`.
/// Saves mean and `1 / sqrt(variance + eps)` of every row.
#[derive(Debug, Clone)]
pub(crate) struct LayerNorm {
    /// Rows of one image.
    pub rows: usize,
    /// Features of a row.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
}

impl Operation for LayerNorm {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let (c, rows) = (self.channels, batch * self.rows);
        let (weight, bias) = (inputs[1], inputs[2]);
        let mut value = memory::scratch(rows * c);
        let size = par::IMAGES * self.rows * c;
        let saved = par::map_portions(&mut value, size, |i, out| {
            let mut saved = Vec::with_capacity(2 * out.len() / c.max(1));
            let x = &inputs[0][i * size..i * size + out.len()];
            for (x, y) in x.chunks_exact(c).zip(out.chunks_exact_mut(c)) {
                let mean = x.iter().sum::<f32>() / c as f32;
                let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / c as f32;
                let inv = 1.0 / (variance + self.eps).sqrt();
                for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                    *y = (x - mean) * inv * w + b;
                }
                saved.extend([mean, inv]);
            }
            saved
        });
        Forward { value, saved: saved.concat() }
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let c = self.channels;
        let (x, weight) = (call.inputs[0], call.inputs[1]);
        let size = par::IMAGES * self.rows * c;
        let parts = par::map_portions(grad, size, |i, g| {
            let (mut dw, mut db) = (vec![0.0; c], vec![0.0; c]);
            let x = x[i * size..i * size + g.len()].chunks_exact(c);
            let saved = call.saved[2 * i * par::IMAGES * self.rows..].chunks_exact(2);
            for ((g, x), s) in g.chunks_exact_mut(c).zip(x).zip(saved) {
                let (mean, inv) = (s[0], s[1]);
                let (mut sum, mut dot) = (0.0, 0.0);
                for j in 0..c {
                    let hat = (x[j] - mean) * inv;
                    dw[j] += g[j] * hat;
                    db[j] += g[j];
                    g[j] *= weight[j];
                    sum += g[j];
                    dot += g[j] * hat;
                }
                let (sum, dot) = (sum / c as f32, dot / c as f32);
                for (g, x) in g.iter_mut().zip(x) {
                    *g = inv * (*g - sum - (x - mean) * inv * dot);
                }
            }
            (dw, db)
        });
        let (dw, db): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        vec![Some(std::mem::take(grad)), Some(par::sum(dw)), Some(par::sum(db))]
    }
}

/// Softmax of one row, in place.
#[inline]
pub(super) fn softmax(row: &mut [f32]) {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    vectorized!(FMA => {
        for x in row.iter_mut() {
            *x = exp::<FMA>(*x - top);
        }
    });
    let total: f32 = row.iter().sum();
    let inv = 1.0 / total;
    row.iter_mut().for_each(|x| *x *= inv);
}

/// From the gradient of a softmax's result `p` to that of its input, in place.
#[inline]
pub(super) fn softmax_backward(p: &[f32], g: &mut [f32]) {
    let dot: f32 = p.iter().zip(g.iter()).map(|(p, g)| p * g).sum();
    for (g, p) in g.iter_mut().zip(p) {
        *g = p * (*g - dot);
    }
}

/// Softmax of every row.
#[derive(Debug, Clone)]
pub(crate) struct Softmax {
    /// Features of a row.
    pub channels: usize,
}

impl Operation for Softmax {
    fn forward(&self, _: usize, inputs: &[&[f32]]) -> Forward {
        let mut value = memory::copy(inputs[0]);
        value.chunks_exact_mut(self.channels.max(1)).for_each(softmax);
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let c = self.channels.max(1);
        for (p, g) in call.output.chunks_exact(c).zip(grad.chunks_exact_mut(c)) {
            softmax_backward(p, g);
        }
        vec![Some(std::mem::take(grad))]
    }

    fn keeps_output(&self) -> bool {
        true
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}
