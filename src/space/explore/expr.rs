//! Expressions as sets of what they can be.

use super::sets::{cross, decided, literal, pair, union, Abstract, Kind};
use super::{Context, Deps, Explorer, Frame, Tree};
use crate::codes;
use crate::diag::Diagnostic;
use crate::space::point::DecisionKind;
use crate::space::program::{Expr, ExprKind, Field};
use crate::space::run::option_scope;
use crate::space::scope::ScopeId;

impl Explorer<'_> {
    pub(super) fn expr(&mut self, e: &Expr, frame: &mut Frame, at: &Context, tree: &mut Tree) -> Abstract {
        let none = Deps::new;
        match &e.kind {
            ExprKind::Number(x) => Abstract { kind: Kind::Numbers(vec![*x]), deps: none() },
            ExprKind::Bool(_) | ExprKind::Text(_) => Abstract { kind: Kind::Other, deps: none() },
            ExprKind::Slot(i) => {
                let unknown = Abstract { kind: Kind::Other, deps: none() };
                frame.get(*i).cloned().flatten().unwrap_or(unknown)
            }
            ExprKind::Input(f) => {
                let deps = match f {
                    Field::Channels => at.entry.channels.deps.clone(),
                    _ => at.entry.all(),
                };
                Abstract { kind: Kind::Other, deps }
            }
            ExprKind::Unary(op, x) => {
                let x = self.expr(x, frame, at, tree);
                let kind = match (op, x.kind) {
                    (crate::syntax::ast::Unary::Minus, Kind::Numbers(v)) => {
                        Kind::Numbers(v.into_iter().map(|n| -n).collect())
                    }
                    _ => Kind::Other,
                };
                Abstract { kind, deps: x.deps }
            }
            ExprKind::Binary(op, l, r) => {
                let (a, b) = (self.expr(l, frame, at, tree), self.expr(r, frame, at, tree));
                if matches!(op, crate::syntax::ast::Binary::Eq | crate::syntax::ast::Binary::Ne) {
                    self.never_equal(l, r, at.scope);
                    self.never_equal(r, l, at.scope);
                }
                let mut deps = a.deps;
                deps.extend(&b.deps);
                use crate::syntax::ast::Binary::{Add, Div, Eq, Ge, Gt, Le, Lt, Mod, Mul, Ne, Sub};
                // Truth is 1 here, so that an `if` over what is known takes one side.
                let f: Option<fn(f64, f64) -> f64> = match op {
                    Eq => Some(|x, y| f64::from(u8::from(x == y))),
                    Ne => Some(|x, y| f64::from(u8::from(x != y))),
                    Le => Some(|x, y| f64::from(u8::from(x <= y))),
                    Ge => Some(|x, y| f64::from(u8::from(x >= y))),
                    Lt => Some(|x, y| f64::from(u8::from(x < y))),
                    Gt => Some(|x, y| f64::from(u8::from(x > y))),
                    Add => Some(|x, y| x + y),
                    Sub => Some(|x, y| x - y),
                    Mul => Some(|x, y| x * y),
                    Div => Some(|x, y| x / y),
                    Mod => Some(f64::rem_euclid),
                    _ => None,
                };
                Abstract {
                    kind: f.map_or(Kind::Other, |f| cross(&[a.kind, b.kind], &|x| Some(pair(f, x)))),
                    deps,
                }
            }
            ExprKind::If(c, a, b) => {
                let c = self.expr(c, frame, at, tree);
                if let Kind::Numbers(known) = &c.kind {
                    if let [truth] = known.as_slice() {
                        let side = if *truth == 1.0 { a } else { b };
                        let mut v = self.expr(side, frame, at, tree);
                        v.deps.extend(&c.deps);
                        return v;
                    }
                }
                let (a, b) = (self.expr(a, frame, at, tree), self.expr(b, frame, at, tree));
                let mut deps = c.deps;
                deps.extend(&a.deps);
                deps.extend(&b.deps);
                self.bounded(Abstract { kind: union(vec![a.kind, b.kind]), deps }, e.span)
            }
            ExprKind::Function(f, args) => {
                let values: Vec<Abstract> = args.iter().map(|a| self.expr(a, frame, at, tree)).collect();
                let mut deps = none();
                values.iter().for_each(|v| deps.extend(&v.deps));
                let kinds: Vec<Kind> = values.into_iter().map(|v| v.kind).collect();
                Abstract { kind: cross(&kinds, &|x| f.apply(x)), deps }
            }
            ExprKind::Choice { name, shared, options } => {
                let scope = if *shared { at.shared } else { at.scope };
                let numbers: Option<Vec<f64>> = options
                    .iter()
                    .map(|(_, o)| if let ExprKind::Number(x) = o.kind { Some(x) } else { None })
                    .collect();
                let values = options.iter().map(|(l, _)| l.to_string()).collect();
                let dependent = numbers.is_none()
                    && options.iter().all(|(_, o)| {
                        !matches!(o.kind, ExprKind::Text(_) | ExprKind::Bool(_) | ExprKind::Block(_))
                    });
                let kind = match &numbers {
                    Some(x) => DecisionKind::Ordinal(x.clone()),
                    // Expressions of earlier decisions: their order as written is all that is known.
                    None if dependent => {
                        DecisionKind::Ordinal((0..options.len()).map(|i| i as f64).collect())
                    }
                    None => DecisionKind::Categorical,
                };
                let (id, new) = self.decision(scope, name, values, kind, *shared, e.span);
                if options.iter().all(|(_, o)| matches!(o.kind, ExprKind::Bool(_))) {
                    self.out.scopes.mark_boolean(id);
                }
                let mut deps = Deps::from([id]);
                let mut kinds = Vec::new();
                let mut children = Vec::new();
                self.owners.push(id);
                for (_, option) in options {
                    let inner = match option_scope(option, self.program) {
                        Some(target) => {
                            let named = self.enter(at, name);
                            self.enter(&named, &target.into())
                        }
                        None => at.clone(),
                    };
                    let mut subtree = Tree::new();
                    let v = self.expr(option, frame, &inner, &mut subtree);
                    deps.extend(&v.deps);
                    kinds.push(v.kind);
                    children.push(subtree);
                }
                self.owners.pop();
                if new {
                    tree.push(decided(id, children));
                }
                self.bounded(Abstract { kind: union(kinds), deps }, e.span)
            }
            ExprKind::Block(call) => self.call(call, frame, at, tree),
            ExprKind::Decision(query) => {
                let matches = self.out.scopes.query(at.scope, query);
                match matches.as_slice() {
                    [id] => {
                        self.out.scopes.queries.insert((at.scope, e.span), *id);
                        Abstract { kind: Kind::Other, deps: Deps::from([*id]) }
                    }
                    [] => {
                        let shown = query.join(".").replace(".[", "[");
                        let known: Vec<String> =
                            self.out.scopes.infos.iter().map(|d| d.path.clone()).collect();
                        let mut help = "constraints name decisions and the names of their block".to_string();
                        if !known.is_empty() {
                            let list: Vec<&str> = known.iter().map(String::as_str).take(12).collect();
                            help = format!("the decisions are `{}`", list.join("`, `"));
                        }
                        let m = format!("there is no decision or name `{shown}`");
                        self.push_once(Diagnostic::error(codes::DECISION, e.span, m).help(help));
                        Abstract { kind: Kind::Other, deps: none() }
                    }
                    several => {
                        let paths: Vec<String> = several
                            .iter()
                            .filter_map(|&i| self.out.scopes.infos.get(i).map(|d| format!("`{}`", d.path)))
                            .collect();
                        let shown = query.join(".").replace(".[", "[");
                        let m = format!("`{shown}` names {} decisions", paths.len());
                        let help = format!("write more of the path: {}", paths.join(", "));
                        self.push_once(Diagnostic::error(codes::DECISION, e.span, m).help(help));
                        Abstract { kind: Kind::Other, deps: none() }
                    }
                }
            }
        }
    }

    /// A decision held against a value that it never has: a slip of the pen that would silently empty
    /// the space.
    pub(super) fn never_equal(&mut self, decision: &Expr, value: &Expr, scope: ScopeId) {
        if !matches!(decision.kind, ExprKind::Decision(_)) {
            return;
        }
        let id = self.out.scopes.queries.get(&(scope, decision.span)).copied();
        let Some((id, info)) = id.and_then(|i| self.out.scopes.infos.get(i).map(|d| (i, d))) else { return };
        let numbers: Option<Vec<f64>> = info.values.iter().map(|v| v.parse().ok()).collect();
        let labels: Vec<&str> = info.values.iter().map(String::as_str).collect();
        let (shown, possible) = match (&value.kind, numbers) {
            _ if self.optionals.contains(&id) => match &value.kind {
                ExprKind::Bool(_) | ExprKind::Slot(_) | ExprKind::Decision(_) => return,
                other => (literal(other), false),
            },
            (ExprKind::Number(x), Some(all)) => (Some(x.to_string()), all.contains(x)),
            (ExprKind::Text(t), _) => (Some(t.to_string()), labels.contains(&&**t)),
            _ => return,
        };
        let (Some(shown), false) = (shown, possible) else { return };
        let help = match crate::syntax::nearest(&shown, labels.iter().copied()) {
            _ if self.optionals.contains(&id) => {
                "it is a truth value: write its name alone, or `not` and its name".into()
            }
            Some(near) if matches!(value.kind, ExprKind::Text(_)) => format!("did you mean `{near}`?"),
            _ => format!("its values are {}", labels.get(..24).unwrap_or(&labels).join(", ")),
        };
        let m = format!("`{}` is never `{shown}`", info.path);
        self.push_once(Diagnostic::error(codes::DECISION, value.span, m).help(help));
    }
}
