//! The steps of an int8 network: a constant for every layer, and the list of calls.
//!
//! Emitted code goes through that list in a loop. A call then takes a few bytes of flash, every kernel
//! exists once whatever the layers are, and what the code takes can be predicted ([`crate::cost`]).

use super::names::Statics;
use super::steps::{callee, Callee};
use super::text::{plain, Text};
use super::weights::Static;
use super::writer::{defect, input_fields, window_fields, Checked, Writer};
use crate::diag::Diagnostic;
use crate::graph::Fact;
use crate::lower::ir::{Kernel, Step};
use crate::lower::{InPlace, Plan};
use crate::quant::{Dense, Quantised, QuantisedOp, QuantisedStep, Table};
use hytc_kernels::int8::requantise::Rescale;
use std::collections::BTreeSet;
use std::ops::Range;

/// The constants and calls of all steps under construction.
pub(super) struct Body<'a> {
    network: &'a Quantised,
    w: Writer<'a>,
    taken: Statics,
    statics: Vec<Static>,
    calls: Calls,
    errors: Vec<Diagnostic>,
}

/// What a module of steps is made of.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// The constants of layers.
    pub(super) layers: Text,
    /// The elements of the list.
    pub(super) list: Text,
    /// The step of the schedule that each call is of.
    pub(super) numbers: Vec<usize>,
    /// The kernels called.
    pub(super) callees: BTreeSet<Callee>,
}

/// The parts of the arena that a call gets: the input, the output, and a second input or scratch;
/// empty ones where there is none.
#[derive(Debug, Clone, Default)]
struct Parts {
    x: Range<usize>,
    y: Range<usize>,
    z: Range<usize>,
}

