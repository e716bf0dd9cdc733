//! The body of `run` in int8: one kernel call for each step, and the constants it reads.

use super::names::Statics;
use super::text::plain;
use super::weights::Static;
use super::writer::{defect, input_fields, window_fields, Checked, Needs, Writer};
use crate::diag::Diagnostic;
use crate::graph::Fact;
use crate::lower::ir::{Kernel, Step};
use crate::lower::{InPlace, Plan};
use crate::quant::{Dense, Quantised, QuantisedOp, QuantisedStep, Table};
use hytc_kernels::int8::requantise::Rescale;
use std::ops::Range;

/// The statements of all steps, and what they read.
pub(super) struct Body<'a> {
    network: &'a Quantised,
    w: Writer<'a>,
    taken: Statics,
    statics: Vec<Static>,
    errors: Vec<Diagnostic>,
}

/// Statements, what they need around them, constants.
pub(super) type Parts = (String, Needs, Vec<Static>);

fn arg(s: &str) -> String {
    s.to_string()
}

impl<'a> Body<'a> {
    /// Generates the statements; with `trace` a call of `trace(step)` before every step.
    pub(super) fn new(network: &'a Quantised, plan: &'a Plan, trace: bool) -> Self {
        let lowered = network.lowered();
        let w = Writer::new(lowered, plan);
        let mut body =
            Body { network, w, taken: Statics::default(), statics: Vec::new(), errors: Vec::new() };
        for (i, (step, quantised)) in lowered.steps().iter().zip(network.steps()).enumerate() {
            if let Err(what) = body.step(i, step, quantised, trace) {
                body.errors.push(defect(step, what));
            }
        }
        body
    }

    pub(super) fn finish(self) -> Result<Parts, Vec<Diagnostic>> {
        if self.errors.is_empty() {
            Ok((self.w.text.0, self.w.needs, self.statics))
        } else {
            Err(self.errors)
        }
    }

    /// A new static of a step; gives the argument that names it.
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

    fn rescale(&mut self, name: &str, r: Rescale) {
        self.w.import("requantise", "Rescale");
        let fields = [("multiplier", r.multiplier.to_string()), ("shift", r.shift.to_string())];
        self.w.text.literal(name, "Rescale", &fields);
    }

    /// Weights in an order, and the literal `channels`; gives the weights' argument and what to
    /// instantiate the kernel with.
    fn dense(
        &mut self,
        step: &Step,
        d: &Dense,
        zero: i32,
        order: &str,
        index: impl Iterator<Item = usize>,
    ) -> (String, &'static str) {
        let get = |i: usize| d.weight.get(i).copied().unwrap_or(0);
        let weights = self.constant(step, "weight", order, "i8", index.map(get));
        let wide = d.rescale.iter().any(|r| r.shift < 33);
        let less = if wide { 0 } else { 33 };
        let bias = self.constant(step, "bias", "", "i32", d.bias.iter());
        let multipliers = d.rescale.iter().map(|r| r.multiplier);
        let multiplier = self.constant(step, "multiplier", "", "i32", multipliers);
        let shift = self.constant(step, "shift", "", "u8", d.rescale.iter().map(|r| r.shift - less));
        let zero = zero.to_string();
        let fields = [("bias", bias), ("multiplier", multiplier), ("shift", shift), ("zero", zero)];
        self.w.import("channels", "Channels");
        self.w.text.literal("channels", "Channels", &fields);
        (weights, if wide { "true" } else { "false" })
    }

    fn step(&mut self, index: usize, step: &Step, q: &QuantisedStep, trace: bool) -> Checked<()> {
        let lowered = self.network.lowered();
        let x = step.inputs.first().map(|&t| lowered.fact(t)).ok_or("it has no input")?;
        let y = lowered.fact(step.output);
        let act = step.act.map_or(String::new(), |a| format!(", {}", a.name()));
        let name = plain(&step.name);
        if index > 0 {
            self.w.text.line("");
        }
        if trace {
            self.w.text.line(format!("    trace({index});"));
        }
        self.w.text.line(format!("    // {name}: {}, {x} -> {y}{act}", step.kernel.name(x)));
        let in_place = self.w.plan.steps.get(index).ok_or("it has no plan")?.in_place;
        if in_place == InPlace::Alias {
            self.w.text.line("    // (the same numbers in the same place)");
        } else {
            self.call(index, step, q, in_place)?;
        }
        match (&q.table, step.kernel) {
            (None, _) | (_, Kernel::Activation(_)) => Ok(()),
            (Some(table), _) => {
                let table = self.table(step, "table", table);
                let range = self.w.range(step.output)?;
                self.w.borrow(&[("y", range)])?;
                self.w.import("shape", "map_in_place");
                self.w.text.call("map_in_place", &[arg("y"), table]);
                Ok(())
            }
        }
    }

