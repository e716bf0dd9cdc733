//! The body of `run`: one kernel call for each step.

use super::text::{float, plain, Text};
use crate::codes;
use crate::diag::Diagnostic;
use crate::graph::{Act, Fact, Window};
use crate::lower::ir::{Kernel, Step, TensorId};
use crate::lower::{Bound, InPlace, Plan};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What the calls need around them.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Items to import, by module of kernels.
    pub(super) imports: BTreeMap<&'static str, BTreeSet<&'static str>>,
    /// How many regions of the arena are borrowed at once: any of 1, 2, 3.
    pub(super) regions: BTreeSet<usize>,
}

/// The statements of all steps.
pub(super) struct Body<'a> {
    bound: &'a Bound,
    plan: &'a Plan,
    /// Names of the statics, by slot.
    statics: &'a [String],
    text: Text,
    needs: Needs,
    errors: Vec<Diagnostic>,
}

/// What is wrong with a step. All of these are defects that a user can only report.
type Checked<T> = Result<T, &'static str>;

fn defect(step: &Step, what: &str) -> Diagnostic {
    let message = format!("`{}` cannot be emitted as Rust: {what}", step.name);
    Diagnostic::error(codes::EMIT_RUST, step.span, message)
        .help("this is a defect of hytc; please report it with the spec")
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
    pub(super) fn new(bound: &'a Bound, plan: &'a Plan, statics: &'a [String]) -> Self {
        let mut body =
            Body { bound, plan, statics, text: Text::default(), needs: Needs::default(), errors: Vec::new() };
        for (i, step) in bound.lowered.steps().iter().enumerate() {
            if let Err(what) = body.step(i, step) {
                body.errors.push(defect(step, what));
            }
        }
        body
    }

    /// The statements, each with a line feed.
    pub(super) fn finish(self) -> Result<(String, Needs), Vec<Diagnostic>> {
        if self.errors.is_empty() {
            Ok((self.text.0, self.needs))
        } else {
            Err(self.errors)
        }
    }

    fn import(&mut self, module: &'static str, item: &'static str) {
        self.needs.imports.entry(module).or_default().insert(item);
    }

    /// The elements of a tensor in the arena.
    fn range(&self, tensor: TensorId) -> Checked<Range<usize>> {
        let start = self.plan.element_offset(tensor);
        let start = start.ok_or("a tensor has no place in memory")?;
        Ok(start..start + self.bound.lowered.fact(tensor).elements())
    }

    /// Borrows regions under their names. Regions that are the same are borrowed once; gives the
    /// names to use.
    fn borrow(&mut self, wanted: &[(&str, Range<usize>)]) -> Checked<Vec<String>> {
        let mut distinct: Vec<(&str, Range<usize>)> = Vec::new();
        let mut names = Vec::new();
        for (name, range) in wanted {
            match distinct.iter().find(|(_, r)| r == range) {
                Some((same, _)) => names.push(same.to_string()),
                None => {
                    distinct.push((name, range.clone()));
                    names.push(name.to_string());
                }
            }
        }
        distinct.sort_by_key(|(_, r)| r.start);
        if distinct.windows(2).any(|w| matches!(w, [(_, a), (_, b)] if a.end > b.start)) {
            return Err("its tensors overlap in memory");
        }
        let bound: Vec<&str> = distinct.iter().map(|(name, _)| *name).collect();
        let places: Vec<String> =
            distinct.iter().flat_map(|(_, r)| [r.start.to_string(), r.len().to_string()]).collect();
        let (helper, pattern) = match bound.as_slice() {
            [one] => ("one", one.to_string()),
            [_, _] => ("two", format!("({})", bound.join(", "))),
            [_, _, _] => ("three", format!("({})", bound.join(", "))),
            _ => return Err("it takes too many tensors at once"),
        };
        self.needs.regions.insert(bound.len());
        self.text.line(format!("    let {pattern} = {helper}::<{}>(a);", places.join(", ")));
        Ok(names)
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
        let memory = self.plan.steps.get(index).ok_or("it has no plan")?;
        let (in_place, scratch) = (memory.in_place, self.plan.scratch(index).map(|b| b.range()));
        let act = step.act.map_or(String::new(), |a| format!(", {}", a.name()));
        let name = plain(&step.name);
        if index > 0 {
            self.text.line("");
        }
        self.text.line(format!("    // {name}: {}, {x} -> {y}{act}", step.kernel.name(x)));
        if in_place == InPlace::Alias {
            self.text.line("    // (the same numbers in the same place)");
            return self.activate(step);
        }
        let xr = step.inputs.iter().map(|&t| self.range(t)).collect::<Checked<Vec<_>>>()?;
        let yr = self.range(step.output)?;
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
            let names = body.borrow(&wanted)?;
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
                self.import("activation", with);
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
                    self.import(module, module);
                    self.import(module, kind);
                    self.text.literal("shape", kind, &fields);
                    let args = [arg("x"), slot0, slot1, arg("y"), arg("&shape"), arg(with)];
                    self.text.call(module, &args);
                }
            }
            Kernel::Linear { .. } => {
                unary(self)?;
                self.import("activation", with);
                self.linear(slot0, slot1, x, y, with);
            }
            Kernel::Affine => {
                unary(self)?;
                self.import("activation", with);
                if over.is_some() {
                    self.import("affine", "affine_in_place");
                    self.text.call("affine_in_place", &[arg("x"), slot0, slot1, arg(with)]);
                } else {
                    self.import("affine", "affine");
                    self.text.call("affine", &[arg("x"), slot0, slot1, arg("y"), arg(with)]);
                }
            }
            Kernel::LayerNorm { eps } => {
                applied = false;
                unary(self)?;
                if over.is_some() {
                    self.import("layer_norm", "layer_norm_in_place");
                    self.text.call("layer_norm_in_place", &[arg("x"), slot0, slot1, float(eps)]);
                } else {
                    self.import("layer_norm", "layer_norm");
                    self.text.call("layer_norm", &[arg("x"), slot0, slot1, arg("y"), float(eps)]);
                }
            }
            Kernel::AttentionCore { heads, head_dim } => {
                applied = false;
                let Fact::Tokens { tokens, .. } = x else {
                    return Err("its input is no tokens");
                };
                let scratch = scratch.ok_or("it has no scratch")?;
                let scores = scratch.start / 4..scratch.start / 4 + tokens;
                self.borrow(&[("x", first), ("scores", scores), ("y", yr.clone())])?;
                let scale = (1.0 / (head_dim.max(1) as f64).sqrt()) as f32;
                let fields = [
                    ("tokens", tokens.to_string()),
                    ("heads", heads.to_string()),
                    ("head_dim", head_dim.to_string()),
                    ("scale", float(scale)),
                ];
                self.import("attention", "attention");
                self.import("attention", "Attention");
                self.text.literal("shape", "Attention", &fields);
                self.text.call("attention", &[arg("x"), arg("scores"), arg("y"), arg("&shape")]);
            }
            Kernel::Activation(a) => {
                applied = false;
                unary(self)?;
                self.import("activation", a.name());
                if over.is_some() {
                    self.import("activation", "map_in_place");
                    self.text.call("map_in_place", &[arg("x"), arg(a.name())]);
                } else {
                    self.import("activation", "map");
                    self.text.call("map", &[arg("x"), arg("y"), arg(a.name())]);
                }
            }
            Kernel::Softmax => {
                applied = false;
                unary(self)?;
                let n = x.channels().to_string();
                if over.is_some() {
                    self.import("softmax", "softmax_in_place");
                    self.text.call("softmax_in_place", &[arg("x"), n]);
                } else {
                    self.import("softmax", "softmax");
                    self.text.call("softmax", &[arg("x"), arg("y"), n]);
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
                self.import("pool", function);
                self.import("pool", "Pool");
                self.text.literal("shape", "Pool", &fields);
                self.text.call(function, &[arg("x"), arg("y"), arg("&shape")]);
            }
            Kernel::GlobalAvgPool => {
                applied = false;
                unary(self)?;
                self.import("pool", "global_avg_pool");
                self.text.call("global_avg_pool", &[arg("x"), arg("y")]);
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
                self.import("activation", with);
                if let Some(port) = over {
                    let other = if port == 0 { second } else { first };
                    self.borrow(&[("y", yr.clone()), ("x", other)])?;
                    self.import("elementwise", changing);
                    self.text.call(changing, &[arg("y"), arg("x"), arg(with)]);
                } else {
                    let wanted = [("x0", first), ("x1", second), ("y", yr.clone())];
                    let names = self.borrow(&wanted)?;
                    self.import("elementwise", function);
                    let inputs = names.into_iter().take(2);
                    let args: Vec<String> = inputs.chain([arg("y"), arg(with)]).collect();
                    self.text.call(function, &args);
                }
            }
            Kernel::Concat => {
                applied = false;
                self.import("shape", "concat");
                let mut offset = 0;
                for (fact, range) in facts.iter().zip(xr) {
                    self.borrow(&[("x", range), ("y", yr.clone())])?;
                    let n = fact.channels();
                    let [n_text, total, at] = [n, y.channels(), offset].map(|v| v.to_string());
                    self.text.call("concat", &[arg("x"), arg("y"), n_text, total, at]);
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
                let names = self.borrow(&wanted)?;
                self.import("activation", with);
                self.import("matmul", "matmul");
                let sides = format!("[{tokens}, {dim}, {}]", y.channels());
                let inputs = names.into_iter().take(2);
                let args: Vec<String> = inputs.chain([arg("y"), sides, arg(with)]).collect();
                self.text.call("matmul", &args);
            }
            Kernel::Transpose => {
                applied = false;
                let Fact::Tokens { tokens, dim, .. } = x else {
                    return Err("its input is no tokens");
                };
                unary(self)?;
                self.import("matmul", "transpose");
                self.text.call("transpose", &[arg("x"), arg("y"), tokens.to_string(), dim.to_string()]);
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
                self.import("shape", "copy");
                self.text.call("copy", &[arg("x"), arg("y")]);
            }
        }
        if applied && act.is_some() {
            return Ok(());
        }
        self.activate(step)
    }

    /// A dense layer on the rows of `x`.
    fn linear(&mut self, weight: String, bias: String, x: Fact, y: Fact, act: &str) {
        self.import("linear", "linear");
        let arg = |s: &str| s.to_string();
        let sides = [x.channels().to_string(), y.channels().to_string()];
        let [inputs, outputs] = sides;
        self.text.call("linear", &[arg("x"), weight, bias, arg("y"), inputs, outputs, arg(act)]);
    }

    fn patches(&mut self, function: &'static str, [h, w, c, patch]: [usize; 4]) {
        let fields = [("height", h), ("width", w), ("channels", c), ("patch", patch)];
        self.import("patches", function);
        self.import("patches", "Patches");
        self.text.literal("shape", "Patches", &fields.map(|(name, v)| (name, v.to_string())));
        self.text.call(function, &["x".into(), "y".into(), "&shape".into()]);
    }

    /// The step's activation as a pass over its output.
    fn activate(&mut self, step: &Step) -> Checked<()> {
        let Some(act) = step.act else { return Ok(()) };
        let range = self.range(step.output)?;
        self.borrow(&[("y", range)])?;
        self.import("activation", act.name());
        self.import("activation", "map_in_place");
        self.text.call("map_in_place", &["y".into(), act.name().into()]);
        Ok(())
    }
}

fn input_fields(x: Fact) -> Vec<(&'static str, String)> {
    let (h, w) = match x {
        Fact::Map { h, w, .. } => (h, w),
        other => (1, other.rows()),
    };
    let fields = [("height", h), ("width", w), ("channels", x.channels())];
    fields.map(|(name, v)| (name, v.to_string())).into()
}

fn window_fields(w: &Window) -> Vec<(&'static str, String)> {
    let fields = [
        ("kernel", w.kernel),
        ("stride", w.stride),
        ("dilation", w.dilation),
        ("top", w.padding.top),
        ("left", w.padding.left),
    ];
    fields.map(|(name, v)| (name, v.to_string())).into()
}
