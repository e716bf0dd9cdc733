//! `seed_points = [..]`: points to try first, of the spec itself or from files.

use super::names::did_you_mean;
use super::spec::{SeedPoints, SeedSource};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::space::Space;
use crate::syntax::ast::{Arg, Expr, ExprKind, Section, Segment, SettingValue, Unary};
use serde_json::{Map, Value};

/// A seed point that is not yet looked up in the space.
pub(super) enum Draft {
    /// Values by path, each with its place, and the place of all.
    Point(Vec<(String, Value, Span)>, Span),
    Other(SeedPoints),
}

/// The seed points of a `search` item, as far as they can be read without the space.
pub(super) fn read(section: &Section, found: &mut Vec<Diagnostic>) -> Vec<Draft> {
    let Some(setting) = section.settings.iter().find(|s| s.key.name == "seed_points") else {
        return Vec::new();
    };
    let help = "write `seed_points = [point(width = 16), file(\"points.json\"), study(\"earlier.study\")]`";
    let wrong = |span: Span, what: &str, found: &mut Vec<Diagnostic>| {
        found.push(Diagnostic::error(codes::TYPE, span, what.to_string()).help(help));
    };
    let list = match &setting.value {
        SettingValue::Expr(Expr { kind: ExprKind::List(list), .. }) => list,
        SettingValue::Expr(e) => {
            wrong(e.span, "the seed points are a list", found);
            return Vec::new();
        }
        SettingValue::Section(_) => {
            wrong(setting.key.span, "the seed points are a list", found);
            return Vec::new();
        }
    };
    let mut out = Vec::new();
    for e in list {
        let ExprKind::Call(name, args) = &e.kind else {
            wrong(e.span, "this is no seed point", found);
            continue;
        };
        let source: fn(String) -> SeedSource = match name.name.as_str() {
            "point" => {
                out.extend(point(args, e.span, found));
                continue;
            }
            "file" => SeedSource::File,
            "study" => SeedSource::Study,
            other => {
                let m = format!("seed points cannot be given by `{other}`");
                let help = did_you_mean(other, ["point", "file", "study"], help);
                found.push(Diagnostic::error(codes::UNKNOWN_NAME, name.span, m).help(help));
                continue;
            }
        };
        match args.as_slice() {
            [Arg { name: None, value: Expr { kind: ExprKind::Text(path), .. } }] => {
                out.push(Draft::Other(SeedPoints { source: source(path.clone()), span: e.span }));
            }
            _ => wrong(e.span, &format!("`{}` takes a path", name.name), found),
        }
    }
    out
}

/// `point(width = 16, mixer = attention)`
fn point(args: &[Arg], span: Span, found: &mut Vec<Diagnostic>) -> Option<Draft> {
    let mut values: Vec<(String, Value, Span)> = Vec::new();
    let before = found.len();
    for a in args {
        let Some(name) = &a.name else {
            let d = Diagnostic::error(codes::ARGUMENTS, a.value.span, "this value belongs to no decision");
            found.push(d.help("name the decision: `point(width = 16)`; `hytc space` prints their paths"));
            continue;
        };
        if let Some((.., first)) = values.iter().find(|(n, ..)| *n == name.name) {
            let m = format!("`{}` is there twice", name.name);
            let d = Diagnostic::error(codes::DUPLICATE, name.span, m).also(*first, "first here");
            found.push(d.help("remove one of them"));
            continue;
        }
        values.push((name.name.clone(), value(&a.value), name.span.to(a.value.span)));
    }
    (found.len() == before).then_some(Draft::Point(values, span))
}

/// A value as it stands; whether the decision has it is seen later.
fn value(e: &Expr) -> Value {
    match &e.kind {
        // Whole numbers are shown without a point.
        ExprKind::Number { value, unit: None } if value.fract() == 0.0 && value.abs() < 1e15 => {
            (*value as i64).into()
        }
        ExprKind::Number { value, unit: None } => (*value).into(),
        ExprKind::Number { value, unit: Some(u) } if u.name == "%" => (value / 100.0).into(),
        ExprKind::Unary(Unary::Minus, x) => match value(x).as_f64() {
            Some(x) => (-x).into(),
            None => crate::syntax::print_expr(e).into(),
        },
        ExprKind::Text(t) => t.as_str().into(),
        ExprKind::Path(segments) => match segments.as_slice() {
            [Segment::Name(n)] if n == "true" => true.into(),
            [Segment::Name(n)] if n == "false" => false.into(),
            _ => crate::syntax::print_expr(e).into(),
        },
        _ => crate::syntax::print_expr(e).into(),
    }
}

/// Looks the points up in the space. What a point does not name is as in the space's first point.
pub(super) fn settle(drafts: Vec<Draft>, space: &Space, found: &mut Vec<Diagnostic>) -> Vec<SeedPoints> {
    let first = space.first_point();
    let mut out = Vec::new();
    for draft in drafts {
        let (values, span) = match draft {
            Draft::Other(points) => {
                out.push(points);
                continue;
            }
            Draft::Point(values, span) => (values, span),
        };
        let map: Map<String, Value> = values.iter().map(|(n, v, _)| (n.clone(), v.clone())).collect();
        match space.point(&map, Some(&first)) {
            Ok(point) => out.push(SeedPoints { source: SeedSource::Point(point), span }),
            Err(errors) => {
                // What is wrong with one value shows at that value, the rest at the point.
                let mut alone = Vec::new();
                for (name, value, place) in &values {
                    let one = Map::from_iter([(name.clone(), value.clone())]);
                    let wrong = space.lookup(&one).err().unwrap_or_default();
                    alone.extend(wrong.into_iter().map(|d| (d, *place)));
                }
                if alone.is_empty() {
                    alone.extend(errors.into_iter().map(|d| (d, span)));
                }
                found.extend(alone.into_iter().map(|(d, span)| Diagnostic { span, labels: Vec::new(), ..d }));
            }
        }
    }
    out
}
