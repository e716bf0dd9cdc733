//! Depthwise convolutions.

use crate::train::kernels::{columns, depthwise, memory, par, Slide};
use crate::train::tape::{Call, Forward, Operation};

/// A convolution of each channel with its own kernel. Inputs: map `[h][w][c]`, weight
/// `[ky][kx][c]`, bias `[c]` (may be absent).
#[derive(Debug, Clone)]
pub(crate) struct Depthwise {
    /// Window and sizes.
    pub slide: Slide,
    /// Channels.
    pub channels: usize,
}

impl Depthwise {
    /// Elements of an input image, of an output image, of a padded image.
    fn sizes(&self) -> (usize, usize, usize) {
        let s = &self.slide;
        let (ph, pw) = s.padded();
        let c = self.channels;
        (s.input.0 * s.input.1 * c, s.output.0 * s.output.1 * c, ph * pw * c)
    }

    /// The convolution that gives the input's gradient from the output's, with the kernel turned by
    /// half a turn; only with stride 1 and a padding that does not exceed the kernel's reach.
    fn transposed(&self) -> Option<Slide> {
        let s = &self.slide;
        let reach = s.dilation * (s.kernel - 1);
        let before = (reach.checked_sub(s.before.0)?, reach.checked_sub(s.before.1)?);
        (s.stride == 1).then_some(Slide { input: s.output, output: s.input, before, ..*s })
    }
}

impl Operation for Depthwise {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let (input, output, padded) = self.sizes();
        let mut value = memory::scratch(batch * output);
        par::portions(&mut value, par::IMAGES * output, |i, out| {
            let mut buffer = vec![0.0; padded];
            let images = inputs[0][i * par::IMAGES * input..].chunks(input);
            for (image, out) in images.zip(out.chunks_mut(output)) {
                self.slide.pad(self.channels, image, &mut buffer);
                let bias = inputs.get(2).copied();
                depthwise::forward(&self.slide, self.channels, &buffer, inputs[1], bias, out);
            }
        });
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let (input, output, padded) = self.sizes();
        let (s, c) = (&self.slide, self.channels);
        let (x, w) = (call.inputs[0], call.inputs[1]);
        let dx = call.wants(0).then(|| {
            let turned: Vec<f32> = w.chunks_exact(c).rev().flatten().copied().collect();
            let transposed = self.transposed();
            let mut dx = memory::scratch(x.len());
            par::portions(&mut dx, par::IMAGES * input, |i, dx| {
                let grads = grad[i * par::IMAGES * output..].chunks(output);
                let size = transposed.map_or(padded, |t| t.padded().0 * t.padded().1 * c);
                let mut buffer = vec![0.0; size];
                for (dx, grad) in dx.chunks_mut(input).zip(grads) {
                    match &transposed {
                        Some(t) => {
                            t.pad(c, grad, &mut buffer);
                            depthwise::forward(t, c, &buffer, &turned, None, dx);
                        }
                        None => {
                            buffer.fill(0.0);
                            depthwise::scatter(s, c, grad, w, &mut buffer);
                            s.crop(c, &buffer, dx);
                        }
                    }
                }
            });
            dx
        });
        let dw = call.wants(1).then(|| {
            par::sum(par::map_images(call.batch, |images| {
                let mut buffer = vec![0.0; padded];
                let mut dw = vec![0.0; s.kernel * s.kernel * c];
                for i in images {
                    s.pad(c, &x[i * input..(i + 1) * input], &mut buffer);
                    depthwise::weight_grad(s, c, &buffer, &grad[i * output..(i + 1) * output], &mut dw);
                }
                dw
            }))
        });
        let db = call.wants(2).then(|| {
            par::sum(par::map_images(call.batch, |r| {
                columns::sums(&grad[r.start * output..r.end * output], c)
            }))
        });
        vec![dx, dw, db]
    }
}
