//! The body of `run`: one kernel call for each step.

use super::text::{float, plain};
use super::writer::{defect, input_fields, window_fields, Checked, Needs, Writer};
use crate::diag::Diagnostic;
use crate::graph::{Act, Fact};
use crate::lower::ir::{Kernel, Step};
use crate::lower::{Bound, InPlace, Plan};
use std::ops::Range;

/// The statements of all steps.
pub(super) struct Body<'a> {
    bound: &'a Bound,
    /// Names of the statics, by slot.
    statics: &'a [String],
    w: Writer<'a>,
    /// Whether `trace` is called with the number of each step before it.
    traced: bool,
    errors: Vec<Diagnostic>,
}

/// The activations that kernels apply themselves; the others, long in code, get a pass of their own.
fn fused(act: Option<Act>) -> Option<&'static str> {
    match act {
        None => Some("identity"),
        Some(Act::Relu) => Some("relu"),
        Some(Act::Relu6) => Some("relu6"),
        Some(Act::HardSwish) => Some("hard_swish"),
        Some(Act::Silu | Act::Gelu | Act::Sigmoid) => None,
    }
}

impl<'a> Body<'a> {
    /// Generates the statements.
    pub(super) fn new(bound: &'a Bound, plan: &'a Plan, statics: &'a [String], traced: bool) -> Self {
        let w = Writer::new(&bound.lowered, plan);
        let mut body = Body { bound, statics, w, traced, errors: Vec::new() };
        for (i, step) in bound.lowered.steps().iter().enumerate() {
            if let Err(what) = body.step(i, step) {
                body.errors.push(defect(step, what));
            }
        }
        if traced {
            body.w.text.line(format!("    trace({});", bound.lowered.steps().len()));
        }
        body
    }

    /// The statements, each with a line feed.
    pub(super) fn finish(self) -> Result<(String, Needs), Vec<Diagnostic>> {
        if self.errors.is_empty() {
            Ok((self.w.text.0, self.w.needs))
        } else {
            Err(self.errors)
        }
    }

    /// A weight's argument; an empty slice where the step has none.
    fn weight(&self, step: &Step, position: usize) -> String {
        let name = step.slots.get(position).and_then(|id| self.statics.get(id.0));
        name.map_or("&[]".into(), |n| format!("&weights::{n}"))
    }

