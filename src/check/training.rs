//! `train`, `final`, `emit`.

use super::names::did_you_mean;
use super::settings::Reader;
use super::spec::{Dimension, Emit, EmitTarget, Int8, Optimizer, Precision, Search, Training};
use crate::codes;
use crate::diag::Diagnostic;
use crate::syntax::ast::{Ident, Section};

/// How a trial is trained where the spec is silent.
pub(super) fn trial() -> Training {
    Training {
        epochs: 3,
        batch: 64,
        optimizer: Optimizer::AdamW,
        learning_rate: 3e-3,
        weight_decay: 0.01,
        warmup: 0.1,
        label_smoothing: 0.0,
        patience: 0,
        subset: 1.0,
    }
}

/// `final { .. }`: what it does not say is as in the search, but for the length.
pub(super) fn finish(
    section: Option<&Section>,
    search: &Search,
    found: &mut Vec<Diagnostic>,
) -> (Training, Option<Int8>) {
    let base = Training { epochs: (search.train.epochs * 5).max(20), subset: 1.0, ..search.train.clone() };
    let Some(section) = section else { return (base, None) };
    let mut r = Reader::new("final", section, found);
    let int8 = r.section("int8");
    let train = settings(&mut r, section, base);
    r.finish();
    let int8 = int8.and_then(|s| self::int8(s, &train, found));
    (train, int8)
}

/// `int8 { .. }` in `final`: a short training with a tenth of the rate.
fn int8(section: &Section, finish: &Training, found: &mut Vec<Diagnostic>) -> Option<Int8> {
    let mut r = Reader::new("int8", section, found);
    let loss = r.number("loss", Dimension::Fraction, 0.0..=1.0);
    if r.any("loss").is_none() {
        let d = Diagnostic::error(codes::MISSING, section.span, "`int8` does not say what it may cost");
        r.found.push(d.help("add the accuracy that may be lost, such as `loss = 1%`"));
    }
    let base = Training {
        epochs: (finish.epochs / 5).max(1),
        learning_rate: finish.learning_rate / 10.0,
        ..finish.clone()
    };
    let train = settings(&mut r, section, base);
    r.finish();
    Some(Int8 { loss: loss?, train, span: section.span })
}

/// `train { .. }`
pub(super) fn training(
    what: &'static str,
    section: &Section,
    base: Training,
    found: &mut Vec<Diagnostic>,
) -> Training {
    let mut r = Reader::new(what, section, found);
    let out = settings(&mut r, section, base);
    r.finish();
    out
}

/// What all trainings have.
fn settings(r: &mut Reader, section: &Section, base: Training) -> Training {
    let sgd = r.one_of("optimizer", &[("adamw", false), ("sgd", true)]);
    let momentum = r.number("momentum", Dimension::Fraction, 0.0..=0.999);
    let optimizer = match sgd {
        Some(true) => Optimizer::Sgd { momentum: momentum.unwrap_or(0.9) },
        Some(false) => Optimizer::AdamW,
        None => match (base.optimizer, momentum) {
            (Optimizer::Sgd { .. }, Some(momentum)) => Optimizer::Sgd { momentum },
            (same, _) => same,
        },
    };
    if momentum.is_some() && optimizer == Optimizer::AdamW {
        let span = r.expr("momentum").map_or(section.span, |e| e.span);
        let d = Diagnostic::error(codes::VALUE, span, "`momentum` belongs to `sgd`");
        r.found.push(d.help("add `optimizer = sgd`, or remove it"));
    }
    // The usual peak rates of the two differ by more than an order of magnitude.
    let usual = match (sgd, optimizer) {
        (Some(true), _) => 0.1,
        (Some(false), _) => 3e-3,
        _ => base.learning_rate,
    };
    Training {
        epochs: r.whole("epochs", 1.0..=1e5).unwrap_or(base.epochs),
        batch: r.whole("batch", 1.0..=65536.0).unwrap_or(base.batch),
        optimizer,
        learning_rate: r.number("learning_rate", Dimension::Plain, 1e-9..=100.0).unwrap_or(usual),
        weight_decay: r.number("weight_decay", Dimension::Plain, 0.0..=10.0).unwrap_or(base.weight_decay),
        warmup: r.number("warmup", Dimension::Fraction, 0.0..=1.0).unwrap_or(base.warmup),
        label_smoothing: r
            .number("label_smoothing", Dimension::Fraction, 0.0..=0.9)
            .unwrap_or(base.label_smoothing),
        patience: r.whole("patience", 0.0..=1e5).unwrap_or(base.patience),
        subset: r.number("subset", Dimension::Fraction, 0.001..=1.0).unwrap_or(base.subset),
    }
}

pub(super) fn emit(target: &Ident, section: &Section, found: &mut Vec<Diagnostic>) -> Option<Emit> {
    let mut r = Reader::new("emit", section, found);
    let precision =
        r.one_of("precision", &[("float", Precision::Float), ("int8", Precision::Int8)]).unwrap_or_default();
    r.finish();
    let known = [("onnx", EmitTarget::Onnx), ("rust", EmitTarget::Rust)];
    match known.iter().find(|(n, _)| *n == target.name) {
        Some((_, t)) => Some(Emit { target: *t, precision, span: target.span.to(section.span) }),
        None => {
            let m = format!("nothing can be emitted as `{}`", target.name);
            let help =
                did_you_mean(&target.name, known.map(|k| k.0), "there are `emit onnx` and `emit rust`");
            found.push(Diagnostic::error(codes::UNKNOWN_NAME, target.span, m).help(help));
            None
        }
    }
}