type Fields = Vec<(&'static str, String)>;

/// A literal as the value of a field.
fn nested(kind: &str, fields: &[(&str, String)]) -> String {
    let lines: String = fields.iter().map(|(field, value)| format!("        {field}: {value},\n")).collect();
    format!("{kind} {{\n{lines}    }}")
}

impl<'a> Body<'a> {
    /// Generates the calls.
    pub(super) fn new(network: &'a Quantised, plan: &'a Plan) -> Self {
        let lowered = network.lowered();
        let mut body = Body {
            network,
            w: Writer::new(lowered, plan),
            taken: Statics::reserving(&super::steps::NAMES),
            statics: Vec::new(),
            calls: Calls::default(),
            errors: Vec::new(),
        };
        for (i, (step, quantised)) in lowered.steps().iter().zip(network.steps()).enumerate() {
            if let Err(what) = body.step(i, step, quantised) {
                body.errors.push(defect(step, what));
            }
        }
        body
    }

    /// The calls, and the constants they read.
    pub(super) fn finish(self) -> Result<(Calls, Vec<Static>), Vec<Diagnostic>> {
        match self.errors.is_empty() {
            true => Ok((self.calls, self.statics)),
            false => Err(self.errors),
        }
    }

    /// A new array of a step; gives the argument that names it.
    fn constant<T: std::fmt::Display>(
        &mut self,
        step: &Step,
        what: &str,
        order: &str,
        kind: &'static str,
        data: impl Iterator<Item = T>,
    ) -> String {
        let full = format!("{}.{what}", step.name);
        let name = self.taken.name(&full);
        let about = format!("{full} {order}").trim_end().to_string();
        let argument = format!("&weights::{name}");
        self.statics.push(Static { name, about, kind, data: data.map(|x| x.to_string()).collect() });
        argument
    }

    fn table(&mut self, step: &Step, what: &str, table: &Table) -> String {
        self.constant(step, what, "", "i8", table.iter())
    }

    fn rescale(r: Rescale) -> String {
        nested("Rescale", &[("multiplier", r.multiplier.to_string()), ("shift", r.shift.to_string())])
    }

    /// Weights in an order, and the literal of the channels.
    fn dense(
        &mut self,
        step: &Step,
        d: &Dense,
        zero: i32,
        order: &str,
        index: impl Iterator<Item = usize>,
    ) -> (String, String) {
        let get = |i: usize| d.weight.get(i).copied().unwrap_or(0);
        let weights = self.constant(step, "weight", order, "i8", index.map(get));
        let wide = d.rescale.iter().any(|r| r.shift < 33);
        let less = if wide { 0 } else { 33 };
        let bias = self.constant(step, "bias", "", "i32", d.bias.iter());
        let multipliers = d.rescale.iter().map(|r| r.multiplier);
        let multiplier = self.constant(step, "multiplier", "", "i32", multipliers);
        let shift = self.constant(step, "shift", "", "u8", d.rescale.iter().map(|r| r.shift - less));
        let (zero, wide) = (zero.to_string(), wide.to_string());
        let fields =
            [("bias", bias), ("multiplier", multiplier), ("shift", shift), ("zero", zero), ("wide", wide)];
        let channels = nested("Channels", &fields);
        (weights, channels)
    }

    /// Adds a call with constants of its own.
    fn call(&mut self, step: &Step, name: &'static str, parts: Parts, fields: Fields) -> Checked<()> {
        let callee = callee(name).ok_or("there is no such kernel")?;
        let constructor = callee.constructor().ok_or("its kernel has no constants")?;
        let layer = self.taken.name(&step.name);
        self.calls.layers.line("");
        self.calls.layers.line(format!("static {layer}: {} = {} {{", callee.kind, constructor));
        for (field, value) in fields {
            self.calls.layers.line(format!("    {field}: {value},"));
        }
        self.calls.layers.line("};");
        self.add(callee, parts, &format!("&{layer}"))
    }

    /// Adds a call; the argument is its constants.
    fn add(&mut self, callee: Callee, parts: Parts, argument: &str) -> Checked<()> {
        let Parts { x, y, z } = &parts;
        let meet = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
        if meet(x, y) || meet(x, z) || meet(y, z) {
            return Err("its tensors overlap in memory");
        }
        let part = |r: &Range<usize>| match r.is_empty() {
            true => "[0, 0]".to_string(),
            false => format!("[{}, {}]", r.start, r.len()),
        };
        let [x, y, z] = [x, y, z].map(part);
        self.calls
            .list
            .line(format!("    Step::new({x}, {y}, {z}, Kernel::{}({argument})),", callee.variant));
        self.calls.callees.insert(callee);
        Ok(())
    }

    fn step(&mut self, index: usize, step: &Step, q: &QuantisedStep) -> Checked<()> {
        let lowered = self.network.lowered();
        let x = step.inputs.first().map(|&t| lowered.fact(t)).ok_or("it has no input")?;
        let y = lowered.fact(step.output);
        let act = step.act.map_or(String::new(), |a| format!(", {}", a.name()));
        let name = plain(&step.name);
        self.calls.list.line(format!("    // {name}: {}, {x} -> {y}{act}", step.kernel.name(x)));
        let in_place = self.w.plan.steps.get(index).ok_or("it has no plan")?.in_place;
        if in_place == InPlace::Alias {
            self.calls.list.line("    // (the same numbers in the same place)");
        } else {
            self.kernel(index, step, q, in_place)?;
        }
        if let (Some(table), false) = (&q.table, matches!(step.kernel, Kernel::Activation(_))) {
            let table = self.table(step, "table", table);
            let parts = Parts { y: self.w.range(step.output)?, ..Parts::default() };
            self.add(callee("map").ok_or("there is no such kernel")?, parts, &table)?;
        }
        self.calls.numbers.resize(self.calls.list.0.matches("Step::new").count(), index);
        Ok(())
    }

    fn kernel(&mut self, index: usize, step: &Step, q: &QuantisedStep, in_place: InPlace) -> Checked<()> {
        let lowered = self.network.lowered();
        let facts = lowered.input_facts(step);
        let x = facts.first().copied().ok_or("it has no input")?;
        let y = lowered.fact(step.output);
        let scales: Vec<_> = step.inputs.iter().map(|&t| self.network.scale(t)).collect();
        let zero_of = |i: usize| scales.get(i).map_or(0, |s| s.zero);
        let (zero_x, zero) = (zero_of(0).to_string(), q.before.zero);
        let inputs = step.inputs.iter().map(|&t| self.w.range(t)).collect::<Checked<Vec<_>>>()?;
        let scratch = self.w.plan.scratch(index).map(|b| b.range());
        let parts = self.parts(step, in_place, &inputs)?;
        // With scratch as the third part.
        let with_scratch = || match (&parts.z, &scratch) {
            (z, Some(scratch)) if z.is_empty() => Ok(Parts { z: scratch.clone(), ..parts.clone() }),
            _ => Err("it has no scratch"),
        };
        let [c, m] = [x.channels().to_string(), y.channels().to_string()];
        let out_width = || match y {
            Fact::Map { w, .. } => Ok(("out_width", w.to_string())),
            _ => Err("its output is no map"),
        };
        match (&q.op, step.kernel) {
            (QuantisedOp::Dense(d), Kernel::Affine) => {
                let (weight, channels) = self.dense(step, d, zero, "", 0..d.weight.len());
                self.call(step, "affine", parts, vec![("weight", weight), ("channels", channels)])
            }
            (QuantisedOp::Dense(d), kernel)
                if kernel.is_pointwise() || matches!(kernel, Kernel::Linear { .. }) =>
            {
                let (weight, channels) = self.dense(step, d, zero, "", 0..d.weight.len());
                let fields = vec![("weight", weight), ("channels", channels), ("inputs", c), ("outputs", m)];
                self.call(step, "linear", parts, fields)
            }
            (QuantisedOp::Dense(d), kernel @ Kernel::Conv { window, groups, .. }) => {
                let plain_depthwise = kernel.is_plain_depthwise(x, y);
                let (area, depth) = (window.kernel * window.kernel, x.channels() / groups.max(1));
                let outputs = y.channels();
                // Slots are `[out][depth][k][k]`, kernels read `[k][k][out]` and `[out][k][k][depth]`.
                let order: Box<dyn Iterator<Item = usize>> = if plain_depthwise {
                    Box::new((0..area).flat_map(move |tap| (0..outputs).map(move |o| o * area + tap)))
                } else {
                    Box::new((0..outputs * area * depth).map(move |i| {
                        let (i, input) = (i / depth.max(1), i % depth.max(1));
                        let (o, tap) = (i / area.max(1), i % area.max(1));
                        (o * depth + input) * area + tap
                    }))
                };
                let about = if plain_depthwise { "[k][k][out]" } else { "[out][k][k][in]" };
                let (weight, factors) = self.dense(step, d, zero, about, order);
                let mut fields = vec![("weight", weight), ("factors", factors)];
                fields.extend(input_fields(x));
                fields.push(out_width()?);
                if !plain_depthwise {
                    fields.push(("out_channels", m));
                }
                fields.extend(window_fields(&window));
                if !plain_depthwise {
                    fields.push(("groups", groups.to_string()));
                }
                fields.push(("zero", zero_x));
                match (plain_depthwise, in_place) {
                    (true, InPlace::No) => self.call(step, "depthwise", parts, fields),
                    (true, _) => self.call(step, "depthwise", with_scratch()?, fields),
                    (false, _) => self.call(step, "conv", with_scratch()?, fields),
                }
            }
            (QuantisedOp::LayerNorm { weight, bias, eps, fraction, shift }, _) => {
                let weight = self.constant(step, "weight", "", "i32", weight.iter());
                let bias = self.constant(step, "bias", "", "i32", bias.iter());
                let fields = vec![
                    ("weight", weight),
                    ("bias", bias),
                    ("eps", eps.to_string()),
                    ("fraction", fraction.to_string()),
                    ("shift", shift.to_string()),
                    ("zero", zero.to_string()),
                ];
                self.call(step, "layer_norm", parts, fields)
            }
            (QuantisedOp::Attention { score, drop, value }, Kernel::AttentionCore { heads, head_dim }) => {
                let Fact::Tokens { tokens, .. } = x else { return Err("its input is no tokens") };
                let fields = vec![
                    ("tokens", tokens.to_string()),
                    ("heads", heads.to_string()),
                    ("head_dim", head_dim.to_string()),
                    ("zero_x", zero_x),
                    ("score", Self::rescale(*score)),
                    ("drop", drop.to_string()),
                    ("value", Self::rescale(*value)),
                    ("zero", zero.to_string()),
                ];
                self.call(step, "attention", with_scratch()?, fields)
            }
            (QuantisedOp::Softmax { rescale, drop }, _) => {
                let (rescale, drop) = (Self::rescale(*rescale), drop.to_string());
                self.call(step, "softmax", parts, vec![("n", c), ("rescale", rescale), ("drop", drop)])
            }
            (QuantisedOp::Pool, Kernel::MaxPool(window) | Kernel::AvgPool(window)) => {
                let mut fields = input_fields(x);
                fields.push(out_width()?);
                fields.extend(window_fields(&window));
                fields.push(("zero", zero_x));
                self.call(step, step.kernel.name(x), parts, fields)
            }
            (QuantisedOp::GlobalAvgPool(rescale), _) => {
                let rescale = Self::rescale(*rescale);
                let fields = vec![("zero_x", zero_x), ("rescale", rescale), ("zero", zero.to_string())];
                self.call(step, "global_avg_pool", parts, fields)
            }
            (QuantisedOp::Add { a, b, shift }, _) => {
                let offset = (1i64 << (shift - 1))
                    - i64::from(*a) * i64::from(zero_of(0))
                    - i64::from(*b) * i64::from(zero_of(1));
                // The kernel's first tensor is the one it overwrites.
                let (a, b) = if in_place == InPlace::Over(1) { (b, a) } else { (a, b) };
                let split = |v: i64| format!("[{}, {}]", v >> 15, v & 0x7fff);
                let fields = vec![
                    ("a", split(i64::from(*a))),
                    ("b", split(i64::from(*b))),
                    ("offset", split(offset)),
                    ("shift", (shift - 15).to_string()),
                    ("zero", zero.to_string()),
                ];
                self.call(step, "add", parts, fields)
            }
            (QuantisedOp::Mul(rescale), _) => {
                let (a, b) = if in_place == InPlace::Over(1) { (1, 0) } else { (0, 1) };
                let fields = vec![
                    ("zero_a", zero_of(a).to_string()),
                    ("zero_b", zero_of(b).to_string()),
                    ("rescale", Self::rescale(*rescale)),
                    ("zero", zero.to_string()),
                ];
                self.call(step, "mul", parts, fields)
            }
            (QuantisedOp::MatMul(rescale), _) => {
                let Fact::Tokens { tokens, .. } = x else { return Err("its input is no tokens") };
                let fields = vec![
                    ("rows", tokens.to_string()),
                    ("inner", c),
                    ("columns", m),
                    ("zero_a", zero_x),
                    ("zero_b", zero_of(1).to_string()),
                    ("rescale", Self::rescale(*rescale)),
                    ("zero", zero.to_string()),
                ];
                self.call(step, "matmul", parts, fields)
            }
            (QuantisedOp::Concat(tables), _) => {
                let mut offset = 0;
                for (i, ((fact, range), table)) in facts.iter().zip(inputs).zip(tables).enumerate() {
                    let n = fact.channels();
                    let table = match table {
                        Some(table) => {
                            format!("Some({})", self.table(step, &format!("table_{}", i + 1), table))
                        }
                        None => "None".into(),
                    };
                    let mut fields: Fields = [("n", n), ("total", y.channels()), ("offset", offset)]
                        .map(|(field, v)| (field, v.to_string()))
                        .into();
                    fields.push(("table", table));
                    let parts = Parts { x: range, y: self.w.range(step.output)?, ..Parts::default() };
                    self.call(step, "concat", parts, fields)?;
                    offset += n;
                }
                Ok(())
            }
            (_, Kernel::Activation(_)) => {
                let table = q.table.as_ref().ok_or("it has no table")?;
                let table = self.table(step, "table", table);
                self.add(callee("map").ok_or("there is no such kernel")?, parts, &table)
            }
            (_, Kernel::Transpose) => {
                let Fact::Tokens { tokens, dim, .. } = x else { return Err("its input is no tokens") };
                let fields = vec![("rows", tokens.to_string()), ("columns", dim.to_string())];
                self.call(step, "transpose", parts, fields)
            }
            (_, Kernel::Unfold { patch }) => {
                let Fact::Map { h, w, c } = x else { return Err("its input is no map") };
                self.patches(step, "unfold", parts, [h, w, c, patch], zero_x)
            }
            (_, Kernel::Fold) => {
                let Fact::Tokens { from: Some(p), dim, .. } = x else {
                    return Err("its input is not the patches of a map");
                };
                self.patches(step, "fold", parts, [p.h, p.w, dim, p.patch], zero_x)
            }
            _ => Err("its integers are those of another kernel"),
        }
    }

    /// The parts of a step with one or two inputs. In place the first is empty; a second input that
    /// is the first again is empty too.
    fn parts(&self, step: &Step, in_place: InPlace, inputs: &[Range<usize>]) -> Checked<Parts> {
        let y = self.w.range(step.output)?;
        let input = |port: usize| inputs.get(port).cloned().unwrap_or_default();
        let (x, z) = match in_place {
            InPlace::Over(0) => (0..0, input(1)),
            InPlace::Over(_) => (0..0, input(0)),
            _ if input(0) == input(1) => (input(0), 0..0),
            _ => (input(0), input(1)),
        };
        Ok(Parts { x, y, z })
    }

    fn patches(
        &mut self,
        step: &Step,
        function: &'static str,
        parts: Parts,
        [h, w, c, patch]: [usize; 4],
        zero: String,
    ) -> Checked<()> {
        let fields = [("height", h), ("width", w), ("channels", c), ("patch", patch)];
        let mut fields = fields.map(|(name, v)| (name, v.to_string())).to_vec();
        fields.push(("zero", zero));
        self.call(step, function, parts, fields)
    }
}