    fn step(&mut self, index: usize, step: &Step) -> Checked<()> {
        let lowered = &self.bound.lowered;
        let facts = lowered.input_facts(step);
        let x = facts.first().copied().ok_or("it has no input")?;
        let y = lowered.fact(step.output);
        let memory = self.w.plan.steps.get(index).ok_or("it has no plan")?;
        let (in_place, scratch) = (memory.in_place, self.w.plan.scratch(index).map(|b| b.range()));
        let act = step.act.map_or(String::new(), |a| format!(", {}", a.name()));
        let name = plain(&step.name);
        if index > 0 {
            self.w.text.line("");
        }
        self.w.text.line(format!("    // {name}: {}, {x} -> {y}{act}", step.kernel.name(x)));
        if self.traced {
            self.w.text.line(format!("    trace({index});"));
        }
        if in_place == InPlace::Alias {
            self.w.text.line("    // (the same numbers in the same place)");
            return self.activate(step);
        }
        let xr = step.inputs.iter().map(|&t| self.w.range(t)).collect::<Checked<Vec<_>>>()?;
        let yr = self.w.range(step.output)?;
        let first = xr.first().cloned().unwrap_or_default();
        let over = match in_place {
            InPlace::Over(port) => Some(port),
            _ => None,
        };
        let act = fused(step.act);
        // What kernels that can apply an activation get as their last argument.
        let with = act.unwrap_or("identity");
        let unary = |body: &mut Self| {
            let wanted = [("x", first.clone()), ("y", yr.clone())];
            let names = body.w.borrow(&wanted)?;
            if over.is_none() && names.first() == names.get(1) {
                return Err("it would overwrite its input");
            }
            Ok(())
        };
        let arg = |s: &str| s.to_string();
        let (slot0, slot1) = (self.weight(step, 0), self.weight(step, 1));
        let mut applied = true;
        match step.kernel {
            Kernel::Conv { window, groups, .. } => {
                unary(self)?;
                self.w.import("activation", with);
                if step.kernel.is_pointwise() {
                    self.linear(slot0, slot1, x, y, with);
                } else {
                    let Fact::Map { c: out_channels, w: out_width, .. } = y else {
                        return Err("its output is no map");
                    };
                    let depthwise = step.kernel.is_depthwise(x) && out_channels == groups;
                    let (module, kind) =
                        if depthwise { ("depthwise", "Depthwise") } else { ("conv", "Conv") };
                    let mut fields = input_fields(x);
                    fields.push(("out_width", out_width.to_string()));
                    if !depthwise {
                        fields.push(("out_channels", out_channels.to_string()));
                    }
                    fields.extend(window_fields(&window));
                    if !depthwise {
                        fields.push(("groups", groups.to_string()));
                    }
                    self.w.import(module, module);
                    self.w.import(module, kind);
                    self.w.text.literal("shape", kind, &fields);
                    let args = [arg("x"), slot0, slot1, arg("y"), arg("&shape"), arg(with)];
                    self.w.text.call(module, &args);
                }
            }
            Kernel::Linear { .. } => {
                unary(self)?;
                self.w.import("activation", with);
                self.linear(slot0, slot1, x, y, with);
            }
            Kernel::Affine => {
                unary(self)?;
                self.w.import("activation", with);
                if over.is_some() {
                    self.w.import("affine", "affine_in_place");
                    self.w.text.call("affine_in_place", &[arg("x"), slot0, slot1, arg(with)]);
                } else {
                    self.w.import("affine", "affine");
                    self.w.text.call("affine", &[arg("x"), slot0, slot1, arg("y"), arg(with)]);
                }
            }
            Kernel::LayerNorm { eps } => {
                applied = false;
                unary(self)?;
                if over.is_some() {
                    self.w.import("layer_norm", "layer_norm_in_place");
                    self.w.text.call("layer_norm_in_place", &[arg("x"), slot0, slot1, float(eps)]);
                } else {
                    self.w.import("layer_norm", "layer_norm");
                    self.w.text.call("layer_norm", &[arg("x"), slot0, slot1, arg("y"), float(eps)]);
                }
            }
            Kernel::AttentionCore { heads, head_dim } => {
                applied = false;
                let Fact::Tokens { tokens, .. } = x else {
                    return Err("its input is no tokens");
                };
                let scratch = scratch.ok_or("it has no scratch")?;
                let scores = scratch.start / 4..scratch.start / 4 + tokens;
                self.w.borrow(&[("x", first), ("scores", scores), ("y", yr.clone())])?;
                let scale = (1.0 / (head_dim.max(1) as f64).sqrt()) as f32;
                let fields = [
                    ("tokens", tokens.to_string()),
                    ("heads", heads.to_string()),
                    ("head_dim", head_dim.to_string()),
                    ("scale", float(scale)),
                ];
                self.w.import("attention", "attention");
                self.w.import("attention", "Attention");
                self.w.text.literal("shape", "Attention", &fields);
                self.w.text.call("attention", &[arg("x"), arg("scores"), arg("y"), arg("&shape")]);
            }
            Kernel::Activation(a) => {
                applied = false;
                unary(self)?;
                self.w.import("activation", a.name());
                if over.is_some() {
                    self.w.import("activation", "map_in_place");
                    self.w.text.call("map_in_place", &[arg("x"), arg(a.name())]);
                } else {
                    self.w.import("activation", "map");
                    self.w.text.call("map", &[arg("x"), arg("y"), arg(a.name())]);
                }
            }
            Kernel::Softmax => {
                applied = false;
                unary(self)?;
                let n = x.channels().to_string();
                if over.is_some() {
                    self.w.import("softmax", "softmax_in_place");
                    self.w.text.call("softmax_in_place", &[arg("x"), n]);
                } else {
                    self.w.import("softmax", "softmax");
                    self.w.text.call("softmax", &[arg("x"), arg("y"), n]);
                }
            }
            Kernel::MaxPool(window) | Kernel::AvgPool(window) => {
                applied = false;
                unary(self)?;
                let Fact::Map { w: out_width, .. } = y else {
                    return Err("its output is no map");
                };
                let mut fields = input_fields(x);
                fields.push(("out_width", out_width.to_string()));
                fields.extend(window_fields(&window));
                let function = step.kernel.name(x);
                self.w.import("pool", function);
                self.w.import("pool", "Pool");
                self.w.text.literal("shape", "Pool", &fields);
                self.w.text.call(function, &[arg("x"), arg("y"), arg("&shape")]);
            }
            Kernel::GlobalAvgPool => {
                applied = false;
                unary(self)?;
                self.w.import("pool", "global_avg_pool");
                self.w.text.call("global_avg_pool", &[arg("x"), arg("y")]);
            }
            Kernel::Add | Kernel::Mul | Kernel::AddChannels | Kernel::MulChannels => {
                let [first, second] =
                    <[Range<usize>; 2]>::try_from(xr).map_err(|_| "it does not have two inputs")?;
                let (function, changing) = match step.kernel {
                    Kernel::Add => ("add", "add_in_place"),
                    Kernel::Mul => ("mul", "mul_in_place"),
                    Kernel::AddChannels => ("add_channels", "add_channels_in_place"),
                    _ => ("mul_channels", "mul_channels_in_place"),
                };
                self.w.import("activation", with);
                if let Some(port) = over {
                    let other = if port == 0 { second } else { first };
                    self.w.borrow(&[("y", yr.clone()), ("x", other)])?;
                    self.w.import("elementwise", changing);
                    self.w.text.call(changing, &[arg("y"), arg("x"), arg(with)]);
                } else {
                    let wanted = [("x0", first), ("x1", second), ("y", yr.clone())];
                    let names = self.w.borrow(&wanted)?;
                    self.w.import("elementwise", function);
                    let inputs = names.into_iter().take(2);
                    let args: Vec<String> = inputs.chain([arg("y"), arg(with)]).collect();
                    self.w.text.call(function, &args);
                }
            }
            Kernel::Concat => {
                applied = false;
                self.w.import("shape", "concat");
                let mut offset = 0;
                for (fact, range) in facts.iter().zip(xr) {
                    self.w.borrow(&[("x", range), ("y", yr.clone())])?;
                    let n = fact.channels();
                    let [n_text, total, at] = [n, y.channels(), offset].map(|v| v.to_string());
                    self.w.text.call("concat", &[arg("x"), arg("y"), n_text, total, at]);
                    offset += n;
                }
            }
            Kernel::MatMul => {
                let [first, second] =
                    <[Range<usize>; 2]>::try_from(xr).map_err(|_| "it does not have two inputs")?;
                let Fact::Tokens { tokens, dim, .. } = x else {
                    return Err("its input is no tokens");
                };
                let wanted = [("x0", first), ("x1", second), ("y", yr.clone())];
                let names = self.w.borrow(&wanted)?;
                self.w.import("activation", with);
                self.w.import("matmul", "matmul");
                let sides = format!("[{tokens}, {dim}, {}]", y.channels());
                let inputs = names.into_iter().take(2);
                let args: Vec<String> = inputs.chain([arg("y"), sides, arg(with)]).collect();
                self.w.text.call("matmul", &args);
            }
            Kernel::Transpose => {
                applied = false;
                let Fact::Tokens { tokens, dim, .. } = x else {
                    return Err("its input is no tokens");
                };
                unary(self)?;
                self.w.import("matmul", "transpose");
                self.w.text.call("transpose", &[arg("x"), arg("y"), tokens.to_string(), dim.to_string()]);
            }
            Kernel::Unfold { patch } => {
                applied = false;
                let Fact::Map { h, w, c } = x else {
                    return Err("its input is no map");
                };
                unary(self)?;
                self.patches("unfold", [h, w, c, patch]);
            }
            Kernel::Fold => {
                applied = false;
                let Fact::Tokens { from: Some(p), dim, .. } = x else {
                    return Err("its input is not the patches of a map");
                };
                unary(self)?;
                self.patches("fold", [p.h, p.w, dim, p.patch]);
            }
            Kernel::Flatten => {
                applied = false;
                unary(self)?;
                self.w.import("shape", "copy");
                self.w.text.call("copy", &[arg("x"), arg("y")]);
            }
        }
        if applied && act.is_some() {
            return Ok(());
        }
        self.activate(step)
    }

