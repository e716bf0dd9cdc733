//! The picture of a study: every trial, the front, the requirements, the choice. Plain SVG.

use super::problem::{Quantity, Target};
use super::report::{digits, show, show_short, unit};
use super::study::{Outcome, Record, Study};
use std::fmt::Write;

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 560.0;
/// Left, right, top, bottom edges of the plot area.
const AREA: (f64, f64, f64, f64) = (84.0, 852.0, 92.0, 458.0);

const INK: &str = "#1f2937";
const MUTED: &str = "#6b7280";
const GRID: &str = "#e5e7eb";
const FIRST: &str = "#a8b0bd";
const MODEL: &str = "#3b82c4";
const FRONT: &str = "#0b5394";
const SHADE: &str = "#dbeafe";
const CHOSEN: &str = "#e8590c";
const FAILED: &str = "#c0392b";
const LIMIT: &str = "#8b5a2b";

/// An axis: values in base units to pixels.
struct Axis {
    name: String,
    quantity: Quantity,
    maximize: bool,
    low: f64,
    high: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Axis {
    /// The range shows all of `must` and the bulk of `may`; the rest is drawn at the border.
    fn new(target: &Target, must: &[f64], may: &[f64], limits: &[f64], from: f64, to: f64) -> Axis {
        let mut bulk = may.to_vec();
        bulk.sort_by(f64::total_cmp);
        let at = |q: f64| bulk.get(((bulk.len().max(1) - 1) as f64 * q).round() as usize).copied();
        let mut low = must.iter().copied().chain(at(0.0)).fold(f64::INFINITY, f64::min);
        let mut high = must.iter().copied().chain(at(1.0)).fold(f64::NEG_INFINITY, f64::max);
        // Stragglers on the bad side are cut off if they would take most of the picture.
        let (best, worst) = must
            .iter()
            .copied()
            .chain(if target.maximize { at(0.15) } else { at(0.85) })
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if worst > best {
            if target.maximize {
                low = low.max(best - 0.35 * (worst - best));
            } else {
                high = high.min(worst + 0.35 * (worst - best));
            }
        }
        // A limit close by is shown.
        for l in limits {
            if *l > high && *l <= high + 0.3 * (high - low) {
                high = *l;
            }
            if *l < low && *l >= low - 0.3 * (high - low) {
                low = *l;
            }
        }
        if !(low.is_finite() && high.is_finite()) {
            (low, high) = (0.0, 1.0);
        }
        if high <= low {
            let pad = (0.05 * low.abs()).max(1e-9);
            (low, high) = (low - pad, high + pad);
        }
        let log = low > 0.0 && high / low > 15.0;
        if log {
            let pad = (high / low).powf(0.05);
            (low, high) = (low / pad, high * pad);
        } else {
            let pad = 0.06 * (high - low);
            let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
            (low, high) = ((low - pad).max(floor), high + pad);
            if target.quantity == Quantity::Fraction {
                high = high.min(1.0f64.max(high - pad));
            }
            // The chosen point's label stands above it.
            if from > to {
                let room = 0.1 * (high - low);
                high += room;
            }
        }
        // A trial measures it on the validation images.
        let name = if target.name == "accuracy" { "validation accuracy" } else { &target.name }.to_string();
        let (quantity, maximize) = (target.quantity, target.maximize);
        Axis { name, quantity, maximize, low, high, log, from, to }
    }

    fn pixel(&self, value: f64) -> f64 {
        let f = |v: f64| if self.log { v.max(f64::MIN_POSITIVE).ln() } else { v };
        let part = (f(value) - f(self.low)) / (f(self.high) - f(self.low));
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn inside(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The pixel of the end where values are worst.
    fn worst(&self) -> f64 {
        if self.maximize {
            self.from
        } else {
            self.to
        }
    }

    fn unit(&self) -> (f64, &'static str) {
        unit(self.quantity, if self.log { (self.low * self.high).sqrt() } else { 0.6 * self.high })
    }

    fn title(&self) -> String {
        let (_, unit) = self.unit();
        let (open, close) = if unit.is_empty() { ("", "") } else { (" (", ")") };
        format!("{}{open}{unit}{close}", self.name)
    }

    /// Values in base units with their labels.
    fn ticks(&self) -> Vec<(f64, String)> {
        let (factor, _) = self.unit();
        let (low, high) = (self.low * factor, self.high * factor);
        let mut out = Vec::new();
        if self.log {
            let wide = high / low > 300.0;
            let steps: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
            for decade in low.log10().floor() as i32..=high.log10().ceil() as i32 {
                for s in steps {
                    let v = s * 10f64.powi(decade);
                    if (low..=high).contains(&v) {
                        out.push((v / factor, digits(v)));
                    }
                }
            }
            return out;
        }
        let step = nice((high - low) / 8.0);
        let places = (-step.log10().floor()).max(0.0) as usize;
        let places =
            if (step * 10f64.powi(places as i32)).fract().abs() > 1e-6 { places + 1 } else { places };
        let mut k = (low / step).ceil();
        while k * step <= high * (1.0 + 1e-12) && out.len() < 20 {
            let v = k * step;
            out.push((v / factor, format!("{:.places$}", if v == 0.0 { 0.0 } else { v })));
            k += 1.0;
        }
        out
    }
}

/// The next number of 1, 2, 2.5, 5 times a power of ten (Heckbert 1990, "Nice numbers for graph labels").
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].iter().map(|m| m * power).find(|s| *s >= step * 0.999).unwrap_or(step)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn text(svg: &mut String, x: f64, y: f64, style: &str, content: &str) {
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" {style}>{}</text>"#, escape(content));
}

/// The Pareto front of a study as SVG: the first objective upwards, the second to the right, so with
/// more than two it is a projection; with one objective, its course over the trials. `title` stands
/// on top, say the spec's name.
pub fn front_svg(study: &Study, title: &str) -> String {
    let trials =
        Target { name: "trial".into(), quantity: Quantity::Plain, maximize: true, known: true, ideal: None };
    let objectives = &study.problem.objectives;
    let Some(up) = objectives.first() else { return String::new() };
    let single = objectives.len() == 1;
    let right = objectives.get(1).unwrap_or(&trials);
    let get = |r: &Record, t: &Target| {
        if single && std::ptr::eq(t, right) {
            Some(r.trial.number as f64)
        } else {
            r.value(&t.name)
        }
    };
    let guess = |r: &Record, t: &Target| -> Option<f64> { get(r, t).or_else(|| r.estimate(&t.name)) };
    let records = study.records();
    let front: Vec<&Record> = study.front().into_iter().filter_map(|n| records.get(n)).collect();
    let done: Vec<&Record> = records.iter().filter(|r| r.is_done()).collect();
    let limits = |t: &Target| -> Vec<f64> {
        study.problem.limits.iter().filter(|l| l.name == t.name).map(|l| l.limit).collect()
    };
    let axis = |t: &Target, from: f64, to: f64| {
        let of = |rs: &[&Record]| -> Vec<f64> { rs.iter().filter_map(|r| get(r, t)).collect() };
        let shown = if single && t.name == "trial" { of(&done) } else { of(&front) };
        Axis::new(t, &shown, &of(&done), &limits(t), from, to)
    };
    let (left, far, top, bottom) = AREA;
    let mut x = axis(right, left, far);
    let y = axis(up, bottom, top);
    if single {
        (x.low, x.high, x.log) = (-0.5, records.len().max(1) as f64, false);
    }

    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif" font-size="13.5" fill="{INK}" role="img">"#
    );
    let _ = writeln!(svg, "<title>{}</title>", escape(title));
    let _ = writeln!(svg, r##"<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>"##);
    text(&mut svg, left, 38.0, r#"font-size="19" font-weight="600""#, title);
    text(&mut svg, left, 62.0, &format!(r#"fill="{MUTED}""#), &subtitle(study, front.len()));

    // The grid and the axes.
    for (v, label) in x.ticks() {
        let p = x.pixel(v);
        let _ = writeln!(
            svg,
            r#"<path d="M{p:.1} {top}V{bottom}" stroke="{GRID}"/><path d="M{p:.1} {bottom}v5" stroke="{MUTED}"/>"#
        );
        text(&mut svg, p, bottom + 21.0, &format!(r#"text-anchor="middle" fill="{MUTED}""#), &label);
    }
    for (v, label) in y.ticks() {
        let p = y.pixel(v);
        let _ = writeln!(
            svg,
            r#"<path d="M{left} {p:.1}H{far}" stroke="{GRID}"/><path d="M{left} {p:.1}h-5" stroke="{MUTED}"/>"#
        );
        text(&mut svg, left - 10.0, p + 4.5, &format!(r#"text-anchor="end" fill="{MUTED}""#), &label);
    }
    let middle = (left + far) / 2.0;
    text(&mut svg, middle, bottom + 46.0, r#"text-anchor="middle" font-weight="600""#, &x.title());
    let (mx, my) = (24.0, (top + bottom) / 2.0);
    let turned = format!(r#"text-anchor="middle" font-weight="600" transform="rotate(-90 {mx} {my})""#);
    text(&mut svg, mx, my, &turned, &y.title());

    // The front: what it dominates is shaded.
    let mut steps: Vec<(f64, f64)> = if single {
        best_so_far(&done, up)
    } else {
        front.iter().filter_map(|r| Some((get(r, right)?, get(r, up)?))).collect()
    };
    let projection = objectives.len() > 2;
    if !steps.is_empty() && !projection {
        // From the best x to the worst; the first point is already the best in x.
        if !single {
            let sign = if x.maximize { -1.0 } else { 1.0 };
            steps.sort_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)));
        }
        let (end_x, end_y) = if single { (far, bottom) } else { (x.worst(), y.worst()) };
        let mut line = String::new();
        let mut first = (0.0, 0.0);
        for (i, (vx, vy)) in steps.iter().enumerate() {
            let (px, py) = (x.pixel(*vx), y.pixel(*vy));
            if i == 0 {
                first = (px, py);
                let _ = write!(line, "M{px:.1} {py:.1}");
            } else {
                let _ = write!(line, "H{px:.1}V{py:.1}");
            }
        }
        let _ = write!(line, "H{end_x:.1}");
        let shade = format!("{line}V{end_y:.1}H{:.1}Z", first.0);
        let _ = writeln!(svg, r#"<path d="{shade}" fill="{SHADE}" fill-opacity="0.55"/>"#);
        let start = if single { first.1 } else { end_y };
        let _ = writeln!(
            svg,
            r#"<path d="M{:.1} {start:.1}V{:.1}{}" fill="none" stroke="{FRONT}" stroke-width="2" stroke-linejoin="round"/>"#,
            first.0,
            first.1,
            line.split_at(line.find('H').unwrap_or(0)).1
        );
    }
    let _ = writeln!(svg, r#"<path d="M{left} {top}V{bottom}H{far}" fill="none" stroke="{MUTED}"/>"#);

    limit_lines(&mut svg, study, &x, &y);
    let mut shown = Shown::default();
    let chosen = study.chosen();
    for record in records {
        let (vx, vy) = (get(record, right), get(record, up));
        let on_front = front.iter().any(|f| f.trial.number == record.trial.number);
        let seeded = record.trial.number < study.settings.initial;
        let tip = format!(r"<title>{}</title>", escape(&hint(record, study)));
        match (&record.outcome, vx, vy) {
            (Some(Outcome::Failed { .. }), vx, _) => {
                shown.failed = true;
                let px = vx.map_or(left, |v| x.pixel(v));
                let py = bottom - 9.0;
                let _ = writeln!(
                    svg,
                    r#"<path d="M{:.1} {:.1}l8 8m0 -8l-8 8" stroke="{FAILED}" stroke-width="2" fill="none">{tip}</path>"#,
                    px - 4.0,
                    py - 4.0
                );
            }
            (Some(Outcome::Stopped { .. }), ..) => {
                let Some((vx, vy)) = guess(record, right).zip(guess(record, up)) else { continue };
                if x.inside(vx) && y.inside(vy) {
                    shown.stopped = true;
                    let (px, py) = (x.pixel(vx), y.pixel(vy));
                    let _ = writeln!(
                        svg,
                        r#"<circle cx="{px:.1}" cy="{py:.1}" r="3.6" fill="none" stroke="{MODEL}" stroke-dasharray="2 1.5">{tip}</circle>"#
                    );
                }
            }
            (Some(_), Some(vx), Some(vy)) => {
                let (px, py) = (x.pixel(vx), y.pixel(vy));
                if !x.inside(vx) || !y.inside(vy) {
                    shown.outside = true;
                    let turn = match (x.inside(vx), vy < y.low, vx > x.high) {
                        (true, true, _) => 180,
                        (true, false, _) => 0,
                        (false, _, true) => 90,
                        (false, ..) => 270,
                    };
                    let _ = writeln!(
                        svg,
                        r#"<path d="M-4.5 3.5L0 -4.5L4.5 3.5Z" transform="translate({px:.1} {py:.1}) rotate({turn})" fill="{FIRST}">{tip}</path>"#
                    );
                } else if study.costs(record).is_none() {
                    shown.infeasible = true;
                    let _ = writeln!(
                        svg,
                        r##"<circle cx="{px:.1}" cy="{py:.1}" r="4.2" fill="#ffffff" stroke="{FAILED}" stroke-width="1.5">{tip}</circle>"##
                    );
                } else if !on_front {
                    let colour = if seeded { FIRST } else { MODEL };
                    *(if seeded { &mut shown.first } else { &mut shown.model }) = true;
                    let _ = writeln!(
                        svg,
                        r#"<circle cx="{px:.1}" cy="{py:.1}" r="4.2" fill="{colour}" fill-opacity="0.75">{tip}</circle>"#
                    );
                }
            }
            _ => {}
        }
    }
    for record in &front {
        let (Some(vx), Some(vy)) = (get(record, right), get(record, up)) else { continue };
        let tip = format!(r"<title>{}</title>", escape(&hint(record, study)));
        let _ = writeln!(
            svg,
            r##"<circle cx="{:.1}" cy="{:.1}" r="5.5" fill="{FRONT}" stroke="#ffffff" stroke-width="1.3">{tip}</circle>"##,
            x.pixel(vx),
            y.pixel(vy)
        );
    }
    if let Some(record) = chosen.and_then(|n| records.get(n)) {
        if let (Some(vx), Some(vy)) = (get(record, right), get(record, up)) {
            let label = if single {
                format!("trial {}: {}", record.trial.number, show(y.quantity, vy))
            } else {
                format!("{} at {}", show(y.quantity, vy), show(x.quantity, vx))
            };
            mark_chosen(&mut svg, x.pixel(vx), y.pixel(vy), &label);
        }
    }
    shown.front = !front.is_empty();
    shown.chosen = chosen.is_some();
    legend(&mut svg, &shown, study, projection);
    svg.push_str("</svg>\n");
    svg
}

fn subtitle(study: &Study, front: usize) -> String {
    let failed = study.records().iter().filter(|r| matches!(r.outcome, Some(Outcome::Failed { .. }))).count();
    let told = study.records().iter().filter(|r| r.outcome.is_some()).count();
    let mut parts = vec![format!("{told} trials"), format!("{front} on the front")];
    let stopped =
        study.records().iter().filter(|r| matches!(r.outcome, Some(Outcome::Stopped { .. }))).count();
    if stopped > 0 {
        parts.push(format!("{stopped} stopped early"));
    }
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    let limits: Vec<String> = study
        .problem
        .limits
        .iter()
        .map(|l| {
            format!("{} {} {}", l.name, if l.at_least { "≥" } else { "≤" }, show_short(l.quantity, l.limit))
        })
        .collect();
    if !limits.is_empty() {
        parts.push(format!("required: {}", limits.join(", ")));
    }
    parts.join("  ·  ")
}

fn hint(record: &Record, study: &Study) -> String {
    let mut lines = vec![format!("trial {}", record.trial.number)];
    let names = (study.problem.objectives.iter().map(|o| (&o.name, o.quantity)))
        .chain(study.problem.limits.iter().map(|l| (&l.name, l.quantity)));
    for (name, quantity) in names {
        let line = record.value(name).map(|v| format!("{name}: {}", show(quantity, v)));
        lines.extend(line.filter(|l| !lines.contains(l)));
    }
    if let Some(Outcome::Stopped { step, predicted }) = &record.outcome {
        lines.push(format!("stopped after step {step}, expected:"));
        for o in &study.problem.objectives {
            lines.extend(predicted.get(&o.name).map(|v| format!("{}: {}", o.name, show(o.quantity, *v))));
        }
    }
    if let Some(Outcome::Failed { reason }) = &record.outcome {
        lines.push(format!("failed: {reason}"));
    }
    lines.join("\n")
}

fn best_so_far(done: &[&Record], objective: &Target) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = Vec::new();
    for r in done {
        let Some(v) = r.value(&objective.name) else { continue };
        let better = |old: f64| if objective.maximize { v > old } else { v < old };
        if out.last().is_none_or(|(_, old)| better(*old)) {
            out.push((r.trial.number as f64, v));
        }
    }
    out
}

/// Requirements on what the axes show.
fn limit_lines(svg: &mut String, study: &Study, x: &Axis, y: &Axis) {
    let (left, far, top, bottom) = AREA;
    let style = format!(r#"stroke="{LIMIT}" stroke-width="1.5" stroke-dasharray="6 4" fill="none""#);
    for l in &study.problem.limits {
        let label =
            format!("required {} {}", if l.at_least { "≥" } else { "≤" }, show_short(l.quantity, l.limit));
        if l.name == x.name && x.inside(l.limit) {
            let p = x.pixel(l.limit);
            let _ = writeln!(svg, r#"<path d="M{p:.1} {top}V{bottom}" {style}/>"#);
            let place = format!(
                r#"fill="{LIMIT}" text-anchor="end" font-size="12.5" transform="rotate(-90 {:.1} {:.1})""#,
                p - 6.0,
                top + 4.0
            );
            text(svg, p - 6.0, top + 4.0, &place, &label);
        } else if l.name == y.name && y.inside(l.limit) {
            let p = y.pixel(l.limit);
            let _ = writeln!(svg, r#"<path d="M{left} {p:.1}H{far}" {style}/>"#);
            let place = format!(r#"fill="{LIMIT}" text-anchor="end" font-size="12.5""#);
            text(svg, far - 4.0, p + 16.0, &place, &label);
        }
    }
}

fn mark_chosen(svg: &mut String, px: f64, py: f64, label: &str) {
    let _ = writeln!(
        svg,
        r##"<circle cx="{px:.1}" cy="{py:.1}" r="9.5" fill="none" stroke="{CHOSEN}" stroke-width="2.4"/><circle cx="{px:.1}" cy="{py:.1}" r="5.5" fill="{CHOSEN}" stroke="#ffffff" stroke-width="1.3"/>"##
    );
    // To the upper left, where a front leaves room, else to the lower right.
    let length = text_width(label, 13.5);
    let (anchor, lx, ly) = if px - 12.0 - length > AREA.0 {
        ("end", px - 12.0, (py - 12.0).max(AREA.2 + 8.0))
    } else {
        ("start", px + 14.0, py + 22.0)
    };
    // A white edge, as a text of its own: not every viewer knows `paint-order`.
    let style = format!(r#"text-anchor="{anchor}" font-weight="600""#);
    let edge =
        r##"aria-hidden="true" fill="#ffffff" stroke="#ffffff" stroke-width="4" stroke-linejoin="round""##;
    text(svg, lx, ly, &format!("{style} {edge}"), label);
    text(svg, lx, ly, &format!(r#"{style} fill="{CHOSEN}""#), label);
}

/// About the width of a text in Helvetica, which no SVG viewer needs to have.
fn text_width(label: &str, size: f64) -> f64 {
    let part = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'I' | ' ' | '.' | ',' | ':' => 0.29,
        'm' | 'w' | 'M' | 'W' | '%' => 0.84,
        c if c.is_uppercase() => 0.69,
        _ => 0.55,
    };
    size * label.chars().map(part).sum::<f64>()
}

/// What occurs in a picture, and so in its legend.
#[derive(Default)]
struct Shown {
    first: bool,
    model: bool,
    front: bool,
    chosen: bool,
    infeasible: bool,
    stopped: bool,
    failed: bool,
    outside: bool,
}

fn legend(svg: &mut String, shown: &Shown, study: &Study, projection: bool) {
    use crate::check::spec::Algorithm;
    let later = match study.settings.algorithm {
        Algorithm::Random => "random trial",
        Algorithm::Nsga2 => "bred by NSGA-II",
        Algorithm::Mobo => "suggested by the model",
        Algorithm::Tpe => "drawn by TPE",
        Algorithm::LocalSearch => "neighbour of the front",
    };
    let dot = |fill: &str| format!(r#"<circle r="4.2" fill="{fill}" fill-opacity="0.75"/>"#);
    let first = if study.settings.algorithm == Algorithm::Random { later } else { "initial design" };
    let mut entries: Vec<(String, &str)> = Vec::new();
    if shown.first {
        entries.push((dot(FIRST), first));
    }
    if shown.model {
        entries.push((dot(MODEL), later));
    }
    if shown.front {
        let line = if projection { "" } else { r#"<path d="M-13 0H13" stroke-width="2"/>"# };
        let mark = format!(r#"<g stroke="{FRONT}">{line}</g><circle r="5.5" fill="{FRONT}"/>"#);
        entries.push((mark, "Pareto front"));
    }
    if shown.chosen {
        let mark = format!(
            r#"<circle r="8" fill="none" stroke="{CHOSEN}" stroke-width="2"/><circle r="4.5" fill="{CHOSEN}"/>"#
        );
        entries.push((mark, "chosen"));
    }
    if shown.infeasible {
        let mark = format!(r##"<circle r="4.2" fill="#ffffff" stroke="{FAILED}" stroke-width="1.5"/>"##);
        entries.push((mark, "breaks a requirement"));
    }
    if shown.stopped {
        let mark = format!(r#"<circle r="3.6" fill="none" stroke="{MODEL}" stroke-dasharray="2 1.5"/>"#);
        entries.push((mark, "stopped early, as expected"));
    }
    if shown.failed {
        entries.push((
            format!(r#"<path d="M-4 -4l8 8m0 -8l-8 8" stroke="{FAILED}" stroke-width="2"/>"#),
            "failed",
        ));
    }
    if shown.outside {
        entries.push((format!(r#"<path d="M-4.5 3.5L0 -4.5L4.5 3.5Z" fill="{FIRST}"/>"#), "off the scale"));
    }
    let width = |label: &str| 56.0 + text_width(label, 13.0);
    let mut rows: Vec<(f64, Vec<(String, &str)>)> = Vec::new();
    for entry in entries {
        let wide = width(entry.1);
        match rows.last_mut() {
            Some((total, row)) if *total + wide <= WIDTH => {
                *total += wide;
                row.push(entry);
            }
            _ => rows.push((wide, vec![entry])),
        }
    }
    let first = HEIGHT - if rows.len() > 1 { 34.0 } else { 24.0 };
    for (i, (total, row)) in rows.into_iter().enumerate() {
        let mut at = (WIDTH - total) / 2.0 + 14.0;
        let y = first + 22.0 * i as f64;
        for (mark, label) in row {
            let _ = writeln!(svg, r#"<g transform="translate({at:.1} {y})">{mark}</g>"#);
            text(svg, at + 18.0, y + 4.5, r#"font-size="13""#, label);
            at += width(label);
        }
    }
}
