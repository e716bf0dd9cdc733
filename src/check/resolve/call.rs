//! Calls of operators and blocks: names, arguments, and the parameters they go to.

use super::{ParamType, Resolver};
use crate::check::names::did_you_mean;
use crate::codes;
use crate::diag::Diagnostic;
use crate::space::operator::{Operator, Type};
use crate::space::program::{Call, Callee, Expr};
use crate::syntax::ast::{self, Ident};

impl Resolver<'_> {
    pub(super) fn call(&mut self, name: &Ident, args: &[ast::Arg]) -> Call {
        if let Some((slot, ty)) = self.local(&name.name) {
            if !Type::Block.takes(ty) {
                let m = format!("`{}` is {}, it cannot be applied", name.name, ty.name());
                self.found.push(
                    Diagnostic::error(codes::TYPE, name.span, m)
                        .help("a stage is an operator, a block, or a name with such a value"),
                );
            }
            if let Some(first) = args.first() {
                self.found.push(
                    Diagnostic::error(
                        codes::ARGUMENTS,
                        first.value.span,
                        format!("`{}` has its arguments already", name.name),
                    )
                    .help("give them where the value is chosen, as in `choice(conv(8, 3), conv(8, 5))`"),
                );
            }
            return Call { callee: Callee::Slot(slot), span: name.span, args: Vec::new() };
        }
        if let Some(op) = Operator::find(&name.name) {
            let params: Vec<ParamType> = op
                .signature()
                .iter()
                .map(|s| ParamType { name: s.name.to_string(), ty: s.ty, required: s.required })
                .collect();
            return Call {
                callee: Callee::Operator(op),
                span: name.span,
                args: self.bind(name, args, &params),
            };
        }
        if let Some(&i) = self.by_name.get(&name.name) {
            if let Some(u) = self.used.get_mut(i) {
                *u = true;
            }
            let params = self.params.get(i).cloned().unwrap_or_default();
            return Call { callee: Callee::Block(i), span: name.span, args: self.bind(name, args, &params) };
        }
        let joins = ["add", "mul", "concat", "matmul"];
        let help = if joins.contains(&name.name.as_str()) {
            format!("branches are joined by `parallel {} {{ .. }}`", name.name)
        } else {
            let operators = Operator::NAMES.iter().map(|(n, _)| *n);
            let blocks = self.by_name.keys().map(String::as_str);
            did_you_mean(
                &name.name,
                operators.chain(blocks),
                "define it with `block`, or see the operators in docs/language.md",
            )
        };
        let m = format!("there is no operator or block `{}`", name.name);
        if !self.lost.contains(&name.name.as_str()) {
            self.found.push(Diagnostic::error(codes::UNKNOWN_NAME, name.span, m).help(help));
        }
        for a in args {
            self.value(&a.value, "argument");
        }
        Call { callee: Callee::Operator(Operator::Identity), span: name.span, args: Vec::new() }
    }

    pub(super) fn bind(
        &mut self,
        name: &Ident,
        args: &[ast::Arg],
        params: &[ParamType],
    ) -> Vec<(usize, Expr)> {
        let mut bound: Vec<(usize, Expr)> = Vec::new();
        let mut named_before = false;
        // Whether an argument found no parameter: what seems to be missing is probably that one.
        let mut astray = false;
        for (position, a) in args.iter().enumerate() {
            let at = match &a.name {
                None if named_before => {
                    self.found.push(
                        Diagnostic::error(
                            codes::ARGUMENTS,
                            a.value.span,
                            "a value without a name stands behind a named one",
                        )
                        .help("write the unnamed arguments first"),
                    );
                    None
                }
                None => {
                    if position >= params.len() {
                        let m = format!(
                            "`{}` takes {} arguments, this is number {}",
                            name.name,
                            params.len(),
                            position + 1
                        );
                        self.found.push(
                            Diagnostic::error(codes::ARGUMENTS, a.value.span, m).help(usage(name, params)),
                        );
                    }
                    (position < params.len()).then_some(position)
                }
                Some(n) => {
                    named_before = true;
                    let at = params.iter().position(|p| p.name == n.name);
                    if at.is_none() {
                        let help = did_you_mean(
                            &n.name,
                            params.iter().map(|p| p.name.as_str()),
                            &usage(name, params),
                        );
                        let m = format!("`{}` has no parameter `{}`", name.name, n.name);
                        self.found.push(Diagnostic::error(codes::ARGUMENTS, n.span, m).help(help));
                    }
                    at
                }
            };
            let Some((at, param)) = at.and_then(|i| params.get(i).map(|p| (i, p))) else {
                self.value(&a.value, "argument");
                astray = true;
                continue;
            };
            if bound.iter().any(|(i, _)| *i == at) {
                let m = format!("`{}` is given twice", param.name);
                self.found.push(
                    Diagnostic::error(codes::ARGUMENTS, a.value.span, m).help("give every parameter once"),
                );
            }
            let value = self.typed(&a.value, param.ty, &param.name).0;
            bound.push((at, value));
        }
        let missing: Vec<&str> = params
            .iter()
            .enumerate()
            .filter(|(i, p)| p.required && !bound.iter().any(|(j, _)| j == i))
            .map(|(_, p)| p.name.as_str())
            .collect();
        if !missing.is_empty() && !astray {
            let m = format!("`{}` needs `{}`", name.name, missing.join("`, `"));
            self.found.push(Diagnostic::error(codes::ARGUMENTS, name.span, m).help(usage(name, params)));
        }
        bound
    }

    pub(super) fn typed(&mut self, e: &ast::Expr, wanted: Type, name: &str) -> (Expr, Type) {
        let (value, ty) = self.value(e, name);
        if !wanted.takes(ty) {
            let m = format!("this is {}, `{name}` takes {}", ty.name(), wanted.name());
            let help = match (wanted, ty) {
                (Type::Bool, _) => "write `true`, `false`, or a comparison such as `x == 1`".to_string(),
                (Type::Number, Type::Text) => "write the number without quotes".to_string(),
                (Type::Block, _) => "write the name of an operator or block, for instance `silu`".to_string(),
                _ => format!("write {}", wanted.name()),
            };
            self.found.push(Diagnostic::error(codes::TYPE, e.span, m).help(help));
        }
        (value, ty)
    }
}

/// A block's or operator's parameters.
fn usage(name: &Ident, params: &[ParamType]) -> String {
    if params.is_empty() {
        return format!("`{}` takes no arguments", name.name);
    }
    let list: Vec<String> =
        params.iter().map(|p| if p.required { p.name.clone() } else { format!("{} = ..", p.name) }).collect();
    format!("it is called `{}({})`", name.name, list.join(", "))
}
