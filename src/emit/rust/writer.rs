//! What the bodies of both precisions are written with: borrows of the arena, imports, fields.

use super::text::Text;
use crate::codes;
use crate::diag::Diagnostic;
use crate::graph::{Fact, Window};
use crate::lower::ir::{Step, TensorId};
use crate::lower::{Lowered, Plan};
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

/// What is wrong with a step. All of these are defects that a user can only report.
pub(super) type Checked<T> = Result<T, &'static str>;

/// A step that cannot be written.
pub(super) fn defect(step: &Step, what: &str) -> Diagnostic {
    let message = format!("`{}` cannot be emitted as Rust: {what}", step.name);
    Diagnostic::error(codes::EMIT_RUST, step.span, message)
        .help("this is a defect of hytc; please report it with the spec")
}

/// The statements of `run` under construction.
pub(super) struct Writer<'a> {
    lowered: &'a Lowered,
    pub(super) plan: &'a Plan,
    pub(super) text: Text,
    pub(super) needs: Needs,
}

impl<'a> Writer<'a> {
    pub(super) fn new(lowered: &'a Lowered, plan: &'a Plan) -> Self {
        Writer { lowered, plan, text: Text::default(), needs: Needs::default() }
    }

    pub(super) fn import(&mut self, module: &'static str, item: &'static str) {
        self.needs.imports.entry(module).or_default().insert(item);
    }

    /// The elements of a tensor in the arena.
    pub(super) fn range(&self, tensor: TensorId) -> Checked<Range<usize>> {
        let start = self.plan.element_offset(tensor);
        let start = start.ok_or("a tensor has no place in memory")?;
        Ok(start..start + self.lowered.fact(tensor).elements())
    }

    /// Borrows regions under their names. Regions that are the same are borrowed once; gives the
    /// names to use.
    pub(super) fn borrow(&mut self, wanted: &[(&str, Range<usize>)]) -> Checked<Vec<String>> {
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
}

/// The fields of a shape that its input gives.
pub(super) fn input_fields(x: Fact) -> Vec<(&'static str, String)> {
    let (h, w) = match x {
        Fact::Map { h, w, .. } => (h, w),
        other => (1, other.rows()),
    };
    let fields = [("height", h), ("width", w), ("channels", x.channels())];
    fields.map(|(name, v)| (name, v.to_string())).into()
}

/// The fields of a shape that its window gives.
pub(super) fn window_fields(w: &Window) -> Vec<(&'static str, String)> {
    let fields = [
        ("kernel", w.kernel),
        ("stride", w.stride),
        ("dilation", w.dilation),
        ("top", w.padding.top),
        ("left", w.padding.left),
    ];
    fields.map(|(name, v)| (name, v.to_string())).into()
}
