//! From the tree back to text, in one canonical form.
//!
//! The form has no comments. It is what is hashed to tell whether a spec still says what its lock
//! file was made from, so that moving white space and editing comments do not make a lock stale.

use super::ast::*;
use std::fmt::Write;

/// A whole file.
pub fn print(file: &File) -> String {
    file.items.iter().map(item).collect::<Vec<_>>().join("\n")
}

/// One item, with a final new line.
pub(crate) fn item(item: &Item) -> String {
    match item {
        Item::Use { path, .. } => format!("use {}\n", text(&path.name)),
        Item::Task(s) => format!("task {}\n", section(s, 0)),
        Item::Block(b) => {
            let params: Vec<String> = b
                .params
                .iter()
                .map(|p| {
                    let ty = p.ty.as_ref().map(|t| format!(": {}", t.name)).unwrap_or_default();
                    let default = p.default.as_ref().map(|d| format!(" = {}", expr(d))).unwrap_or_default();
                    format!("{}{ty}{default}", p.name.name)
                })
                .collect();
            format!("block {}({}) {}\n", b.name.name, params.join(", "), body(&b.body, 0))
        }
        Item::Space(b) => format!("space {}\n", body(b, 0)),
        Item::Device { name, profile, .. } => format!("device {} = {}\n", name.name, expr(profile)),
        Item::Goal { goals, .. } => {
            let mut out = String::from("goal {\n");
            for g in goals {
                let _ = writeln!(out, "    {}", goal(g));
            }
            out + "}\n"
        }
        Item::Search { algorithm, section: s } => format!("search {} {}\n", algorithm.name, section(s, 0)),
        Item::Evaluate { kind, args: a, returns, section: s } => {
            let head = format!("evaluate {}({}) {{\n", kind.name, args(a));
            let lists = returns.iter().map(|(all, _)| {
                let all: Vec<String> = all.iter().map(returned).collect();
                format!("    metrics = [{}]\n", all.join(", "))
            });
            let settings = s.settings.iter().map(|s| setting(s, 1));
            head + &lists.chain(settings).collect::<String>() + "}\n"
        }
        Item::Final(s) => format!("final {}\n", section(s, 0)),
        Item::Emit { target, section: s } if s.settings.is_empty() => format!("emit {}\n", target.name),
        Item::Emit { target, section: s } => format!("emit {} {}\n", target.name, section(s, 0)),
    }
}

fn indent(depth: usize) -> String {
    "    ".repeat(depth)
}

fn section(s: &Section, depth: usize) -> String {
    let mut out = String::from("{\n");
    for s in &s.settings {
        out += &setting(s, depth + 1);
    }
    out + &indent(depth) + "}"
}

fn setting(s: &Setting, depth: usize) -> String {
    let value = match &s.value {
        SettingValue::Expr(e) => format!("= {}", expr(e)),
        SettingValue::Section(inner) => section(inner, depth),
    };
    let on = s.device.as_ref().map(|d| format!(" on {}", d.name)).unwrap_or_default();
    format!("{}{}{on} {value}\n", indent(depth), s.key.name)
}

fn returned(r: &Returned) -> String {
    let unit = r.unit.as_ref().map(|u| format!(" in {}", u.name)).unwrap_or_default();
    measure(&r.measure) + &unit
}

fn measure(m: &Measure) -> String {
    match &m.device {
        Some(d) => format!("{} on {}", m.metric.name, d.name),
        None => m.metric.name.clone(),
    }
}

fn goal(g: &Goal) -> String {
    match g {
        Goal::Objective { maximize, measure: m, range, .. } => {
            let word = if *maximize { "maximize" } else { "minimize" };
            let range = range.as_ref().map(|r| format!(" in {}", expr(r))).unwrap_or_default();
            format!("{word} {}{range}", measure(m))
        }
        Goal::Require { measure: m, comparison, limit, .. } => {
            let on = m.device.as_ref().map(|d| format!(" on {}", d.name)).unwrap_or_default();
            format!("require {} {} {}{on}", m.metric.name, comparison.name, expr(limit))
        }
        Goal::PickBest { measure: m, .. } => format!("pick best {}", measure(m)),
        Goal::Pick { rule, .. } => format!("pick {}", rule.name),
    }
}

fn body(b: &Body, depth: usize) -> String {
    let mut out = String::from("{\n");
    for s in &b.statements {
        let line = match s {
            Statement::Let { name, value } => format!("let {} = {}", name.name, expr(value)),
            Statement::Where { condition, .. } => format!("where {}", expr(condition)),
            Statement::Chain(c) => chain(c, depth + 1),
        };
        let _ = writeln!(out, "{}{line}", indent(depth + 1));
    }
    out + &indent(depth) + "}"
}

