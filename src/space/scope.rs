//! Scopes and the table of decisions: which paths there are.

use super::point::{DecisionInfo, DecisionKind};
use crate::source::Span;
use std::collections::HashMap;
use std::sync::Arc;

/// Index of a scope: a place in the structure that decisions can be made in.
pub(crate) type ScopeId = usize;
/// Index of a decision in the space's order.
pub(crate) type DecisionId = usize;

/// One scope.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// `space.local[1]`
    pub(crate) path: String,
    children: Names<ScopeId>,
    iterations: Names<Vec<ScopeId>>,
    decisions: Names<DecisionId>,
}

/// Values by name, in the order of names: there are few in a scope, and every run looks many up.
#[derive(Debug, Clone)]
struct Names<T>(Vec<(Arc<str>, T)>);

impl<T> Default for Names<T> {
    fn default() -> Self {
        Names(Vec::new())
    }
}

impl<T> Names<T> {
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(n, _)| (**n).cmp(name))
    }

    fn get(&self, name: &str) -> Option<&T> {
        self.0.get(self.place(name).ok()?).map(|(_, value)| value)
    }

    /// The value of a name, a new one if it has none.
    fn entry(&mut self, name: &Arc<str>) -> Option<&mut T>
    where
        T: Default,
    {
        let place = self.place(name).unwrap_or_else(|place| {
            self.0.insert(place, (name.clone(), T::default()));
            place
        });
        self.0.get_mut(place).map(|(_, value)| value)
    }
}

/// A decision, with what only the space needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    /// Where the spec makes it.
    pub(crate) span: Span,
    /// The structural decisions around it: it exists only for some of their values.
    pub(crate) owners: Vec<DecisionId>,
    /// Its values are truth values.
    pub(crate) boolean: bool,
}

/// All scopes and decisions of a space.
#[derive(Debug, Clone)]
pub(crate) struct Scopes {
    scopes: Vec<Scope>,
    pub(crate) infos: Vec<DecisionInfo>,
    pub(crate) decisions: Vec<Decision>,
    /// What the decision names in constraints mean, by the constraint's scope and the name's place.
    pub(crate) queries: HashMap<(ScopeId, Span), DecisionId>,
}

impl Scopes {
    /// Only the root, `space`.
    pub(crate) fn new() -> Self {
        Scopes {
            scopes: vec![Scope { path: "space".into(), ..Scope::default() }],
            infos: Vec::new(),
            decisions: Vec::new(),
            queries: HashMap::new(),
        }
    }

    pub(crate) fn path(&self, id: ScopeId) -> &str {
        self.scopes.get(id).map_or("", |s| s.path.as_str())
    }

    /// The scope `name` within another, if it is known.
    pub(crate) fn child(&self, parent: ScopeId, name: &str) -> ScopeId {
        self.scopes.get(parent).and_then(|s| s.children.get(name)).copied().unwrap_or(parent)
    }

    /// The scope of iteration `i` (from 0) of the repeat `name`, if it is known.
    pub(crate) fn iteration(&self, parent: ScopeId, name: &str, i: usize) -> ScopeId {
        self.scopes.get(parent).and_then(|s| s.iterations.get(name)?.get(i)).copied().unwrap_or(parent)
    }

    pub(crate) fn decision(&self, scope: ScopeId, name: &str) -> Option<DecisionId> {
        self.scopes.get(scope)?.decisions.get(name).copied()
    }

    pub(crate) fn add_child(&mut self, parent: ScopeId, name: &Arc<str>) -> ScopeId {
        if let Some(&id) = self.scopes.get(parent).and_then(|s| s.children.get(name)) {
            return id;
        }
        let id = self.scopes.len();
        let path = format!("{}.{name}", self.path(parent));
        self.scopes.push(Scope { path, ..Scope::default() });
        if let Some(child) = self.scopes.get_mut(parent).and_then(|p| p.children.entry(name)) {
            *child = id;
        }
        id
    }

    pub(crate) fn add_iteration(&mut self, parent: ScopeId, name: &Arc<str>, i: usize) -> ScopeId {
        if let Some(&id) = self.scopes.get(parent).and_then(|s| s.iterations.get(name)?.get(i)) {
            return id;
        }
        let id = self.scopes.len();
        let path = format!("{}.{name}[{}]", self.path(parent), i + 1);
        self.scopes.push(Scope { path, ..Scope::default() });
        if let Some(ids) = self.scopes.get_mut(parent).and_then(|p| p.iterations.entry(name)) {
            ids.push(id);
        }
        id
    }

    /// Adds a decision, or gives the earlier one with this path and whether it was made elsewhere.
    pub(crate) fn add_decision(
        &mut self,
        scope: ScopeId,
        name: &Arc<str>,
        values: Vec<String>,
        kind: DecisionKind,
        decision: Decision,
    ) -> (DecisionId, Option<Span>) {
        if let Some(id) = self.decision(scope, name) {
            return (id, self.decisions.get(id).map(|d| d.span));
        }
        let id = self.infos.len();
        let path = format!("{}.{name}", self.path(scope));
        self.infos.push(DecisionInfo { path, values, kind });
        self.decisions.push(decision);
        if let Some(decision) = self.scopes.get_mut(scope).and_then(|s| s.decisions.entry(name)) {
            *decision = id;
        }
        (id, None)
    }

    /// The decision is between truth values.
    pub(crate) fn mark_boolean(&mut self, id: DecisionId) {
        if let Some(d) = self.decisions.get_mut(id) {
            d.boolean = true;
        }
    }

    /// The decisions whose path ends with these segments; if there are several, those within `scope`.
    pub(crate) fn query(&self, scope: ScopeId, segments: &[String]) -> Vec<DecisionId> {
        let mut suffix = String::new();
        for s in segments {
            if !s.starts_with('[') && !suffix.is_empty() {
                suffix.push('.');
            }
            suffix.push_str(s);
        }
        let dotted = format!(".{suffix}");
        let fits = |path: &str| path == suffix || path.ends_with(&dotted);
        let all: Vec<DecisionId> =
            self.infos.iter().enumerate().filter(|(_, d)| fits(&d.path)).map(|(i, _)| i).collect();
        let here = format!("{}.", self.path(scope));
        let inside: Vec<DecisionId> = all
            .iter()
            .copied()
            .filter(|&i| self.infos.get(i).is_some_and(|d| d.path.starts_with(&here)))
            .collect();
        if all.len() > 1 && !inside.is_empty() {
            inside
        } else {
            all
        }
    }
}
