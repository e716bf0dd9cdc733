//! `evaluate command(..) { .. }`: the program that evaluates trials, and what it returns.

use super::measure::device;
use super::names::did_you_mean;
use super::settings::{Reader, UNITS};
use super::spec::{DeviceRef, Dimension, Evaluate, Measure, Metric, Returned};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{self, Arg, ExprKind, Ident, Section};

/// The longest time that a trial may be given: a month.
const LONGEST: f64 = 30.0 * 24.0 * 3600.0;

/// The item `evaluate`, and whether all that it returns could be read: where not, an unknown metric is
/// no news.
pub(super) fn evaluate(
    kind: &Ident,
    args: &[Arg],
    returns: &[(Vec<ast::Returned>, Span)],
    section: &Section,
    devices: &[DeviceRef],
    lost: &[&str],
    found: &mut Vec<Diagnostic>,
) -> (Evaluate, bool) {
    if kind.name != "command" {
        let m = format!("trials cannot be evaluated by `{}`", kind.name);
        let help = did_you_mean(
            &kind.name,
            ["command"],
            "write `evaluate command(\"python3\", \"train.py\") { .. }`",
        );
        found.push(Diagnostic::error(codes::UNKNOWN_NAME, kind.span, m).help(help));
    }
    let command = command(kind, args, found);
    let before = found.len();
    let mut metrics: Vec<Returned> = Vec::new();
    for r in returns.iter().flat_map(|(all, _)| all) {
        let Some(r) = returned(r, devices, lost, found) else { continue };
        if let Some(first) = metrics.iter().find(|m| m.measure == r.measure) {
            let m = format!("`{}` is returned twice", r.key);
            let d = Diagnostic::error(codes::DUPLICATE, r.span, m).also(first.span, "first here");
            found.push(d.help("remove one of them"));
            continue;
        }
        metrics.push(r);
    }
    let example = "`metrics = [accuracy in %, latency in ms]`";
    if let [(_, first), (_, second), ..] = returns {
        let d = Diagnostic::error(codes::DUPLICATE, *second, "`metrics` is there twice");
        found.push(d.also(*first, "first here").help("write all of them in one list"));
    }
    let mut r = Reader::new("evaluate", section, found);
    match (r.any("metrics"), returns) {
        (Some(span), _) => {
            let d = Diagnostic::error(codes::TYPE, span, "`metrics` is a list of what the program returns");
            r.found.push(d.help(format!("write {example}")));
        }
        (None, []) if !lost.contains(&"metrics") => {
            let m = "it is not said what the program returns";
            r.found.push(Diagnostic::error(codes::MISSING, section.span, m).help(format!("add {example}")));
        }
        (None, [(all, span)]) if all.is_empty() => {
            let d = Diagnostic::error(codes::MISSING, *span, "the program returns nothing");
            r.found.push(d.help(format!("name what it returns: {example}")));
        }
        _ => {}
    }
    let complete = r.found.len() == before && !lost.contains(&"metrics");
    let timeout = r.number("timeout", Dimension::Time, 1e-3..=LONGEST);
    let onnx = r.flag("onnx").unwrap_or(false);
    r.finish();
    (Evaluate { command, metrics, timeout, onnx, span: section.span }, complete)
}

fn command(kind: &Ident, args: &[Arg], found: &mut Vec<Diagnostic>) -> Vec<String> {
    let help = "write the program and its arguments, each as a text: `command(\"python3\", \"train.py\")`";
    let mut out = Vec::new();
    for a in args {
        match (&a.name, &a.value.kind) {
            (None, ExprKind::Text(t)) if !t.contains('\0') => out.push(t.clone()),
            (Some(name), _) => {
                let d = Diagnostic::error(codes::ARGUMENTS, name.span, "a program's arguments have no names");
                found.push(d.help(help));
            }
            _ => {
                let d = Diagnostic::error(codes::TYPE, a.value.span, "a program and its arguments are texts");
                found.push(d.help(help));
            }
        }
    }
    if args.is_empty() || out.first().is_some_and(String::is_empty) {
        found.push(Diagnostic::error(codes::MISSING, kind.span, "no program is named").help(help));
    }
    out
}

/// One metric of the list.
fn returned(
    r: &ast::Returned,
    devices: &[DeviceRef],
    lost: &[&str],
    found: &mut Vec<Diagnostic>,
) -> Option<Returned> {
    let name = &r.measure.metric;
    let on = match &r.measure.device {
        Some(d) => Some(device(d, devices, lost, found)?),
        None => None,
    };
    let key = match &r.measure.device {
        Some(d) => format!("{} on {}", name.name, d.name),
        None => name.name.clone(),
    };
    let known = Metric::named(&name.name);
    let (dimension, scale) = match (&r.unit, known.as_ref().and_then(Metric::dimension)) {
        (None, Some(dimension)) if dimension.needs_unit() => {
            let d = Diagnostic::error(codes::UNIT, name.span, format!("`{key}` has no unit"));
            let unit = match dimension {
                Dimension::Time => "ms",
                Dimension::Energy => "mJ",
                _ => "KiB",
            };
            found.push(d.help(format!("say in which unit the program returns it: `{key} in {unit}`")));
            return None;
        }
        (None, dimension) => (dimension.unwrap_or(Dimension::Plain), 1.0),
        (Some(u), wanted) => {
            let (dimension, scale) = unit(u, wanted, &key, found)?;
            (wanted.unwrap_or(dimension), scale)
        }
    };
    let metric = known.unwrap_or_else(|| Metric::Other(name.name.as_str().into()));
    // As everywhere, the only device is meant where none is named.
    let on = on.or(if metric.is_by_device() && devices.len() == 1 { Some(0) } else { None });
    let measure = Measure { metric, device: on, dimension, computed: false };
    Some(Returned { key, measure, scale, span: name.span })
}

fn unit(
    u: &Ident,
    wanted: Option<Dimension>,
    key: &str,
    found: &mut Vec<Diagnostic>,
) -> Option<(Dimension, f64)> {
    let got = Dimension::of_unit(&u.name);
    if let Some((dimension, scale)) = got {
        if wanted.is_none_or(|w| w == dimension) {
            return Some((dimension, scale));
        }
    }
    let units = |d: Dimension| d.units().iter().map(|u| u.0).collect::<Vec<_>>().join(", ");
    let help = match wanted {
        Some(Dimension::Fraction) => format!("write `{key} in %`, or leave the unit out for a part of 1"),
        Some(d) => format!("`{key}` is returned in one of {}", units(d)),
        None => format!("leave it out, and `{key}` is a plain number"),
    };
    let d = match UNITS.iter().find(|(n, _)| *n == u.name) {
        Some((_, what)) => {
            Diagnostic::error(codes::UNIT, u.span, format!("`{}` measures {what}", u.name)).help(help)
        }
        None => {
            let names = UNITS.iter().map(|u| u.0);
            let message = format!("there is no unit `{}`", u.name);
            Diagnostic::error(codes::UNIT, u.span, message).help(did_you_mean(&u.name, names, &help))
        }
    };
    found.push(d);
    None
}