fn chain(c: &Chain, depth: usize) -> String {
    c.elements.iter().map(|e| element(e, depth)).collect::<Vec<_>>().join(" > ")
}

fn element(e: &Element, depth: usize) -> String {
    let label = e.label.as_ref().map(|l| format!("{}: ", l.name)).unwrap_or_default();
    let text = match &e.kind {
        ElementKind::Stage { name, args: a } if a.is_empty() => name.name.clone(),
        ElementKind::Stage { name, args: a } => format!("{}({})", name.name, args(a)),
        ElementKind::Residual { condition: Some(c), body: b } => {
            format!("residual when {} {}", expr(c), body(b, depth))
        }
        ElementKind::Residual { body: b, .. } => format!("residual {}", body(b, depth)),
        ElementKind::Parallel { join, branches: b } => {
            format!("parallel {} {}", join.name, branches(b, depth))
        }
        ElementKind::Repeat { name, count, index, body: b } => {
            let name = name.as_ref().map(|n| format!("{} in ", n.name)).unwrap_or_default();
            let index = index.as_ref().map(|i| format!(" as {}", i.name)).unwrap_or_default();
            format!("repeat {name}{}{index} {}", expr(count), body(b, depth))
        }
        ElementKind::OneOf { name, branches: b } => format!("one_of {} {}", name.name, branches(b, depth)),
        ElementKind::Optional { name, body: b } => format!("optional {} {}", name.name, body(b, depth)),
        ElementKind::When { condition, then, otherwise } => {
            let other = otherwise.as_ref().map(|b| format!(" else {}", body(b, depth))).unwrap_or_default();
            format!("when {} {}{other}", expr(condition), body(then, depth))
        }
        ElementKind::Group(b) => body(b, depth),
    };
    label + &text
}

fn branches(all: &[Branch], depth: usize) -> String {
    let mut out = String::from("{\n");
    for b in all {
        let label = b.label.as_ref().map(|l| format!("{}: ", l.name)).unwrap_or_default();
        let _ = writeln!(out, "{}{label}{}", indent(depth + 1), chain(&b.chain, depth + 1));
    }
    out + &indent(depth) + "}"
}

fn args(all: &[Arg]) -> String {
    let one = |a: &Arg| match &a.name {
        Some(n) => format!("{} = {}", n.name, expr(&a.value)),
        None => expr(&a.value),
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn text(s: &str) -> String {
    format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A number; with an exponent where it would have more than sixteen digits without.
pub(crate) fn number(x: f64) -> String {
    match x.abs() {
        size if x == 0.0 || (1e-16..1e16).contains(&size) => x.to_string(),
        _ => format!("{x:e}"),
    }
}

/// One expression. Operands that are operators themselves stand in parentheses, so that precedence
/// need not be known to read it.
pub(crate) fn expr(e: &Expr) -> String {
    let operand = |x: &Expr| match x.kind {
        ExprKind::Binary(..) | ExprKind::If(..) | ExprKind::Range { .. } | ExprKind::Unary(..) => {
            format!("({})", expr(x))
        }
        _ => expr(x),
    };
    match &e.kind {
        ExprKind::Number { value, unit: None } => number(*value),
        ExprKind::Number { value, unit: Some(u) } if u.name == "%" => format!("{}%", number(*value)),
        ExprKind::Number { value, unit: Some(u) } => format!("{} {}", number(*value), u.name),
        ExprKind::Text(s) => text(s),
        ExprKind::Path(segments) => path(segments),
        ExprKind::List(items) => format!("[{}]", items.iter().map(expr).collect::<Vec<_>>().join(", ")),
        ExprKind::Unary(Unary::Minus, x) => format!("-{}", operand(x)),
        ExprKind::Unary(Unary::Not, x) => format!("not {}", operand(x)),
        ExprKind::Binary(op, l, r) => format!("{} {} {}", operand(l), op.symbol(), operand(r)),
        ExprKind::If(c, a, b) => format!("if {} then {} else {}", expr(c), expr(a), expr(b)),
        ExprKind::Call(name, a) => format!("{}({})", name.name, args(a)),
        ExprKind::Choice { shared, options } => {
            format!("{}choice({})", if *shared { "shared " } else { "" }, args(options))
        }
        ExprKind::Range { low, high, step } => {
            let step = step.as_ref().map(|s| format!(" step {}", operand(s))).unwrap_or_default();
            format!("{}..{}{step}", operand(low), operand(high))
        }
    }
}

/// `local[2].expand`
pub(crate) fn path(segments: &[Segment]) -> String {
    let mut out = String::new();
    for s in segments {
        match s {
            Segment::Name(n) if out.is_empty() => out.push_str(n),
            Segment::Name(n) => {
                out.push('.');
                out.push_str(n);
            }
            Segment::Index(i) => {
                let _ = write!(out, "[{i}]");
            }
        }
    }
    out
}
