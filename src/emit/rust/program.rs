//! Everything that the forms of emitted code share: checked, and worked out once.

use super::calls::Body;
use super::text::{float, plain};
use super::weights::{self, Static};
use super::writer::Needs;
use super::{int8, names, steps, Metadata};
use crate::codes;
use crate::diag::Diagnostic;
use crate::graph::Fact;
use crate::lower::{Bound, Lowered, Plan};
use crate::quant::{Quantised, Scale, Table};
use crate::source::Span;
use hytc_kernels::sources::{File, FLOAT, INT8};
use std::collections::BTreeSet;

/// What the numbers of a program are.
pub(super) enum Numbers {
    /// f32.
    Float,
    /// i8.
    Int8 {
        /// Of the image.
        input: Scale,
        /// Of the scores.
        output: Scale,
        /// From bytes to the image's numbers, by channel; one table if they are all alike, none if
        /// it is a subtraction of 128.
        pixels: Vec<Table>,
    },
}

/// What `run` runs.
pub(super) enum Code {
    /// The statements of its body, and what they need around them.
    Statements {
        body: String,
        needs: Needs,
        /// The statements of a `run_traced`, if there is to be one.
        traced: Option<String>,
    },
    /// A module with a list of steps; `None` where there are no steps.
    Steps {
        module: Option<String>,
        /// The steps of the schedule, where there is to be a `run_traced`. Some are no call.
        traced: Option<usize>,
    },
}

