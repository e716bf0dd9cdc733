//! Names and types of spaces and blocks: from the tree to a [`Program`].
//!
//! Everything is looked at, blocks that are never used too. What is wrong is reported and replaced
//! by something harmless, so that one mistake does not hide the next.

mod body;
mod call;
mod value;

use super::names::{did_you_mean, type_of_default, CONSTANTS};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::space::operator::{Operator, Type};
use crate::space::program::{Block, Body, Function, Param};
use crate::syntax::ast::{self, Ident};
use std::collections::{BTreeMap, HashMap};

/// A decision with more values is a mistake.
const MOST_VALUES: usize = 4096;

/// A parameter as callers see it.
#[derive(Clone)]
struct ParamType {
    name: String,
    ty: Type,
    required: bool,
}

/// A local name.
struct Local {
    slot: usize,
    ty: Type,
    span: Span,
    used: bool,
}

/// The names of one block or of the space.
#[derive(Default)]
struct Frame {
    scopes: Vec<BTreeMap<String, Local>>,
    slots: usize,
    /// Names given to choices in the statement being resolved, to number repetitions.
    named: HashMap<String, usize>,
    /// Constraints may name decisions.
    constraint: bool,
}

pub(super) struct Resolver<'a> {
    pub(super) found: &'a mut Vec<Diagnostic>,
    asts: Vec<&'a ast::Block>,
    by_name: BTreeMap<String, usize>,
    params: Vec<Vec<ParamType>>,
    used: Vec<bool>,
    classes: usize,
    /// Names that damaged lines seem to define.
    lost: Vec<&'a str>,
    frame: Frame,
}

/// What resolution gives.
pub(super) struct Resolved {
    pub(super) blocks: Vec<Block>,
    pub(super) body: Body,
    pub(super) slots: usize,
}

impl<'a> Resolver<'a> {
    /// `blocks`: the prelude's first; the spec's own definitions replace those.
    pub(super) fn new(
        blocks: Vec<&'a ast::Block>,
        classes: usize,
        lost: Vec<&'a str>,
        found: &'a mut Vec<Diagnostic>,
    ) -> Self {
        let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
        for (i, b) in blocks.iter().enumerate() {
            let name = &b.name.name;
            if Operator::find(name).is_some() || Function::ALL.iter().any(|(n, ..)| n == name) {
                let m = format!("`{name}` is an operator or function of the language");
                found.push(
                    Diagnostic::error(codes::DUPLICATE, b.name.span, m)
                        .help(format!("choose another name, for instance `my_{name}`")),
                );
            }
            let earlier = by_name.insert(name.clone(), i).and_then(|j| blocks.get(j));
            if let Some(first) = earlier.filter(|e| e.name.span.file != super::PRELUDE_FILE) {
                found.push(
                    Diagnostic::error(
                        codes::DUPLICATE,
                        b.name.span,
                        format!("block `{name}` is defined twice"),
                    )
                    .also(first.name.span, "first defined here")
                    .help("rename or remove one of them"),
                );
            }
        }
        let mut me = Resolver {
            found,
            used: vec![false; blocks.len()],
            params: Vec::new(),
            asts: blocks,
            by_name,
            classes,
            lost,
            frame: Frame::default(),
        };
        me.params = me.asts.clone().iter().map(|b| me.signature(b)).collect();
        me
    }

    fn signature(&mut self, block: &ast::Block) -> Vec<ParamType> {
        let mut types: Vec<(String, Type)> = Vec::new();
        for p in &block.params {
            let by_default = p
                .default
                .as_ref()
                .map(|d| type_of_default(d, &types, &|name| self.by_name.contains_key(name)));
            let ty = match &p.ty {
                None => by_default.unwrap_or(Type::Number),
                Some(t) => match t.name.as_str() {
                    "number" | "int" => Type::Number,
                    "bool" => Type::Bool,
                    "text" => Type::Text,
                    "padding" => Type::Padding,
                    "block" => Type::Block,
                    other => {
                        let known = ["number", "int", "bool", "text", "padding"];
                        self.found.push(
                            Diagnostic::error(codes::TYPE, t.span, format!("there is no type `{other}`"))
                                .help(did_you_mean(
                                    other,
                                    known,
                                    "types are `number`, `int`, `bool`, `text`, `padding` and `block`",
                                )),
                        );
                        Type::Any
                    }
                },
            };
            types.push((p.name.name.clone(), ty));
        }
        block
            .params
            .iter()
            .zip(types)
            .map(|(p, (name, ty))| ParamType { name, ty, required: p.default.is_none() })
            .collect()
    }