    fn call(&mut self, index: usize, step: &Step, q: &QuantisedStep, in_place: InPlace) -> Checked<()> {
        let lowered = self.network.lowered();
        let facts = lowered.input_facts(step);
        let x = facts.first().copied().ok_or("it has no input")?;
        let y = lowered.fact(step.output);
        let scales: Vec<_> = step.inputs.iter().map(|&t| self.network.scale(t)).collect();
        let zero_of = |i: usize| scales.get(i).map_or(0, |s| s.zero);
        let (zero_x, zero) = (zero_of(0).to_string(), q.before.zero);
        let xr = step.inputs.iter().map(|&t| self.w.range(t)).collect::<Checked<Vec<_>>>()?;
        let yr = self.w.range(step.output)?;
        let first = xr.first().cloned().unwrap_or_default();
        let scratch = self.w.plan.scratch(index).map(|b| b.range());
        let over = match in_place {
            InPlace::Over(port) => Some(port),
            _ => None,
        };
        // Borrows `x` and `y`; in place they are one, under the name of the first.
        let unary = |body: &mut Self| -> Checked<()> {
            let names = body.w.borrow(&[("x", first.clone()), ("y", yr.clone())])?;
            if over.is_none() && names.first() == names.get(1) {
                return Err("it would overwrite its input");
            }
            Ok(())
        };
        let [c, m] = [x.channels().to_string(), y.channels().to_string()];
        let out_width = || match y {
            Fact::Map { w, .. } => Ok(("out_width", w.to_string())),
            _ => Err("its output is no map"),
        };
        match (&q.op, step.kernel) {
            (QuantisedOp::Dense(d), Kernel::Affine) => {
                let (weight, wide) = self.dense(step, d, zero, "", 0..d.weight.len());
                unary(self)?;
                let channels = arg("&channels");
                let (function, args) = match over {
                    Some(_) => ("affine_in_place", vec![arg("x"), weight, channels]),
                    None => ("affine", vec![arg("x"), weight, channels, arg("y")]),
                };
                self.w.import("affine", function);
                self.w.text.call(&format!("{function}::<{wide}>"), &args);
            }
            (QuantisedOp::Dense(d), kernel)
                if kernel.is_pointwise() || matches!(kernel, Kernel::Linear { .. }) =>
            {
                let (weight, wide) = self.dense(step, d, zero, "", 0..d.weight.len());
                unary(self)?;
                self.w.import("linear", "linear");
                let args = [arg("x"), weight, arg("&channels"), arg("y"), c, m];
                self.w.text.call(&format!("linear::<{wide}>"), &args);
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
                let (weight, wide) = self.dense(step, d, zero, about, order);
                let mut fields = input_fields(x);
                fields.push(out_width()?);
                if !plain_depthwise {
                    fields.push(("out_channels", m));
                }
                fields.extend(window_fields(&window));
                if !plain_depthwise {
                    fields.push(("groups", groups.to_string()));
                }
                fields.push(("zero", zero_x));
                let kind = if plain_depthwise { "Depthwise" } else { "Conv" };
                let module = if plain_depthwise { "depthwise" } else { "conv" };
                self.w.import(module, kind);
                self.w.text.literal("shape", kind, &fields);
                let (channels, shape) = (arg("&channels"), arg("&shape"));
                match (plain_depthwise, over) {
                    (true, Some(_)) => {
                        let ring = scratch.ok_or("it has no scratch")?;
                        self.w.borrow(&[("x", first), ("ring", ring)])?;
                        self.w.import(module, "depthwise_in_place");
                        let Fact::Map { h, .. } = y else { return Err("its output is no map") };
                        let args = [arg("x"), weight, channels, arg("ring"), shape, h.to_string()];
                        self.w.text.call(&format!("depthwise_in_place::<{wide}>"), &args);
                    }
                    (true, None) => {
                        unary(self)?;
                        self.w.import(module, "depthwise");
                        let args = [arg("x"), weight, channels, arg("y"), shape];
                        self.w.text.call(&format!("depthwise::<{wide}>"), &args);
                    }
                    (false, _) => {
                        let scratch = scratch.ok_or("it has no scratch")?;
                        self.w.borrow(&[("x", first), ("scratch", scratch), ("y", yr)])?;
                        self.w.import(module, "conv");
                        let args = [arg("x"), weight, channels, arg("y"), shape, arg("scratch")];
                        self.w.text.call(&format!("conv::<{wide}>"), &args);
                    }
                }
            }
            (QuantisedOp::LayerNorm { weight, bias, eps, fraction, rescale, .. }, _) => {
                let weight = self.constant(step, "weight", "", "i16", weight.iter());
                let bias = self.constant(step, "bias", "", "i32", bias.iter());
                self.rescale("rescale", *rescale);
                let fields = [
                    ("eps", eps.to_string()),
                    ("fraction", fraction.to_string()),
                    ("rescale", arg("rescale")),
                    ("zero", zero.to_string()),
                ];
                self.w.import("layer_norm", "LayerNorm");
                self.w.text.literal("shape", "LayerNorm", &fields);
                unary(self)?;
                let (function, args) = match over {
                    Some(_) => ("layer_norm_in_place", vec![arg("x"), weight, bias, arg("&shape")]),
                    None => ("layer_norm", vec![arg("x"), weight, bias, arg("y"), arg("&shape")]),
                };
                self.w.import("layer_norm", function);
                self.w.text.call(function, &args);
            }
            (QuantisedOp::Attention { score, drop, value }, Kernel::AttentionCore { heads, head_dim }) => {
                let Fact::Tokens { tokens, .. } = x else { return Err("its input is no tokens") };
                let scratch = scratch.ok_or("it has no scratch")?;
                self.rescale("score", *score);
                self.rescale("value", *value);
                let fields = [
                    ("tokens", tokens.to_string()),
                    ("heads", heads.to_string()),
                    ("head_dim", head_dim.to_string()),
                    ("zero_x", zero_x),
                    ("score", arg("score")),
                    ("drop", drop.to_string()),
                    ("value", arg("value")),
                    ("zero", zero.to_string()),
                ];
                self.w.import("attention", "attention");
                self.w.import("attention", "Attention");
                self.w.text.literal("shape", "Attention", &fields);
                self.w.borrow(&[("x", first), ("scratch", scratch), ("y", yr)])?;
                self.w.text.call("attention", &[arg("x"), arg("scratch"), arg("y"), arg("&shape")]);
            }
            (QuantisedOp::Softmax(rescale), _) => {
                self.rescale("rescale", *rescale);
                unary(self)?;
                let (function, args) = match over {
                    Some(_) => ("softmax_in_place", vec![arg("x"), c, arg("rescale")]),
                    None => ("softmax", vec![arg("x"), arg("y"), c, arg("rescale")]),
                };
                self.w.import("softmax", function);
                self.w.text.call(function, &args);
            }
            (QuantisedOp::Pool, Kernel::MaxPool(window) | Kernel::AvgPool(window)) => {
                unary(self)?;
                let mut fields = input_fields(x);
                fields.push(out_width()?);
                fields.extend(window_fields(&window));
                fields.push(("zero", zero_x));
                let function = step.kernel.name(x);
                self.w.import("pool", function);
                self.w.import("pool", "Pool");
                self.w.text.literal("shape", "Pool", &fields);
                self.w.text.call(function, &[arg("x"), arg("y"), arg("&shape")]);
            }
            (QuantisedOp::GlobalAvgPool(rescale), _) => {
                self.rescale("rescale", *rescale);
                unary(self)?;
                self.w.import("pool", "global_avg_pool");
                let args = [arg("x"), arg("y"), zero_x, arg("rescale"), zero.to_string()];
                self.w.text.call("global_avg_pool", &args);
            }
            (QuantisedOp::Add { a, b, shift }, kernel) => {
                let offset = (1i64 << (shift - 1))
                    - i64::from(*a) * i64::from(zero_of(0))
                    - i64::from(*b) * i64::from(zero_of(1));
                let fields = [
                    ("a", a.to_string()),
                    ("b", b.to_string()),
                    ("offset", offset.to_string()),
                    ("shift", shift.to_string()),
                    ("zero", zero.to_string()),
                ];
                self.w.import("elementwise", "Add");
                self.w.text.literal("shape", "Add", &fields);
                let names = match kernel {
                    Kernel::AddChannels => ["add_channels", "add_channels_in_place", ""],
                    _ => ["add", "add_in_place", "add_in_place_second"],
                };
                self.binary(names, xr, yr, over)?;
            }
            (QuantisedOp::Mul(rescale), kernel) => {
                self.rescale("rescale", *rescale);
                let fields = [
                    ("zero_a", zero_x),
                    ("zero_b", zero_of(1).to_string()),
                    ("rescale", arg("rescale")),
                    ("zero", zero.to_string()),
                ];
                self.w.import("elementwise", "Mul");
                self.w.text.literal("shape", "Mul", &fields);
                let names = match kernel {
                    Kernel::MulChannels => ["mul_channels", "mul_channels_in_place", ""],
                    _ => ["mul", "mul_in_place", "mul_in_place_second"],
                };
                self.binary(names, xr, yr, over)?;
            }
            (QuantisedOp::MatMul(rescale), _) => {
                let Fact::Tokens { tokens, .. } = x else { return Err("its input is no tokens") };
                self.rescale("rescale", *rescale);
                let fields = [
                    ("rows", tokens.to_string()),
                    ("inner", c),
                    ("columns", m),
                    ("zero_a", zero_x),
                    ("zero_b", zero_of(1).to_string()),
                    ("rescale", arg("rescale")),
                    ("zero", zero.to_string()),
                ];
                self.w.import("matmul", "matmul");
                self.w.import("matmul", "MatMul");
                self.w.text.literal("shape", "MatMul", &fields);
                self.binary(["matmul", "", ""], xr, yr, over)?;
            }
            (QuantisedOp::Concat(tables), _) => {
                let mut offset = 0;
                for (i, ((fact, range), table)) in facts.iter().zip(xr).zip(tables).enumerate() {
                    self.w.borrow(&[("x", range), ("y", yr.clone())])?;
                    let n = fact.channels();
                    let mut args = vec![arg("x"), arg("y")];
                    args.extend([n, y.channels(), offset].map(|v| v.to_string()));
                    let function = if table.is_some() { "concat_map" } else { "concat" };
                    if let Some(table) = table {
                        args.push(self.table(step, &format!("table_{}", i + 1), table));
                    }
                    self.w.import("shape", function);
                    self.w.text.call(function, &args);
                    offset += n;
                }
            }
            (_, Kernel::Activation(_)) => {
                let table = q.table.as_ref().ok_or("it has no table")?;
                let table = self.table(step, "table", table);
                unary(self)?;
                let (function, args) = match over {
                    Some(_) => ("map_in_place", vec![arg("x"), table]),
                    None => ("map", vec![arg("x"), arg("y"), table]),
                };
                self.w.import("shape", function);
                self.w.text.call(function, &args);
            }
            (_, Kernel::Transpose) => {
                let Fact::Tokens { tokens, dim, .. } = x else { return Err("its input is no tokens") };
                unary(self)?;
                self.w.import("matmul", "transpose");
                self.w.text.call("transpose", &[arg("x"), arg("y"), tokens.to_string(), dim.to_string()]);
            }
            (_, Kernel::Unfold { patch }) => {
                let Fact::Map { h, w, c } = x else { return Err("its input is no map") };
                unary(self)?;
                self.patches("unfold", [h, w, c, patch], zero_x);
            }
            (_, Kernel::Fold) => {
                let Fact::Tokens { from: Some(p), dim, .. } = x else {
                    return Err("its input is not the patches of a map");
                };
                unary(self)?;
                self.patches("fold", [p.h, p.w, dim, p.patch], zero_x);
            }
            (_, Kernel::Flatten) => {
                unary(self)?;
                self.w.import("shape", "copy");
                self.w.text.call("copy", &[arg("x"), arg("y")]);
            }
            _ => return Err("its integers are those of another kernel"),
        }
        Ok(())
    }

