//! `task { .. }`: input, classes, data.

use super::settings::{quantity, Reader};
use super::spec::{Augment, DataFormat, DataSource, Dimension, Task};
use crate::codes;
use crate::diag::Diagnostic;
use crate::syntax::ast::{Expr, ExprKind, Section};

/// More than tiny networks can tell apart.
const MOST_CLASSES: usize = 4096;

/// What stands in where the file has no usable task, so that the rest can be checked.
pub(super) fn placeholder(span: crate::source::Span) -> Task {
    Task {
        input: (32, 32, 3),
        classes: vec!["a".into(), "b".into()],
        train: None,
        test: None,
        validation: 0.1,
        mean: vec![0.5; 3],
        std: vec![0.5; 3],
        augment: Augment::default(),
        span,
    }
}

pub(super) fn task(section: &Section, lost: &[&str], found: &mut Vec<Diagnostic>) -> Task {
    let mut out = placeholder(section.span);
    let mut r = Reader::new("task", section, found);
    match r.expr("input") {
        Some(e) => {
            if let Some(size) = image(e, r.found) {
                out.input = size;
            }
        }
        None => missing(&mut r, section, lost, "input", "input = image(96, 96, 3)"),
    }
    match r.expr("classes") {
        Some(e) => {
            if let Some(c) = classes(e, r.found) {
                out.classes = c;
            }
        }
        None => missing(&mut r, section, lost, "classes", "classes = [\"cat\", \"dog\"]"),
    }
    out.train = r.expr("train").and_then(|e| source(e, r.found));
    out.test = r.expr("test").and_then(|e| source(e, r.found));
    out.validation = r.number("validation", Dimension::Fraction, 0.01..=0.9).unwrap_or(0.1);
    let channels = out.input.2;
    (out.mean, out.std) = (vec![0.5; channels], vec![0.5; channels]);
    if let Some(s) = r.section("normalize") {
        let mut n = Reader::new("normalize", s, r.found);
        for (key, place) in [("mean", &mut out.mean), ("std", &mut out.std)] {
            let Some((values, span)) = n.numbers(key) else { continue };
            if values.len() != channels && values.len() != 1 {
                let m = format!("`{key}` has {} values, the image has {channels} channels", values.len());
                n.found.push(
                    Diagnostic::error(codes::VALUE, span, m).help("give one value, or one per channel"),
                );
            } else if key == "std" && values.iter().any(|v| *v <= 0.0) {
                let d = Diagnostic::error(codes::VALUE, span, "a standard deviation must be positive");
                n.found.push(d.help("values refer to pixels scaled to 0..1, for instance 0.5"));
            } else {
                *place = (0..channels)
                    .map(|i| values.get(i).or(values.first()).map_or(0.5, |v| *v as f32))
                    .collect();
            }
        }
        n.finish();
    }
    if let Some(s) = r.section("augment") {
        let mut a = Reader::new("augment", s, r.found);
        out.augment = Augment {
            flip: a.flag("flip").unwrap_or(false),
            crop: a.whole("crop", 0.0..=64.0).unwrap_or(0),
            brightness: a.number("brightness", Dimension::Fraction, 0.0..=1.0).unwrap_or(0.0) as f32,
            contrast: a.number("contrast", Dimension::Fraction, 0.0..=1.0).unwrap_or(0.0) as f32,
        };
        a.finish();
    }
    r.finish();
    out
}

fn missing(r: &mut Reader<'_, '_>, section: &Section, lost: &[&str], key: &str, example: &str) {
    // The key may be there damaged or with a wrong kind of value, which has been reported.
    if !lost.contains(&key) && section.settings.iter().all(|s| s.key.name != key) {
        let d = Diagnostic::error(codes::MISSING, section.span, format!("the task has no `{key}`"));
        r.found.push(d.help(format!("add `{example}`")));
    }
}

