//! The module `steps` of emitted int8 code: the list of calls and what goes through it.

use super::int8::Calls;
use super::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// Names that constants of layers must not have.
pub(super) const NAMES: [&str; 4] = ["STEPS", "NUMBERS", "PIXELS", "ARENA_LEN"];

/// A kernel as emitted code calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Callee {
    /// Its module, one of [`hytc_kernels::sources::INT8`].
    pub(super) module: &'static str,
    /// The function.
    pub(super) name: &'static str,
    /// Its variant in the enum of kernels.
    pub(super) variant: &'static str,
    /// The type of its constants.
    pub(super) kind: &'static str,
    /// Whether it takes a third part of the arena: a second input, or scratch.
    third: bool,
}

/// All kernels, sorted by function.
#[rustfmt::skip]
const CALLEES: [Callee; 18] = [
    of("elementwise", "add", "Add", "Add", true),
    of("affine", "affine", "Affine", "Affine<'static>", false),
    of("attention", "attention", "Attention", "Attention", true),
    of("pool", "avg_pool", "AvgPool", "Pool", false),
    of("shape", "concat", "Concat", "Concat<'static>", false),
    of("conv", "conv", "Conv", "Conv<'static>", true),
    of("depthwise", "depthwise", "Depthwise", "Depthwise<'static>", true),
    of("patches", "fold", "Fold", "Patches", false),
    of("pool", "global_avg_pool", "GlobalAvgPool", "Mean", false),
    of("layer_norm", "layer_norm", "LayerNorm", "LayerNorm<'static>", false),
    of("linear", "linear", "Linear", "Linear<'static>", false),
    of("shape", "map", "Map", "[i8; 256]", false),
    of("matmul", "matmul", "MatMul", "MatMul", true),
    of("pool", "max_pool", "MaxPool", "Pool", false),
    of("elementwise", "mul", "Mul", "Mul", true),
    of("softmax", "softmax", "Softmax", "Softmax", false),
    of("matmul", "transpose", "Transpose", "Transpose", false),
    of("patches", "unfold", "Unfold", "Patches", false),
];

const fn of(
    module: &'static str,
    name: &'static str,
    variant: &'static str,
    kind: &'static str,
    third: bool,
) -> Callee {
    Callee { module, name, variant, kind, third }
}

impl Callee {
    /// The type of its constants without lifetimes; `None` where it is no kernel's own.
    pub(super) fn constructor(&self) -> Option<&'static str> {
        self.kind.split('<').next().filter(|k| !k.starts_with('['))
    }
}

/// The kernel of this name.
pub(super) fn callee(name: &str) -> Option<Callee> {
    CALLEES.iter().find(|c| c.name == name).copied()
}

/// The text of the module. The arena has `arena_bytes`; with `trace` there is a `run_traced`, for a
/// schedule of so many steps.
pub(super) fn module(calls: &Calls, arena_bytes: usize, trace: Option<usize>) -> String {
    let mut t = Text::default();
    for (module, items) in imports(calls) {
        t.import(&format!("super::kernels::{module}"), &sorted(&items));
    }
    let reads = [&calls.layers.0, &calls.list.0].iter().any(|text| text.contains("weights::"));
    t.line(if reads { "use super::{weights, ARENA_LEN};" } else { "use super::ARENA_LEN;" });
    t.line("");
    t.line("/// A kernel, and what it knows of a layer.\nenum Kernel {");
    for c in &calls.callees {
        t.line(format!("    {}(&'static {}),", c.variant, c.kind));
    }
    let at = if arena_bytes <= usize::from(u16::MAX) { "u16" } else { "u32" };
    let third = calls.callees.iter().any(|c| c.third);
    let head = HEAD.replace("{at}", at).replace("{third}", if third { "z" } else { "_" });
    t.line(format!("}}\n{head}"));
    for c in &calls.callees {
        let z = if c.third { ", z" } else { "" };
        t.line(format!("            Kernel::{}(s) => {}(x, y{z}, s),", c.variant, c.name));
    }
    t.0.push_str(&TAIL.replace("{at}", at));
    t.0.push_str(RUN);
    if trace.is_some() {
        t.0.push_str(RUN_TRACED);
    }
    t.line("\n#[rustfmt::skip]");
    t.line(format!("static STEPS: [Step; {}] = [", calls.numbers.len()));
    t.0.push_str(&calls.list.0);
    t.line("];");
    if let Some(steps) = trace {
        t.line("\n/// The step of the schedule that each call is of, and their number.\n#[rustfmt::skip]");
        let numbers: Vec<String> = calls.numbers.iter().map(usize::to_string).collect();
        t.line(format!(
            "static NUMBERS: ([usize; {}], usize) = ([{}], {steps});",
            numbers.len(),
            numbers.join(", ")
        ));
    }
    t.0.push_str(&calls.layers.0);
    t.0
}

