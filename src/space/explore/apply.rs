//! Operators and blocks applied to what flows.

use super::sets::{merge, set, Abstract, AbstractBlock, Flow, Kind, Part, Shape};
use super::{Context, Deps, Explorer, Frame, Tree, LARGE_VALUE};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::space::operator::Operator;
use crate::space::program::{Call, Callee};
use crate::space::value::Target;
use std::sync::Arc;

impl Explorer<'_> {
    pub(super) fn call(&mut self, call: &Call, frame: &mut Frame, at: &Context, tree: &mut Tree) -> Abstract {
        let target = match call.callee {
            Callee::Operator(o) => Target::Operator(o),
            Callee::Block(i) => Target::Block(i),
            Callee::Slot(slot) => {
                let none = Abstract { kind: Kind::Other, deps: Deps::new() };
                return frame.get(slot).cloned().flatten().unwrap_or(none);
            }
        };
        let args: Vec<(usize, Abstract)> =
            call.args.iter().map(|(i, e)| (*i, self.expr(e, frame, at, tree))).collect();
        let size = args.iter().fold(1usize, |n, (_, v)| n.saturating_add(v.size()));
        self.sized(AbstractBlock { target, args: Arc::new(args), size }, call.span)
    }

    /// A block as a value, if it is not out of proportion.
    pub(super) fn sized(&mut self, block: AbstractBlock, span: Span) -> Abstract {
        if block.size > LARGE_VALUE {
            let m = format!("this value is made of more than {LARGE_VALUE} operators and blocks");
            self.stop(Diagnostic::error(codes::UNBOUNDED, span, m).help("apply blocks one after the other"));
            return Abstract { kind: Kind::Other, deps: Deps::new() };
        }
        Abstract { kind: Kind::Blocks(vec![block]), deps: Deps::new() }
    }

    pub(super) fn bounded(&mut self, value: Abstract, span: Span) -> Abstract {
        if value.size() > LARGE_VALUE {
            let m = format!("this can be any of more than {LARGE_VALUE} operators and blocks");
            self.stop(Diagnostic::error(codes::UNBOUNDED, span, m).help("choose among fewer"));
            return Abstract { kind: Kind::Other, deps: value.deps };
        }
        value
    }

    /// Applies whichever block the value can be.
    pub(super) fn apply_all(
        &mut self,
        value: &Abstract,
        at: &Context,
        labelled: bool,
        span: Span,
        tree: &mut Tree,
    ) -> Flow {
        let Kind::Blocks(blocks) = &value.kind else { return at.flow.clone() };
        self.out.used.extend(&value.deps);
        if let [only] = blocks.as_slice() {
            return self.apply(only, at, labelled, span, tree);
        }
        self.control.push(value.deps.clone());
        let mut flows = Vec::new();
        let mut subtrees = Vec::new();
        for b in blocks {
            let mut subtree = Tree::new();
            flows.push(self.apply(b, at, labelled, span, &mut subtree));
            subtrees.push(subtree);
        }
        self.control.pop();
        if subtrees.iter().any(|t| !t.is_empty()) {
            let m = "a block chosen by `choice` makes decisions of its own in its body";
            self.out.found.push(
                Diagnostic::error(codes::DECISION, span, m)
                    .help("use `one_of`, whose alternatives own their decisions"),
            );
        }
        merge(flows, &value.deps).unwrap_or_else(|| at.flow.clone())
    }

    pub(super) fn apply(
        &mut self,
        b: &AbstractBlock,
        at: &Context,
        labelled: bool,
        span: Span,
        tree: &mut Tree,
    ) -> Flow {
        match b.target {
            Target::Operator(op) => self.operator(op, &b.args, &at.flow),
            Target::Block(i) => {
                let Some(block) = self.program.blocks.get(i) else { return at.flow.clone() };
                let mut at = if labelled { at.clone() } else { self.enter(at, &block.name) };
                at.entry = at.flow.clone();
                let mut frame: Frame = vec![None; block.slots];
                for (i, v) in b.args.iter() {
                    set(&mut frame, *i, v.clone());
                }
                self.uses.push(span);
                for (slot, p) in block.params.iter().enumerate() {
                    if let (Some(None), Some(d)) = (frame.get(slot), &p.default) {
                        let v = self.expr(d, &mut frame, &at, tree);
                        set(&mut frame, slot, v);
                    }
                }
                let out = self.body(&block.body, &mut frame, at, tree);
                self.uses.pop();
                out
            }
        }
    }

    pub(super) fn operator(&mut self, op: Operator, args: &[(usize, Abstract)], flow: &Flow) -> Flow {
        let arg = |name: &str| {
            let i = op.signature().iter().position(|s| s.name == name);
            i.and_then(|i| args.iter().find(|(j, _)| *j == i)).map(|(_, v)| &v.deps)
        };
        let mut every = Deps::new();
        args.iter().for_each(|(_, v)| every.extend(&v.deps));
        // What can fail here: the kind of input, the arguments, and what they are held against.
        let mut support = every.clone();
        support.extend(&flow.kind);
        let windowed = matches!(op, Operator::MaxPool | Operator::AvgPool) || arg("padding").is_some();
        if windowed {
            support.extend(&flow.space.deps);
        }
        if arg("groups").is_some() || (op == Operator::Attention && arg("head_dim").is_none()) {
            support.extend(&flow.channels.deps);
        }
        if matches!(op, Operator::Fold | Operator::Flatten) {
            support.extend(&flow.all());
        }
        self.site(support);
        let mut out = flow.clone();
        let one = |name: &str| {
            let i = op.signature().iter().position(|s| s.name == name);
            let value = i.and_then(|i| args.iter().find(|(j, _)| *j == i)).map(|(_, v)| &v.kind);
            value.is_none_or(|k| matches!(k, Kind::Numbers(x) if x.as_slice() == [1.0]))
        };
        self.versions += 1;
        let new = self.versions;
        if op.sets_channels() {
            out.channels = Part { deps: arg("width").cloned().unwrap_or_default(), version: new };
        } else if let Some(m) = arg("multiplier") {
            out.channels.deps.extend(m);
            out.channels.version = new;
        }
        match op {
            // With `same` padding and stride 1 a convolution keeps the size.
            Operator::Conv | Operator::DwConv if !windowed && one("stride") => {}
            Operator::Conv | Operator::DwConv | Operator::MaxPool | Operator::AvgPool => {
                out.space.version = new;
                for name in ["stride", "kernel", "dilation", "padding"] {
                    if let Some(d) = arg(name).filter(|_| windowed || name == "stride") {
                        out.space.deps.extend(d);
                    }
                }
            }
            Operator::GlobalAvgPool => {
                out.shape = Shape::Vector;
                out.space = Part { deps: Deps::new(), version: new };
            }
            Operator::Unfold => {
                out.shape = Shape::Tokens;
                out.unfolded = out.space.clone();
                out.space.deps.extend(&every);
                out.space.version = new;
            }
            Operator::Fold => {
                out.shape = Shape::Map;
                out.space = std::mem::take(&mut out.unfolded);
            }
            Operator::Flatten => {
                out.shape = Shape::Vector;
                out.channels = Part { deps: flow.all(), version: new };
                out.space = Part { deps: Deps::new(), version: new };
            }
            Operator::Transpose => std::mem::swap(&mut out.channels, &mut out.space),
            _ => {}
        }
        out
    }
}
