//! General convolutions, as matrix products of patches.

use crate::train::kernels::gemm::{self, Packed, Tall};
use crate::train::kernels::{columns, im2col, memory, par, Slide};
use crate::train::tape::{Call, Forward, Operation};

/// Convolution with groups. Inputs: map `[h][w][c]`, weight `[out][ky][kx][c / groups]`, bias
/// `[out]` (may be absent).
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    /// Window and sizes.
    pub slide: Slide,
    /// Channels of the input.
    pub input: usize,
    /// Channels of the output.
    pub output: usize,
    /// Groups of channels.
    pub groups: usize,
}

impl Conv {
    /// Pixels of the input, positions of the output, elements of a patch, outputs of a group.
    fn sizes(&self) -> (usize, usize, usize, usize) {
        let s = &self.slide;
        let patch = s.kernel * s.kernel * (self.input / self.groups);
        (s.input.0 * s.input.1, s.output.0 * s.output.1, patch, self.output / self.groups)
    }

    /// The length of a patch in memory: a multiple of 8, so that it divides into vectors; the rest
    /// is zero.
    fn row(&self) -> usize {
        self.sizes().2.next_multiple_of(8)
    }
}

impl Operation for Conv {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let (pixels, positions, patch, outs) = self.sizes();
        let (n, row) = (self.output, self.row());
        let weights: Vec<Packed> =
            inputs[1].chunks_exact(outs * patch).map(|w| Packed::transposed(patch, outs, w)).collect();
        let mut value = memory::scratch(batch * positions * n);
        par::portions(&mut value, par::IMAGES * positions * n, |i, out| {
            let mut buffer = vec![0.0; positions * row];
            let images = inputs[0][i * par::IMAGES * pixels * self.input..].chunks(pixels * self.input);
            for (image, out) in images.zip(out.chunks_mut(positions * n)) {
                for (g, weight) in weights.iter().enumerate() {
                    let channels = self.input / self.groups;
                    im2col::patches(&self.slide, image, self.input, g * channels, channels, row, &mut buffer);
                    let bias = inputs.get(2).map(|b| &b[g * outs..(g + 1) * outs]);
                    let a = Tall { data: &buffer, stride: row };
                    gemm::rows(positions, a, weight, bias, &mut out[g * outs..], n);
                }
            }
        });
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let (pixels, positions, patch, outs) = self.sizes();
        let (n, row, channels) = (self.output, self.row(), self.input / self.groups);
        let (x, w) = (call.inputs[0], call.inputs[1]);
        let dx = call.wants(0).then(|| {
            let weights: Vec<Packed> =
                w.chunks_exact(outs * patch).map(|w| Packed::plain(outs, patch, w)).collect();
            let mut dx = memory::zeros(x.len());
            par::portions(&mut dx, par::IMAGES * pixels * self.input, |i, dx| {
                let mut buffer = vec![0.0; positions * row];
                let grads = grad[i * par::IMAGES * positions * n..].chunks(positions * n);
                for (dx, grad) in dx.chunks_mut(pixels * self.input).zip(grads) {
                    for (g, weight) in weights.iter().enumerate() {
                        let a = Tall { data: &grad[g * outs..], stride: n };
                        gemm::rows(positions, a, weight, None, &mut buffer, row);
                        im2col::scatter(&self.slide, &buffer, self.input, g * channels, channels, row, dx);
                    }
                }
            });
            dx
        });
        let dw = call.wants(1).then(|| {
            par::sum(par::map_images(call.batch, |images| {
                let mut buffer = vec![0.0; positions * row];
                let mut wide = vec![0.0; n * row];
                for i in images {
                    let image = &x[i * pixels * self.input..(i + 1) * pixels * self.input];
                    let grad = &grad[i * positions * n..(i + 1) * positions * n];
                    for (g, wide) in wide.chunks_mut(outs * row).enumerate() {
                        im2col::patches(
                            &self.slide,
                            image,
                            self.input,
                            g * channels,
                            channels,
                            row,
                            &mut buffer,
                        );
                        let a = Tall { data: &grad[g * outs..], stride: n };
                        gemm::outer(positions, outs, row, a, Tall { data: &buffer, stride: row }, wide);
                    }
                }
                wide.chunks_exact(row).flat_map(|r| r[..patch].iter().copied()).collect()
            }))
        });
        let db = call.wants(2).then(|| {
            par::sum(par::map_images(call.batch, |r| {
                columns::sums(&grad[r.start * positions * n..r.end * positions * n], n)
            }))
        });
        vec![dx, dw, db]
    }
}
