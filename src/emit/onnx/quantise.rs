//! Quantised networks in ONNX's QDQ form: every tensor goes through `QuantizeLinear` and
//! `DequantizeLinear`, weights are int8 and biases int32 behind a `DequantizeLinear`, what lies
//! between is the floating-point operators. A runtime may fuse them into integer kernels.

use super::build::{attr, floats, int, Builder, Layout};
use super::{fault, Fault};
use crate::lower::ir::Step;
use crate::quant::{Dense, Quantised, QuantisedOp, QuantisedStep, Scale};
use onnx_protobuf::tensor_proto::DataType;
use onnx_protobuf::TensorProto;

/// A weight of a quantised step, as a value of floats: the name of what dequantises it.
pub(super) fn weight(
    b: &mut Builder,
    q: &QuantisedStep,
    x: Scale,
    step: &Step,
    position: usize,
    layout: Layout,
    shape: &[usize],
) -> Result<String, Fault> {
    let part = if position == 0 { "weight" } else { "bias" };
    let name = format!("{}.{part}", step.name);
    match &q.op {
        QuantisedOp::Dense(d) => Ok(dense(b, d, x, &name, position, layout, shape)),
        QuantisedOp::LayerNorm { weight, bias, fraction, shift, .. } => {
            // Finer than `DequantizeLinear` takes them: what they mean.
            let fine = f64::from(q.before.scale) / f64::from(1u32 << shift);
            let (scale, half) = (fine * 2f64.powi(*fraction as i32 - 32), 1 << (shift - 1));
            let values: Vec<f32> = match position {
                0 => weight.iter().map(|&w| (f64::from(w) * scale) as f32).collect(),
                _ => bias.iter().map(|&v| (f64::from(v - half) * fine) as f32).collect(),
            };
            Ok(b.initializer(&name, floats(&[values.len()], &values)))
        }
        _ => Err(fault(step.span, format!("`{}` has no weight slot {position}", step.name))),
    }
}

fn dense(
    b: &mut Builder,
    d: &Dense,
    x: Scale,
    name: &str,
    position: usize,
    layout: Layout,
    shape: &[usize],
) -> String {
    let outputs = d.bias.len();
    let taps = d.weight.len() / outputs.max(1);
    let scales: Vec<f32> = match position {
        0 => d.weight_scale.iter().map(|&s| s as f32).collect(),
        _ => d.weight_scale.iter().map(|&s| (s * f64::from(x.scale)) as f32).collect(),
    };
    let mut axis = 0;
    let tensor = if position == 0 {
        let mut dims = shape.to_vec();
        let mut data: Vec<u8> = d.weight.iter().map(|&w| w as u8).collect();
        match layout {
            Layout::Transposed => {
                axis = 1;
                dims.reverse();
                let column = |i: usize| data.iter().skip(i).step_by(taps.max(1)).copied();
                data = (0..taps).flat_map(column).collect();
            }
            Layout::PerChannel => dims = vec![outputs, 1, 1],
            Layout::AsIs => {}
        }
        integers(&dims, DataType::INT8, data)
    } else {
        // Without the input's zero, which the graph subtracts itself.
        let row = |(&bias, row): (&i32, &[i8])| {
            let sum: i64 = row.iter().map(|&w| i64::from(w)).sum();
            let real = i64::from(bias) + i64::from(x.zero) * sum;
            real.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
        };
        let values = d.bias.iter().zip(d.weight.chunks(taps.max(1))).map(row);
        let dims = if layout == Layout::PerChannel { vec![outputs, 1, 1] } else { vec![outputs] };
        integers(&dims, DataType::INT32, values.flat_map(i32::to_le_bytes).collect())
    };
    let stored = b.initializer(name, tensor);
    let scale =
        b.array(&format!("{}_scale", if position == 0 { "weight" } else { "bias" }), &[outputs], &scales);
    b.node("DequantizeLinear", &[&stored, &scale], vec![attr("axis", axis)])
}

/// A value through eight bits.
pub(super) fn through(b: &mut Builder, value: &str, scale: Scale) -> String {
    let step = b.scalar(scale.scale);
    let zero = b.int8(scale.zero as i8);
    let quantised = b.node("QuantizeLinear", &[value, &step, &zero], vec![]);
    b.node("DequantizeLinear", &[&quantised, &step, &zero], vec![])
}

pub(super) fn integers(dims: &[usize], kind: DataType, raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        dims: dims.iter().map(|&n| int(n)).collect(),
        data_type: kind as i32,
        raw_data,
        ..TensorProto::default()
    }
}

/// Elements of all weights and biases of the file.
pub(super) fn elements(network: &Quantised) -> usize {
    let of = |s: &QuantisedStep| match &s.op {
        QuantisedOp::Dense(d) => d.weight.len() + d.bias.len(),
        QuantisedOp::LayerNorm { weight, bias, .. } => weight.len() + bias.len(),
        _ => 0,
    };
    network.steps().iter().map(of).sum()
}
