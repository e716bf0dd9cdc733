//! Our own operations on burn's autodiff tape.
//!
//! burn's flex backend has fast forward operators, but its backward passes are compositions of
//! generic ones: a depthwise convolution's weight gradient, for instance, loops over the groups.
//! An [`Operation`] is a forward and a backward pass on slices of `f32`, written by hand; [`record`]
//! puts it on the tape of `Autodiff<Flex>`, where it mixes freely with burn's own operators, and
//! [`infer`] applies it to tensors of plain `Flex`.

use super::kernels::memory;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use std::fmt::Debug;
use std::sync::Arc;

type Ad = Autodiff<Flex, NoCheckpointing>;

/// What a forward pass gives.
#[derive(Debug, Default)]
pub struct Forward {
    /// The result, `[batch][elements]`.
    pub value: Vec<f32>,
    /// What else the backward pass needs; also batch statistics.
    pub saved: Vec<f32>,
}

impl Forward {
    /// Nothing but a result.
    pub fn of(value: Vec<f32>) -> Forward {
        Forward { value, saved: Vec::new() }
    }
}

/// What a backward pass is given, besides the gradient.
#[derive(Debug)]
pub struct Call<'a> {
    /// Images of the batch.
    pub batch: usize,
    /// The forward pass's inputs.
    pub inputs: &'a [&'a [f32]],
    /// The forward pass's result; empty unless [`Operation::keeps_output`].
    pub output: &'a [f32],
    /// The forward pass's [`Forward::saved`].
    pub saved: &'a [f32],
    /// Which inputs need a gradient.
    pub wanted: &'a [bool],
}

impl Call<'_> {
    /// Whether input `i` needs a gradient.
    pub fn wants(&self, i: usize) -> bool {
        self.wanted.get(i).copied().unwrap_or(false)
    }
}

/// A differentiable operation. Inputs are values (`[batch][elements]`) first, then parameters.
pub trait Operation: Debug + Send + Sync {
    /// Computes the result for a batch.
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward;

    /// The inputs' gradients from the result's, one entry per input; `None` where none is wanted.
    /// `grad` may be changed, or taken to be returned.
    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>>;

    /// Images of the result: those of the batch, or 1 for a loss.
    fn rows(&self, batch: usize) -> usize {
        batch
    }

    /// Whether the backward pass reads the result.
    fn keeps_output(&self) -> bool {
        false
    }

    /// Whether the backward pass reads the inputs' elements (their lengths it always sees).
    fn keeps_inputs(&self) -> bool {
        true
    }
}

/// A value on the tape: `[batch, elements of one image]`.
pub type Value = Tensor<2>;

/// Applies an operation on an autodiff device and records it where a gradient is wanted. Gives the
/// result and [`Forward::saved`].
///
/// # Panics
/// If a tensor lives on another device than autodiff flex: a defect of the caller.
pub fn record(
    operation: Arc<dyn Operation>,
    batch: usize,
    values: &[&Value],
    params: &[&Tensor<1>],
) -> (Value, Arc<Vec<f32>>) {
    let values = values.iter().map(|&t| t.clone().try_into_primitive::<Ad>());
    let params = params.iter().map(|&t| t.clone().try_into_primitive::<Ad>());
    let inputs: Vec<FloatTensor<Ad>> =
        values.chain(params).map(|t| t.expect("training runs on an autodiff flex device")).collect();
    let (output, saved) = match inputs.len() {
        1 => record_n::<1>(operation, batch, inputs),
        2 => record_n::<2>(operation, batch, inputs),
        3 => record_n::<3>(operation, batch, inputs),
        n => panic!("no operation has {n} inputs"),
    };
    (Tensor::from_primitive::<Ad>(output), saved)
}