/// Code, kernels, constants.
type Parts = (Code, Vec<&'static File>, Vec<Static>);

/// Everything that the two forms share.
pub(super) struct Program {
    pub(super) numbers: Numbers,
    pub(super) input: Fact,
    pub(super) input_offset: usize,
    pub(super) output_len: usize,
    pub(super) output_offset: usize,
    pub(super) arena_bytes: usize,
    pub(super) params: u64,
    pub(super) macs: u64,
    /// Bytes of all statics.
    pub(super) constant_bytes: usize,
    pub(super) code: Code,
    pub(super) weights: String,
    pub(super) kernels: Vec<&'static File>,
}

impl Program {
    pub(super) fn float(
        bound: &Bound,
        plan: &Plan,
        metadata: &Metadata,
        trace: bool,
    ) -> Result<Program, Vec<Diagnostic>> {
        let lowered = &bound.lowered;
        let mut errors = check(lowered, plan, 4, metadata);
        let (mut statics, mut taken) = (Vec::new(), names::Statics::default());
        let mut slot_names = vec![String::new(); lowered.slots().len()];
        for step in lowered.steps() {
            for (position, &id) in step.slots.iter().enumerate() {
                let (Some(slot), Some(entry)) = (lowered.slot(id), slot_names.get_mut(id.0)) else {
                    continue;
                };
                let (data, order) = weights::arrange(bound, step, position);
                if data.len() as u64 != slot.elements() {
                    let m = format!("`{}` does not have the elements of its shape", plain(&slot.name));
                    let d = Diagnostic::error(codes::EMIT_RUST, step.span, m);
                    errors.push(d.help("bind weights of this network"));
                }
                if let Some(bad) = data.iter().find(|x| !x.is_finite()) {
                    let m = format!("`{}` holds {bad}, which is no weight", plain(&slot.name));
                    let d = Diagnostic::error(codes::EMIT_RUST, step.span, m);
                    errors.push(d.help("train again, with a lower learning rate"));
                }
                let name = taken.name(&slot.name);
                *entry = name.clone();
                let about = format!("{} {:?} {order}", slot.name, slot.shape).trim_end().to_string();
                let data = data.into_iter().map(float).collect();
                statics.push(Static { name, about, kind: "f32", data });
            }
        }
        let body = |traced| Body::new(bound, plan, &slot_names, traced).finish();
        let traced = trace.then(|| body(true).map(|(body, _)| body)).transpose();
        let parts = body(false).and_then(|(body, needs)| {
            let kernels = kernels(needs.imports.keys().copied(), FLOAT);
            Ok((Code::Statements { body, needs, traced: traced? }, kernels, statics))
        });
        Program::new(lowered, plan, Numbers::Float, parts, errors)
    }

    pub(super) fn int8(
        network: &Quantised,
        plan: &Plan,
        metadata: &Metadata,
        trace: bool,
    ) -> Result<Program, Vec<Diagnostic>> {
        let lowered = network.lowered();
        let errors = check(lowered, plan, 1, metadata);
        let input = network.scale(lowered.input());
        let numbers =
            Numbers::Int8 { input, output: network.scale(lowered.output()), pixels: pixels(input, metadata) };
        let parts = int8::Body::new(network, plan).finish().map(|(calls, mut statics)| {
            if let Numbers::Int8 { pixels, .. } = &numbers {
                statics.extend(pixel_static(pixels));
            }
            let kernels = kernels(steps::imports(&calls).into_keys(), INT8);
            let steps = trace.then_some(lowered.steps().len());
            let module = (!calls.numbers.is_empty()).then(|| steps::module(&calls, plan.arena_bytes, steps));
            (Code::Steps { module, traced: steps }, kernels, statics)
        });
        Program::new(lowered, plan, numbers, parts, errors)
    }

    fn new(
        lowered: &Lowered,
        plan: &Plan,
        numbers: Numbers,
        parts: Result<Parts, Vec<Diagnostic>>,
        mut errors: Vec<Diagnostic>,
    ) -> Result<Program, Vec<Diagnostic>> {
        let parts = match parts {
            Ok(parts) => Some(parts),
            Err(mut more) => {
                errors.append(&mut more);
                None
            }
        };
        let places = plan.element_offset(lowered.input()).zip(plan.element_offset(lowered.output()));
        let (Some((code, kernels, statics)), Some((input_offset, output_offset)), true) =
            (parts, places, errors.is_empty())
        else {
            return Err(errors);
        };
        Ok(Program {
            numbers,
            input: lowered.fact(lowered.input()),
            input_offset,
            output_len: lowered.fact(lowered.output()).elements(),
            output_offset,
            arena_bytes: plan.arena_bytes,
            params: lowered.params(),
            macs: lowered.macs(),
            constant_bytes: statics.iter().map(Static::bytes).sum(),
            code,
            kernels,
            weights: weights::module(&statics),
        })
    }

    /// Height, width, channels.
    pub(super) fn shape(&self) -> [usize; 3] {
        match self.input {
            Fact::Map { c, h, w } => [h, w, c],
            other => [1, other.rows(), other.channels()],
        }
    }
}

/// What is wrong with the plan and the metadata.
fn check(lowered: &Lowered, plan: &Plan, element_bytes: usize, metadata: &Metadata) -> Vec<Diagnostic> {
    let (input, output) = (lowered.fact(lowered.input()), lowered.fact(lowered.output()));
    let span = lowered.steps().last().map_or(Span::default(), |s| s.span);
    let mut errors = Vec::new();
    let mut wrong = |what: String, help: &str| {
        errors.push(Diagnostic::error(codes::EMIT_RUST, span, what).help(help));
    };
    if plan.element_bytes != element_bytes || !plan.arena_bytes.is_multiple_of(4) {
        let words = if element_bytes == 4 { "four-byte" } else { "one-byte" };
        wrong(format!("the plan is not one of {words} elements"), "this is a defect of hytc");
    }
    if metadata.mean.len() != input.channels() || metadata.std.len() != input.channels() {
        let m = format!(
            "there are {} means and {} standard deviations for {} channels",
            metadata.mean.len(),
            metadata.std.len(),
            input.channels()
        );
        wrong(m, "give one mean and one standard deviation for each channel of the input");
    }
    if !metadata.mean.iter().chain(&metadata.std).all(|x| x.is_finite()) || metadata.std.contains(&0.0) {
        let m = "means must be finite, standard deviations finite and not zero".into();
        wrong(m, "correct `normalize` in the task");
    }
    if !metadata.classes.is_empty() && metadata.classes.len() != output.elements() {
        let m =
            format!("the network has {} outputs for {} classes", output.elements(), metadata.classes.len());
        wrong(m, "let the last layer have as many outputs as there are classes");
    }
    errors
}

/// The tables from bytes to the image's numbers, see [`Numbers::Int8`].
fn pixels(input: Scale, metadata: &Metadata) -> Vec<Table> {
    let channels = metadata.mean.iter().zip(&metadata.std);
    let mut tables: Vec<Table> = channels.map(|(&mean, &std)| input.pixels(mean, std)).collect();
    tables.dedup();
    let plain = |t: &Table| t.iter().zip(-128i8..=127).all(|(a, b)| *a == b);
    if tables.iter().all(plain) {
        tables.clear();
    }
    if tables.len() == 1 {
        return tables;
    }
    // Not all alike: one for each channel again.
    if !tables.is_empty() {
        let channels = metadata.mean.iter().zip(&metadata.std);
        tables = channels.map(|(&mean, &std)| input.pixels(mean, std)).collect();
    }
    tables
}

fn pixel_static(tables: &[Table]) -> Option<Static> {
    if tables.is_empty() {
        return None;
    }
    let data = tables.iter().flat_map(|t| t.iter().map(ToString::to_string)).collect();
    let about = "from bytes of pixels to numbers, by channel".to_string();
    Some(Static { name: "PIXELS".into(), about, kind: "i8", data })
}

/// The files of these modules of kernels and of what they use.
fn kernels(modules: impl Iterator<Item = &'static str>, sources: &'static [File]) -> Vec<&'static File> {
    let mut wanted: BTreeSet<&str> = modules.collect();
    // Every file comes after those that it uses.
    for f in sources.iter().rev() {
        if wanted.contains(f.name) {
            wanted.extend(f.uses);
        }
    }
    sources.iter().filter(|f| wanted.contains(f.name)).collect()
}
