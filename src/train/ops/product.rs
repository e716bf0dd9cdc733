//! Products of two values.

use crate::train::kernels::gemm::{self, Packed, Tall};
use crate::train::kernels::memory;
use crate::train::tape::{Call, Forward, Operation};

/// Per group of tokens `[n x k] [k x m]`. Inputs: two values.
#[derive(Debug, Clone)]
pub(crate) struct MatMul {
    /// Rows of the first.
    pub n: usize,
    /// Columns of the first, rows of the second.
    pub k: usize,
    /// Columns of the second.
    pub m: usize,
}

impl Operation for MatMul {
    fn forward(&self, _: usize, inputs: &[&[f32]]) -> Forward {
        let MatMul { n, k, m } = *self;
        let mut value = memory::zeros(inputs[0].len() / k * m);
        let operands = inputs[0].chunks_exact(n * k).zip(inputs[1].chunks_exact(k * m));
        for ((a, b), out) in operands.zip(value.chunks_exact_mut(n * m)) {
            gemm::rows(n, Tall { data: a, stride: k }, &Packed::plain(k, m, b), None, out, m);
        }
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let MatMul { n, k, m } = *self;
        let (mut da, mut db) = (vec![0.0; call.inputs[0].len()], vec![0.0; call.inputs[1].len()]);
        let operands = call.inputs[0].chunks_exact(n * k).zip(call.inputs[1].chunks_exact(k * m));
        let results = da.chunks_exact_mut(n * k).zip(db.chunks_exact_mut(k * m));
        for (((a, b), g), (da, db)) in operands.zip(grad.chunks_exact(n * m)).zip(results) {
            let g = Tall { data: g, stride: m };
            gemm::rows(n, g, &Packed::transposed(m, k, b), None, da, k);
            gemm::outer(n, k, m, Tall { data: a, stride: k }, g, db);
        }
        vec![Some(da), Some(db)]
    }
}
