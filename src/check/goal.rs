//! `goal { .. }`: objectives, requirements, choice.

use super::names::did_you_mean;
use super::settings::{quantity, Dimension};
use super::spec::{DeviceRef, Goal, Measure, Metric, Objective, Pick, Requirement};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast;

/// All statements of all `goal` items together.
pub(super) fn goal(
    statements: &[&ast::Goal],
    devices: &[DeviceRef],
    lost: &[&str],
    span: Span,
    found: &mut Vec<Diagnostic>,
) -> Goal {
    let measure = |m: &ast::Measure, found: &mut Vec<Diagnostic>| measure(m, devices, lost, found);
    let mut objectives: Vec<Objective> = Vec::new();
    let mut requirements: Vec<Requirement> = Vec::new();
    let mut pick: Option<(Pick, Span)> = None;
    for s in statements {
        match s {
            ast::Goal::Objective { maximize, measure: m, span } => {
                let Some(measure) = measure(m, found) else { continue };
                if let Some(first) = objectives.iter().find(|o| o.measure == measure) {
                    let message = format!("`{}` is an objective twice", m.metric.name);
                    found.push(
                        Diagnostic::error(codes::GOAL, *span, message)
                            .also(first.span, "first here")
                            .help("remove one of them; limits are written with `require`"),
                    );
                    continue;
                }
                let natural = measure.metric == Metric::Accuracy;
                if natural != *maximize {
                    let word = if natural { "maximize" } else { "minimize" };
                    let message = format!("this asks for the worst {}", m.metric.name);
                    found
                        .push(Diagnostic::error(codes::GOAL, *span, message).help(format!("write `{word}`")));
                    continue;
                }
                objectives.push(Objective { maximize: *maximize, measure, span: *span });
            }
            ast::Goal::Require { measure: m, comparison, limit, span } => {
                let Some(measure) = measure(m, found) else { continue };
                let dimension = match measure.metric {
                    Metric::Accuracy => Dimension::Fraction,
                    Metric::Latency => Dimension::Time,
                    Metric::Ram | Metric::Flash => Dimension::Bytes,
                    Metric::Params | Metric::Macs => Dimension::Plain,
                    Metric::Energy => Dimension::Energy,
                };
                let Some(value) = quantity(limit, dimension, found) else { continue };
                let at_least = match comparison.name.as_str() {
                    ">=" | ">" => true,
                    "<=" | "<" => false,
                    other => {
                        let message = format!("a requirement cannot be `{other}`");
                        found.push(
                            Diagnostic::error(codes::GOAL, comparison.span, message)
                                .help("write `<=` or `>=`"),
                        );
                        continue;
                    }
                };
                if at_least != (measure.metric == Metric::Accuracy) {
                    let word = if at_least { "at least" } else { "at most" };
                    let message = format!("this asks for {word} so much {}", m.metric.name);
                    let help = if at_least { "write `<=`" } else { "write `>=`" };
                    found.push(Diagnostic::error(codes::GOAL, comparison.span, message).help(help));
                    continue;
                }
                if measure.metric == Metric::Accuracy && !(0.0..=1.0).contains(&value) {
                    let message = format!(
                        "an accuracy of {} is not between 0% and 100%",
                        crate::syntax::print_expr(limit)
                    );
                    found.push(
                        Diagnostic::error(codes::VALUE, limit.span, message).help("write for instance `87%`"),
                    );
                    continue;
                }
                if value <= 0.0 {
                    let d = Diagnostic::error(codes::IMPOSSIBLE, limit.span, "nothing can meet this limit");
                    found.push(d.help("a limit is positive"));
                    continue;
                }
                requirements.push(Requirement { measure, at_least, limit: value, span: *span });
            }
            ast::Goal::PickBest { measure: m, span } => {
                if let Some(measure) = measure(m, found) {
                    set_pick(&mut pick, Pick::Best(measure), *span, found);
                }
            }
            ast::Goal::Pick { rule, span } => {
                if rule.name == "knee" {
                    set_pick(&mut pick, Pick::Knee, *span, found);
                } else {
                    let message = format!("there is no rule `{}` to pick by", rule.name);
                    found.push(
                        Diagnostic::error(codes::UNKNOWN_NAME, rule.span, message)
                            .help("write `pick knee` or `pick best accuracy`"),
                    );
                }
            }
        }
    }
    if objectives.len() > 4 {
        let d = Diagnostic::error(
            codes::GOAL,
            span,
            format!("there are {} objectives, at most 4 are searched", objectives.len()),
        );
        found.push(d.help("turn some of them into limits with `require`"));
    }
    if objectives.is_empty() && !crate::diag::has_errors(found) {
        let d = Diagnostic::error(codes::GOAL, span, "the goal has no objective");
        found.push(d.help("add `maximize accuracy`"));
    }
    let first = objectives.first().map(|o| o.measure);
    let default = Pick::Best(first.unwrap_or(Measure { metric: Metric::Accuracy, device: None }));
    let pick = match pick {
        Some((Pick::Best(m), span)) if !objectives.iter().any(|o| o.measure == m) => {
            let d =
                Diagnostic::error(codes::GOAL, span, format!("`{}` is not an objective", m.metric.name()));
            found.push(d.help("pick by one of the objectives"));
            default
        }
        Some((pick, _)) => pick,
        None => default,
    };
    Goal { objectives, requirements, pick }
}

