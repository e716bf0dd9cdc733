//! Bodies and elements, all branches of each.

use super::sets::{decided, merge, set, Abstract, Flow, Kind, Shape};
use super::{Context, Deps, Explorer, Frame, Node, Tree, DEEP, MANY_ELEMENTS};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::space::point::DecisionKind;
use crate::space::program::{Body, Count, Element, ElementKind, Join, Statement};
use std::sync::Arc;

impl Explorer<'_> {
    pub(super) fn body(&mut self, body: &Body, frame: &mut Frame, mut at: Context, tree: &mut Tree) -> Flow {
        for s in &body.statements {
            match s {
                Statement::Let { slot, value } => {
                    let v = self.expr(value, frame, &at, tree);
                    set(frame, *slot, v);
                }
                Statement::Chain(c) => at.flow = self.chain(c, frame, at.clone(), tree),
            }
        }
        for c in &body.constraints {
            let v = self.expr(c, frame, &at, tree);
            let mut deps = v.deps;
            deps.extend(&self.owners);
            self.control.iter().for_each(|k| deps.extend(k));
            self.out.coupled.extend(&deps);
        }
        at.flow
    }

    pub(super) fn chain(
        &mut self,
        chain: &[Element],
        frame: &mut Frame,
        mut at: Context,
        tree: &mut Tree,
    ) -> Flow {
        for e in chain {
            at.flow = self.element(e, frame, &at, tree);
        }
        at.flow
    }

    pub(super) fn enter(&mut self, at: &Context, name: &Arc<str>) -> Context {
        Context {
            scope: self.out.scopes.add_child(at.scope, name),
            shared: self.out.scopes.add_child(at.shared, name),
            ..at.clone()
        }
    }

    pub(super) fn element(
        &mut self,
        e: &Element,
        frame: &mut Frame,
        outer: &Context,
        tree: &mut Tree,
    ) -> Flow {
        self.elements += 1;
        if self.elements > MANY_ELEMENTS {
            let m = format!("the space has more than {MANY_ELEMENTS} elements");
            self.stop(
                Diagnostic::error(codes::UNBOUNDED, e.span, m).help("reduce nested `repeat`s and blocks"),
            );
        }
        if self.depth > DEEP {
            let m = format!("elements and blocks are more than {DEEP} deep within each other");
            self.stop(Diagnostic::error(codes::UNBOUNDED, e.span, m).help("let blocks hold fewer blocks"));
        }
        if self.stopped {
            return outer.flow.clone();
        }
        self.depth += 1;
        let flow = self.element_kind(e, frame, outer, tree);
        self.depth -= 1;
        flow
    }

    pub(super) fn element_kind(
        &mut self,
        e: &Element,
        frame: &mut Frame,
        outer: &Context,
        tree: &mut Tree,
    ) -> Flow {
        let at = match &e.label {
            Some(l) => self.enter(outer, l),
            None => outer.clone(),
        };
        match &e.kind {
            ElementKind::Stage(call) => {
                let value = self.call(call, frame, &at, tree);
                self.apply_all(&value, &at, e.label.is_some(), e.span, tree)
            }
            ElementKind::Group(body) => self.body(body, frame, at, tree),
            ElementKind::Residual { condition, body } => {
                let mut deps = Deps::new();
                if let Some(c) = condition {
                    deps = self.expr(c, frame, &at, tree).deps;
                    self.out.used.extend(&deps);
                }
                let out = self.body(body, frame, at.clone(), tree);
                let mut both = out.all();
                both.extend(&at.flow.all());
                both.extend(&deps);
                self.site(both);
                out
            }
            ElementKind::Parallel { join, branches } => {
                let mut outs: Vec<Flow> = Vec::new();
                for (label, chain) in branches {
                    let inner = match label {
                        Some(l) => self.enter(&at, l),
                        None => at.clone(),
                    };
                    outs.push(self.chain(chain, frame, inner, tree));
                }
                let mut all = Deps::new();
                for o in &outs {
                    // Concatenated branches may differ in channels.
                    if *join == Join::Concat {
                        all.extend(&o.kind);
                        all.extend(&o.space.deps);
                    } else {
                        all.extend(&o.all());
                    }
                }
                self.site(all);
                self.joined(*join, outs, at.flow)
            }
            ElementKind::Repeat { name, count, index, body } => {
                self.repeat(name.as_ref(), count, *index, body, e.span, frame, at, tree)
            }
            ElementKind::OneOf { name, branches } => {
                let values = branches.iter().map(|(l, _)| l.to_string()).collect();
                let (id, _) = self.decision(at.scope, name, values, DecisionKind::Categorical, false, e.span);
                self.owners.push(id);
                let inner = self.enter(&at, name);
                let mut children = Vec::new();
                let mut flows: Vec<Flow> = Vec::new();
                for (label, chain) in branches {
                    let mut subtree = Tree::new();
                    let scope = self.enter(&inner, label);
                    flows.push(self.chain(chain, frame, scope, &mut subtree));
                    children.push(subtree);
                }
                self.owners.pop();
                self.out.used.insert(id);
                tree.push(decided(id, children));
                merge(flows, &Deps::from([id])).unwrap_or(at.flow)
            }
            ElementKind::Optional { name, body } => {
                let values = vec!["off".to_string(), "on".to_string()];
                let (id, _) = self.decision(at.scope, name, values, DecisionKind::Categorical, false, e.span);
                self.optionals.insert(id);
                self.out.scopes.mark_boolean(id);
                self.owners.push(id);
                let inner = self.enter(&at, name);
                let mut subtree = Tree::new();
                let out = self.body(body, frame, inner, &mut subtree);
                self.owners.pop();
                self.out.used.insert(id);
                tree.push(decided(id, vec![Tree::new(), subtree]));
                out.join(&at.flow, &Deps::from([id]))
            }
            ElementKind::When { condition, then, otherwise } => {
                let deps = self.expr(condition, frame, &at, tree).deps;
                self.out.used.extend(&deps);
                self.control.push(deps.clone());
                let mut branches = [Tree::new(), Tree::new()];
                let [no, yes] = &mut branches;
                let a = self.body(then, frame, at.clone(), yes);
                let b = self.body(otherwise, frame, at.clone(), no);
                self.control.pop();
                if !(branches.iter().all(Vec::is_empty)) {
                    self.couple(&deps);
                    tree.push(Node::When { key: (at.scope, e.span), branches });
                }
                a.join(&b, &deps)
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn repeat(
        &mut self,
        name: Option<&Arc<str>>,
        count: &Count,
        index: Option<usize>,
        body: &Body,
        span: Span,
        frame: &mut Frame,
        at: Context,
        tree: &mut Tree,
    ) -> Flow {
        let label: Arc<str> = name.cloned().unwrap_or_else(|| "repeat".into());
        let (counts, deps, id) = match count {
            Count::Searched(counts) => {
                let values = counts.iter().map(usize::to_string).collect();
                let kind = DecisionKind::Ordinal(counts.iter().map(|&c| c as f64).collect());
                let (id, _) = self.decision(at.scope, &label, values, kind, false, span);
                self.out.used.insert(id);
                (counts.clone(), Deps::from([id]), Some(id))
            }
            Count::Given(e) => {
                let v = self.expr(e, frame, &at, tree);
                self.site(v.deps.clone());
                let Kind::Numbers(values) = v.kind else {
                    let m = "how often this is repeated has no known bound";
                    let help = "it may not depend on `in`, nor be one of thousands of values; use a decision or a parameter";
                    self.push_once(Diagnostic::error(codes::UNBOUNDED, e.span, m).help(help));
                    return at.flow;
                };
                let counts = values.iter().map(|x| x.clamp(0.0, 256.0) as usize).collect();
                (counts, v.deps, None)
            }
        };
        let most = counts.iter().copied().max().unwrap_or(0);
        let least = counts.iter().copied().min().unwrap_or(0);
        let mut bodies = Vec::new();
        let mut flow = at.flow.clone();
        let mut ends = if least == 0 { vec![flow.clone()] } else { Vec::new() };
        for i in 0..most {
            let inner = Context {
                scope: self.out.scopes.add_iteration(at.scope, &label, i),
                shared: self.out.scopes.add_child(at.shared, &label),
                flow,
                entry: at.entry.clone(),
            };
            // An iteration that every count has does not depend on the count.
            let sure = i < least;
            if !sure {
                self.control.push(deps.clone());
                self.owners.extend(id);
            }
            if let Some(slot) = index {
                set(frame, slot, Abstract { kind: Kind::Numbers(vec![(i + 1) as f64]), deps: Deps::new() });
            }
            let mut subtree = Tree::new();
            flow = self.body(body, frame, inner, &mut subtree);
            if !sure {
                self.control.pop();
                if id.is_some() {
                    self.owners.pop();
                }
            }
            bodies.push(subtree);
            if counts.contains(&(i + 1)) {
                ends.push(flow.clone());
            }
            // An empty body costs something too.
            self.elements += 1;
            if self.elements > MANY_ELEMENTS {
                let m = format!("the space has more than {MANY_ELEMENTS} elements");
                self.stop(Diagnostic::error(codes::UNBOUNDED, span, m).help("reduce nested `repeat`s"));
            }
            if self.stopped {
                break;
            }
        }
        match id {
            Some(id) if bodies.iter().all(Vec::is_empty) => tree.push(decided(id, Vec::new())),
            Some(id) => tree.push(Node::Repeat { id, counts, bodies }),
            None if bodies.iter().all(Vec::is_empty) => {}
            // A fixed count is no guard: its decisions simply exist.
            None if most == least => bodies.into_iter().for_each(|b| tree.extend(b)),
            None => {
                self.couple(&deps);
                tree.push(Node::Given { key: (at.scope, span), bodies });
            }
        }
        if ends.len() == 1 {
            return ends.pop().unwrap_or(at.flow);
        }
        merge(ends, &deps).unwrap_or(at.flow)
    }

    pub(super) fn joined(&self, join: Join, outs: Vec<Flow>, input: Flow) -> Flow {
        let mut flows = outs.into_iter();
        let Some(first) = flows.next() else { return input };
        flows.fold(first, |mut a, b| {
            match join {
                Join::Concat => {
                    let any = Deps::new();
                    a.channels.join(&b.channels, &any);
                    a.space.deps.extend(&b.space.deps);
                    a.kind.extend(&b.kind);
                    if a.shape != b.shape {
                        a.shape = Shape::Mixed;
                    }
                }
                Join::MatMul => a.channels = b.channels.clone(),
                Join::Add | Join::Mul => {
                    // A vector is broadcast over the map, whichever comes first.
                    if a.shape == Shape::Vector && b.shape == Shape::Map {
                        a.space = b.space.clone();
                        a.shape = Shape::Map;
                    }
                    a.kind.extend(&b.kind);
                    if a.shape != b.shape && b.shape != Shape::Vector {
                        a.shape = Shape::Mixed;
                    }
                }
            }
            a
        })
    }
}