    /// A call with two inputs: `names` are the kernel, its form over the first, over the second.
    fn binary(
        &mut self,
        names: [&'static str; 3],
        inputs: Vec<Range<usize>>,
        output: Range<usize>,
        over: Option<usize>,
    ) -> Checked<()> {
        let [first, second] =
            <[Range<usize>; 2]>::try_from(inputs).map_err(|_| "it does not have two inputs")?;
        let module = if names[0] == "matmul" { "matmul" } else { "elementwise" };
        let args = match over {
            Some(port) => {
                let other = if port == 0 { second } else { first };
                self.w.borrow(&[("y", output), ("x", other)])?;
                vec![arg("y"), arg("x"), arg("&shape")]
            }
            None => {
                let names = self.w.borrow(&[("x0", first), ("x1", second), ("y", output)])?;
                names.into_iter().take(2).chain([arg("y"), arg("&shape")]).collect()
            }
        };
        let function = match over {
            None => names[0],
            Some(0) => names[1],
            Some(_) => names[2],
        };
        if function.is_empty() {
            return Err("it cannot run in place");
        }
        self.w.import(module, function);
        self.w.text.call(function, &args);
        Ok(())
    }

    fn patches(&mut self, function: &'static str, [h, w, c, patch]: [usize; 4], zero: String) {
        let fields = [("height", h), ("width", w), ("channels", c), ("patch", patch)];
        let mut fields = fields.map(|(name, v)| (name, v.to_string())).to_vec();
        fields.push(("zero", zero));
        self.w.import("patches", function);
        self.w.import("patches", "Patches");
        self.w.text.literal("shape", "Patches", &fields);
        self.w.text.call(function, &[arg("x"), arg("y"), arg("&shape")]);
    }
}