fn image(e: &Expr, found: &mut Vec<Diagnostic>) -> Option<(usize, usize, usize)> {
    let wrong = |found: &mut Vec<Diagnostic>| {
        let d = Diagnostic::error(codes::TYPE, e.span, "the input is an image");
        found.push(d.help("write `image(height, width, channels)`, for instance `image(96, 96, 3)`"));
    };
    let ExprKind::Call(name, args) = &e.kind else {
        wrong(found);
        return None;
    };
    if name.name != "image" || args.len() != 3 || args.iter().any(|a| a.name.is_some()) {
        wrong(found);
        return None;
    }
    let mut sizes = [0usize; 3];
    for ((arg, place), limit) in args.iter().zip(&mut sizes).zip([4096.0, 4096.0, 3.0]) {
        let x = quantity(&arg.value, Dimension::Plain, found)?;
        let channels = limit == 3.0;
        if x < 1.0 || x > limit || x.fract() != 0.0 || (channels && x == 2.0) {
            let m = format!("an image cannot be {} in this dimension", crate::syntax::print_number(x));
            let help = if channels {
                "channels are 1 (gray) or 3 (colour)"
            } else {
                "height and width are whole numbers from 1 to 4096"
            };
            found.push(Diagnostic::error(codes::VALUE, arg.value.span, m).help(help));
            return None;
        }
        *place = x as usize;
    }
    let [h, w, c] = sizes;
    Some((h, w, c))
}

fn classes(e: &Expr, found: &mut Vec<Diagnostic>) -> Option<Vec<String>> {
    let ExprKind::List(items) = &e.kind else {
        let d = Diagnostic::error(codes::TYPE, e.span, "the classes are a list of names");
        found.push(d.help("write `classes = [\"cat\", \"dog\"]`"));
        return None;
    };
    if items.len() > MOST_CLASSES {
        let m = format!("there are {} classes", items.len());
        let d = Diagnostic::error(codes::VALUE, e.span, m);
        found.push(d.help(format!("at most {MOST_CLASSES} can be told apart")));
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    for i in items {
        let ExprKind::Text(t) = &i.kind else {
            let d = Diagnostic::error(codes::TYPE, i.span, "a class is a text in double quotes");
            found.push(d.help(format!("write \"{}\"", crate::syntax::print_expr(i))));
            return None;
        };
        if names.contains(t) {
            let d = Diagnostic::error(codes::DUPLICATE, i.span, format!("class `{t}` is there twice"));
            found.push(d.help("remove one of them; the order of the classes is the order of the labels"));
            return None;
        }
        if t.is_empty() || t.contains(['/', '\\']) {
            let d = Diagnostic::error(codes::VALUE, i.span, format!("`{t}` cannot be the name of a class"));
            found.push(d.help("class names are also folder names: not empty, without slashes"));
            return None;
        }
        names.push(t.clone());
    }
    if names.len() < 2 {
        let d = Diagnostic::error(codes::VALUE, e.span, "there must be at least two classes");
        found.push(d.help("for one class against the rest, name both: [\"person\", \"other\"]"));
        return None;
    }
    Some(names)
}

fn source(e: &Expr, found: &mut Vec<Diagnostic>) -> Option<DataSource> {
    let help = "write `idx(\"dir/train\")`, `folder(\"dir/train\")` or `cifar(\"file.bin\")`";
    if let ExprKind::Call(name, args) = &e.kind {
        let format = match name.name.as_str() {
            "idx" => Some(DataFormat::Idx),
            "folder" => Some(DataFormat::Folder),
            "cifar" => Some(DataFormat::Cifar),
            other => {
                let m = format!("there is no data format `{other}`");
                let help = super::names::did_you_mean(other, ["idx", "folder", "cifar"], help);
                found.push(Diagnostic::error(codes::UNKNOWN_NAME, name.span, m).help(help));
                return None;
            }
        };
        if let (Some(format), [arg]) = (format, args.as_slice()) {
            if let ExprKind::Text(path) = &arg.value.kind {
                return Some(DataSource { format, path: path.clone(), span: e.span });
            }
        }
    }
    found.push(Diagnostic::error(codes::TYPE, e.span, "this is not a data source").help(help));
    None
}