fn set_pick(pick: &mut Option<(Pick, Span)>, value: Pick, span: Span, found: &mut Vec<Diagnostic>) {
    if let Some((_, first)) = pick {
        found.push(
            Diagnostic::error(codes::DUPLICATE, span, "the goal has two `pick`s")
                .also(*first, "first here")
                .help("remove one of them"),
        );
    }
    *pick = Some((value, span));
}

fn measure(
    m: &ast::Measure,
    devices: &[DeviceRef],
    lost: &[&str],
    found: &mut Vec<Diagnostic>,
) -> Option<Measure> {
    let Some(metric) = Metric::ALL.into_iter().find(|k| k.name() == m.metric.name) else {
        let names = Metric::ALL.map(Metric::name);
        let all = format!("there are {}", names.join(", "));
        let message = format!("there is no metric `{}`", m.metric.name);
        found.push(Diagnostic::error(codes::METRIC, m.metric.span, message).help(did_you_mean(
            &m.metric.name,
            names,
            &all,
        )));
        return None;
    };
    let device = match &m.device {
        Some(d) => {
            let Some(i) = devices.iter().position(|k| k.name == d.name) else {
                let names: Vec<&str> = devices.iter().map(|k| k.name.as_str()).collect();
                let all = match names.as_slice() {
                    [] => format!("add `device {} = \"stm32f446\"`", d.name),
                    some => format!("the devices are {}", some.join(", ")),
                };
                if lost.contains(&d.name.as_str()) {
                    return None;
                }
                let message = format!("there is no device `{}`", d.name);
                found.push(Diagnostic::error(codes::DEVICE, d.span, message).help(did_you_mean(
                    &d.name,
                    names.iter().chain(lost).copied(),
                    &all,
                )));
                return None;
            };
            Some(i)
        }
        None => None,
    };
    let by_device = metric.needs_device() || matches!(metric, Metric::Ram | Metric::Flash);
    if !by_device {
        if let Some(d) = &m.device {
            let message = format!("{} does not depend on a device", metric.name());
            found.push(
                Diagnostic::error(codes::DEVICE, d.span, message)
                    .help(format!("write `{}` alone", metric.name())),
            );
            return None;
        }
        return Some(Measure { metric, device: None });
    }
    match (device, devices.len()) {
        (Some(i), _) => Some(Measure { metric, device: Some(i) }),
        // The only device is meant.
        (None, 1) => Some(Measure { metric, device: Some(0) }),
        (None, 0) => {
            let message = format!("{} needs a device", metric.name());
            let help = "add `device board = \"stm32f446\"` and write `on board`";
            found.push(Diagnostic::error(codes::DEVICE, m.metric.span, message).help(help));
            None
        }
        (None, _) => {
            let names: Vec<&str> = devices.iter().map(|k| k.name.as_str()).collect();
            let message = format!("on which device is this {}?", metric.name());
            let help = format!("add `on {}`", names.join("` or `on "));
            found.push(Diagnostic::error(codes::DEVICE, m.metric.span, message).help(help));
            None
        }
    }
}