/// Applies an operation on plain flex.
///
/// # Panics
/// If a tensor lives on another device than flex: a defect of the caller.
pub fn infer(operation: &dyn Operation, batch: usize, values: &[&Value], params: &[&Tensor<1>]) -> Value {
    let values = values.iter().map(|&t| t.clone().try_into_primitive::<Flex>());
    let params = params.iter().map(|&t| t.clone().try_into_primitive::<Flex>());
    let inputs: Vec<FlexTensor> =
        values.chain(params).map(|t| contiguous(t.expect("inference runs on a flex device"))).collect();
    let slices: Vec<&[f32]> = inputs.iter().map(slice).collect();
    let rows = operation.rows(batch);
    Tensor::from_primitive::<Flex>(tensor(operation.forward(batch, &slices).value, rows))
}

fn slice(t: &FlexTensor) -> &[f32] {
    t.as_slice::<f32>().expect("values are contiguous arrays of f32")
}

fn contiguous(t: FlexTensor) -> FlexTensor {
    if t.as_slice::<f32>().is_some() {
        t
    } else {
        t.to_contiguous()
    }
}

fn tensor(data: Vec<f32>, rows: usize) -> FlexTensor {
    let shape = [rows, data.len() / rows.max(1)];
    FlexTensor::from_data(TensorData::new(data, shape))
}

/// Takes a tensor's array back, if nothing else holds it.
fn recycle(t: FlexTensor) {
    if t.is_unique() && t.is_contiguous() {
        if let Ok(array) = t.into_data().try_into_vec::<f32>() {
            memory::recycle(array);
        }
    }
}

/// Marks a step of the tape with `N` inputs.
#[derive(Debug)]
struct Recorded<const N: usize>;

/// What such a step keeps.
#[derive(Debug, Clone)]
struct State {
    operation: Arc<dyn Operation>,
    batch: usize,
    /// Empty if the operation does not read them.
    inputs: Vec<FlexTensor>,
    shapes: Vec<Vec<usize>>,
    output: Option<FlexTensor>,
    saved: Arc<Vec<f32>>,
}

fn record_n<const N: usize>(
    operation: Arc<dyn Operation>,
    batch: usize,
    inputs: Vec<FloatTensor<Ad>>,
) -> (FloatTensor<Ad>, Arc<Vec<f32>>) {
    let (tensors, guards): (Vec<_>, Vec<_>) = inputs
        .into_iter()
        .map(|t| {
            let (primitive, guard) = t.into_parts();
            (contiguous(primitive), guard)
        })
        .unzip();
    let result = {
        let slices: Vec<&[f32]> = tensors.iter().map(slice).collect();
        operation.forward(batch, &slices)
    };
    let output = tensor(result.value, operation.rows(batch));
    let saved = Arc::new(result.saved);
    let Ok(guards) = <[_; N]>::try_from(guards) else { panic!("as many guards as inputs") };
    let step = Recorded::<N>.prepare::<NoCheckpointing>(guards).compute_bound().stateful();
    let out = match step {
        OpsKind::Tracked(prep) => {
            let state = State {
                batch,
                shapes: tensors.iter().map(|t| t.layout().shape().to_vec()).collect(),
                inputs: if operation.keeps_inputs() { tensors } else { Vec::new() },
                output: operation.keeps_output().then(|| output.clone()),
                saved: saved.clone(),
                operation,
            };
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    (out, saved)
}

impl<const N: usize> Backward<Flex, N> for Recorded<N> {
    type State = State;

    fn backward(self, ops: Ops<State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let State { operation, batch, inputs, shapes, output, saved } = ops.state;
        // Free of a copy where nothing else holds the gradient.
        let Ok(mut grad) = grad.into_data().try_into_vec::<f32>() else { panic!("gradients are of f32") };
        let slices: Vec<&[f32]> = inputs.iter().map(slice).collect();
        let kept_output = output;
        let output = kept_output.as_ref().map_or(&[][..], slice);
        let call = Call { batch, inputs: &slices, output, saved: &saved, wanted: &wanted };
        let results = operation.backward(&call, &mut grad);
        memory::recycle(grad);
        for ((parent, shape), result) in ops.parents.iter().zip(shapes).zip(results) {
            if let (Some(parent), Some(data)) = (parent, result) {
                let t = FlexTensor::from_data(TensorData::new(data, shape));
                grads.register::<Flex>(parent.id, t);
            }
        }
        inputs.into_iter().chain(kept_output).for_each(recycle);
    }
}
