//! Dense layers: linear layers, and convolutions with a 1x1 kernel.

use crate::train::kernels::gemm::{self, Packed, Tall};
use crate::train::kernels::{columns, memory, par};
use crate::train::tape::{Call, Forward, Operation};

/// `y = x w^T + b` on every row of features. Inputs: value, weight `[out][in]`, bias `[out]` (may be
/// absent).
#[derive(Debug, Clone)]
pub(crate) struct Dense {
    /// Rows of one image.
    pub rows: usize,
    /// Features of a row.
    pub input: usize,
    /// Features of a result's row.
    pub output: usize,
}

impl Operation for Dense {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let (n, k) = (self.output, self.input);
        let weight = Packed::transposed(k, n, inputs[1]);
        let bias = inputs.get(2).copied();
        let mut value = memory::scratch(batch * self.rows * n);
        let size = par::IMAGES * self.rows;
        par::portions(&mut value, size * n, |i, out| {
            let x = Tall { data: &inputs[0][i * size * k..], stride: k };
            gemm::rows(out.len() / n, x, &weight, bias, out, n);
        });
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let (n, k) = (self.output, self.input);
        let (x, w) = (call.inputs[0], call.inputs[1]);
        let size = par::IMAGES * self.rows;
        let dx = call.wants(0).then(|| {
            let weight = Packed::plain(n, k, w);
            let mut dx = memory::scratch(x.len());
            par::portions(&mut dx, size * k, |i, out| {
                let g = Tall { data: &grad[i * size * n..], stride: n };
                gemm::rows(out.len() / k, g, &weight, None, out, k);
            });
            dx
        });
        let portion = |images: &std::ops::Range<usize>| {
            let (from, to) = (images.start * self.rows, images.end * self.rows);
            (&grad[from * n..to * n], &x[from * k..to * k], to - from)
        };
        let dw = call.wants(1).then(|| {
            par::sum(par::map_images(call.batch, |images| {
                let (g, x, rows) = portion(&images);
                let mut dw = vec![0.0; n * k];
                gemm::outer(rows, n, k, Tall { data: g, stride: n }, Tall { data: x, stride: k }, &mut dw);
                dw
            }))
        });
        let db = call
            .wants(2)
            .then(|| par::sum(par::map_images(call.batch, |images| columns::sums(portion(&images).0, n))));
        vec![dx, dw, db]
    }
}