/// Items as rustfmt sorts them: functions, then types.
pub(super) fn sorted(items: &BTreeSet<&'static str>) -> Vec<&'static str> {
    let mut items: Vec<&str> = items.iter().copied().collect();
    items.sort_by_key(|i| (i.starts_with(|c: char| c.is_ascii_uppercase()), *i));
    items
}

/// Items to import, by module of kernels.
pub(super) fn imports(calls: &Calls) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut imports: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for c in &calls.callees {
        let items = imports.entry(c.module).or_default();
        items.insert(c.name);
        items.extend(c.constructor());
    }
    for (module, item) in [("channels", "Channels"), ("requantise", "Rescale")] {
        if calls.layers.0.contains(&format!("{item} {{")) {
            imports.entry(module).or_default().insert(item);
        }
    }
    imports
}

const HEAD: &str = r#"
/// Where a part of the arena begins, and its length.
type Part = [{at}; 2];

/// One call of a kernel, with the parts of the arena that it gets: the input (empty: the output is
/// it), the output, and a second input or scratch.
struct Step {
    parts: [Part; 3],
    kernel: Kernel,
}

impl Step {
    /// That the parts do not overlap is checked when this is compiled.
    const fn new(x: [usize; 2], y: [usize; 2], z: [usize; 2], kernel: Kernel) -> Step {
        assert!(apart(x, y) && apart(x, z) && apart(y, z));
        let parts = [part(x), part(y), part(z)];
        Step { parts, kernel }
    }

    #[inline(never)]
    fn run(&self, arena: &mut [i8]) {
        let range = |[at, len]: Part| at as usize..at as usize + len as usize;
        let Ok([x, y, {third}]) = arena.get_disjoint_mut(self.parts.map(range)) else {
            return;
        };
        match self.kernel {"#;

/// What follows the kernels' arms.
const TAIL: &str = r#"        }
    }
}

/// A part in few bytes, if it is in the arena.
const fn part([at, len]: [usize; 2]) -> Part {
    assert!(at + len <= ARENA_LEN && ARENA_LEN <= {at}::MAX as usize);
    [at as {at}, len as {at}]
}

/// Whether two parts share nothing; an empty one shares nothing with any.
const fn apart(a: [usize; 2], b: [usize; 2]) -> bool {
    a[1] == 0 || b[1] == 0 || a[0] + a[1] <= b[0] || b[0] + b[1] <= a[0]
}
"#;

const RUN: &str = r#"
/// Runs all steps.
pub fn run(arena: &mut [i8]) {
    // The optimiser does not see which layers there are: it would unroll the loop, and make copies
    // of kernels for single layers.
    for step in core::hint::black_box(&STEPS[..]) {
        step.run(arena);
    }
}
"#;

const RUN_TRACED: &str = r#"
/// Runs all steps; calls `trace` with the number of each step of the schedule before it.
pub fn run_traced(arena: &mut [i8], mut trace: impl FnMut(usize)) {
    let mut next = 0;
    for (step, number) in core::hint::black_box(&STEPS[..]).iter().zip(NUMBERS.0) {
        while next <= number {
            trace(next);
            next += 1;
        }
        step.run(arena);
    }
    while next <= NUMBERS.1 {
        trace(next);
        next += 1;
    }
}
"#;