    /// Resolves all blocks and the space.
    pub(super) fn run(mut self, space: &ast::Body, main: crate::source::FileId) -> Resolved {
        let mut blocks = Vec::new();
        for (i, b) in self.asts.clone().into_iter().enumerate() {
            self.frame = Frame { scopes: vec![BTreeMap::new()], ..Frame::default() };
            let types = self.params.get(i).cloned().unwrap_or_default();
            let mut params = Vec::new();
            for (p, ty) in b.params.iter().zip(&types) {
                self.frame.named.clear();
                let default = p.default.as_ref().map(|d| self.typed(d, ty.ty, &p.name.name).0);
                self.define(&p.name, ty.ty);
                params.push(Param { default });
            }
            let body = self.body(&b.body);
            self.close_scope();
            blocks.push(Block { name: b.name.name.as_str().into(), params, slots: self.frame.slots, body });
        }
        self.frame = Frame { scopes: vec![BTreeMap::new()], ..Frame::default() };
        let body = self.body(space);
        self.close_scope();
        let slots = self.frame.slots;
        self.recursion(&blocks);
        for (used, b) in self.used.iter().zip(&self.asts) {
            if !used && b.name.span.file == main {
                let m = format!("block `{}` is never used", b.name.name);
                self.found
                    .push(Diagnostic::warning(codes::UNUSED, b.name.span, m).help("use it or remove it"));
            }
        }
        Resolved { blocks, body, slots }
    }

    // ---- scopes ----

    fn define(&mut self, name: &Ident, ty: Type) -> usize {
        let slot = self.frame.slots;
        self.frame.slots += 1;
        if CONSTANTS.iter().any(|(c, _)| *c == name.name) || Operator::find(&name.name).is_some() {
            let m = format!("`{}` already means something in the language", name.name);
            self.found.push(Diagnostic::error(codes::DUPLICATE, name.span, m).help("choose another name"));
        }
        let local = Local { slot, ty, span: name.span, used: false };
        if let Some(scope) = self.frame.scopes.last_mut() {
            if let Some(first) = scope.insert(name.name.clone(), local) {
                self.found.push(
                    Diagnostic::error(
                        codes::DUPLICATE,
                        name.span,
                        format!("`{}` is defined twice", name.name),
                    )
                    .also(first.span, "first defined here")
                    .help("names are given values once; choose another name"),
                );
            }
        }
        slot
    }

    fn close_scope(&mut self) {
        for (name, local) in self.frame.scopes.pop().unwrap_or_default() {
            if !local.used && !name.starts_with('_') && !self.is_prelude(local.span) {
                let m = format!("`{name}` is never used");
                self.found.push(
                    Diagnostic::warning(codes::UNUSED, local.span, m)
                        .help(format!("remove it, or call it `_{name}` if that is meant")),
                );
            }
        }
    }

    fn is_prelude(&self, span: Span) -> bool {
        span.file == super::PRELUDE_FILE
    }

    fn local(&mut self, name: &str) -> Option<(usize, Type)> {
        let local = self.frame.scopes.iter_mut().rev().find_map(|s| s.get_mut(name))?;
        local.used = true;
        Some((local.slot, local.ty))
    }

    // ---- statements ----

    /// Reports every circle of blocks once, at its first block, with the way around.
    fn recursion(&mut self, blocks: &[Block]) {
        let calls: Vec<Vec<usize>> = blocks.iter().map(super::calls::of_block).collect();
        let asts = self.asts.clone();
        let name = |i: usize| asts.get(i).map_or("", |b| b.name.name.as_str());
        let mut reported = vec![false; blocks.len()];
        for (i, b) in asts.iter().enumerate() {
            if reported.get(i).copied().unwrap_or(false) {
                continue;
            }
            // The shortest way back: breadth first, remembering from where each block was reached.
            let mut from: Vec<Option<usize>> = vec![None; blocks.len()];
            let mut queue = std::collections::VecDeque::from([i]);
            while let Some(j) = queue.pop_front() {
                for &k in calls.get(j).into_iter().flatten() {
                    if let Some(f) = from.get_mut(k).filter(|f| f.is_none()) {
                        *f = Some(j);
                        queue.push_back(k);
                    }
                }
            }
            let Some(mut at) = from.get(i).copied().flatten() else { continue };
            let mut way = vec![i];
            while at != i {
                way.push(at);
                match from.get(at).copied().flatten() {
                    Some(before) => at = before,
                    None => break,
                }
            }
            for &j in &way {
                if let Some(r) = reported.get_mut(j) {
                    *r = true;
                }
            }
            let m = format!("block `{}` contains itself", b.name.name);
            let mut d = Diagnostic::error(codes::RECURSION, b.name.span, m);
            if way.len() > 1 {
                let around: Vec<&str> = way.iter().rev().map(|&j| name(j)).collect();
                d = d.label(format!("by way of {}", quoted(&around)));
            }
            self.found.push(d.help("use `repeat` to apply a body several times"));
        }
    }
}

/// At most four names in backquotes.
fn quoted(names: &[&str]) -> String {
    let some: Vec<String> = names.iter().take(4).map(|n| format!("`{n}`")).collect();
    some.join(", ") + if names.len() > 4 { ", .." } else { "" }
}