    /// A dense layer on the rows of `x`.
    fn linear(&mut self, weight: String, bias: String, x: Fact, y: Fact, act: &str) {
        self.w.import("linear", "linear");
        let arg = |s: &str| s.to_string();
        let sides = [x.channels().to_string(), y.channels().to_string()];
        let [inputs, outputs] = sides;
        self.w.text.call("linear", &[arg("x"), weight, bias, arg("y"), inputs, outputs, arg(act)]);
    }

    fn patches(&mut self, function: &'static str, [h, w, c, patch]: [usize; 4]) {
        let fields = [("height", h), ("width", w), ("channels", c), ("patch", patch)];
        self.w.import("patches", function);
        self.w.import("patches", "Patches");
        self.w.text.literal("shape", "Patches", &fields.map(|(name, v)| (name, v.to_string())));
        self.w.text.call(function, &["x".into(), "y".into(), "&shape".into()]);
    }

    /// The step's activation as a pass over its output.
    fn activate(&mut self, step: &Step) -> Checked<()> {
        let Some(act) = step.act else { return Ok(()) };
        let range = self.w.range(step.output)?;
        self.w.borrow(&[("y", range)])?;
        self.w.import("activation", act.name());
        self.w.import("activation", "map_in_place");
        self.w.text.call("map_in_place", &["y".into(), act.name().into()]);
        Ok(())
    }
}
