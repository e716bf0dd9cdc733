//! `goal { .. }`: objectives, requirements, choice.

use super::measure::Measures;
use super::settings::quantity;
use super::spec::{Dimension, Goal, Measure, Metric, Objective, Pick, Requirement};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{self, Expr, ExprKind};

/// All statements of all `goal` items together.
pub(super) fn goal(
    statements: &[&ast::Goal],
    measures: Measures<'_>,
    span: Span,
    found: &mut Vec<Diagnostic>,
) -> Goal {
    let measure = |m: &ast::Measure, found: &mut Vec<Diagnostic>| measures.resolve(m, found);
    let mut objectives: Vec<Objective> = Vec::new();
    let mut requirements: Vec<Requirement> = Vec::new();
    let mut pick: Option<(Pick, Span)> = None;
    for s in statements {
        match s {
            ast::Goal::Objective { maximize, measure: m, range, span } => {
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
                if let Some(natural) = measure.metric.is_good().filter(|n| n != maximize) {
                    let word = if natural { "maximize" } else { "minimize" };
                    let message = format!("this asks for the worst {}", m.metric.name);
                    found
                        .push(Diagnostic::error(codes::GOAL, *span, message).help(format!("write `{word}`")));
                    continue;
                }
                let range = range.as_ref().and_then(|r| preferred(r, &measure, found));
                objectives.push(Objective { maximize: *maximize, measure, range, span: *span });
            }
            ast::Goal::Require { measure: m, comparison, limit, span } => {
                let Some(measure) = measure(m, found) else { continue };
                let Some(value) = quantity(limit, measure.dimension, found) else { continue };
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
                if measure.metric.is_good().is_some_and(|good| good != at_least) {
                    let word = if at_least { "at least" } else { "at most" };
                    let message = format!("this asks for {word} so much {}", m.metric.name);
                    let help = if at_least { "write `<=`" } else { "write `>=`" };
                    found.push(Diagnostic::error(codes::GOAL, comparison.span, message).help(help));
                    continue;
                }
                if !fits(value, &measure, limit, found) {
                    continue;
                }
                if value <= 0.0 && measure.metric.is_good().is_some() {
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
    // What is worse than the worse end of a range is of no interest, so it is no result.
    for o in &objectives {
        let Some(limit) = o.range.map(|(low, high)| if o.maximize { low } else { high }) else { continue };
        let (measure, span) = (o.measure.clone(), o.span);
        requirements.push(Requirement { measure, at_least: o.maximize, limit, span });
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
    let first = objectives.first().map(|o| o.measure.clone());
    let default = Pick::Best(first.unwrap_or_else(Measure::accuracy));
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

/// Whether a number can be a value of a measure.
fn fits(value: f64, measure: &Measure, written: &Expr, found: &mut Vec<Diagnostic>) -> bool {
    if measure.metric == Metric::Accuracy && !(0.0..=1.0).contains(&value) {
        let (span, written) = (written.span, crate::syntax::print_expr(written));
        let message = format!("an accuracy of {written} is not between 0% and 100%");
        let d = Diagnostic::error(codes::VALUE, span, message);
        found.push(d.help("write for instance `87%`"));
        return false;
    }
    true
}

/// `20 ms .. 100 ms` behind an objective.
fn preferred(range: &Expr, measure: &Measure, found: &mut Vec<Diagnostic>) -> Option<(f64, f64)> {
    let example = match measure.dimension {
        Dimension::Fraction => "`80%..95%`",
        Dimension::Bytes => "`32 KiB..96 KiB`",
        Dimension::Time => "`20 ms..100 ms`",
        Dimension::Energy => "`1 mJ..5 mJ`",
        Dimension::Plain | Dimension::Count => "`1 k..20 k`",
    };
    let ExprKind::Range { low, high, step: None } = &range.kind else {
        let d = Diagnostic::error(codes::TYPE, range.span, "what is preferred is a range of values");
        found.push(d.help(format!("write for instance {example}")));
        return None;
    };
    let a = quantity(low, measure.dimension, found);
    let b = quantity(high, measure.dimension, found);
    let (a, b) = (a?, b?);
    if !fits(a, measure, low, found) || !fits(b, measure, high, found) {
        return None;
    }
    if a >= b {
        let d = Diagnostic::error(codes::VALUE, range.span, "this range is empty");
        found.push(d.help(format!("the smaller value comes first: {example}")));
        return None;
    }
    Some((a, b))
}
