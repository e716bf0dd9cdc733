//! Requirements that no network of the space can meet, found before anything is trained.

use super::Project;
use crate::check::spec::{Measure, Metric, Requirement};
use crate::codes;
use crate::diag::Diagnostic;
use crate::space::{DecisionKind, Point, SearchSpace};
use rand::SeedableRng;

/// Random points from which the smallest network is sought.
const STARTS: usize = 6;
/// Sweeps over the decisions from one start.
const SWEEPS: usize = 4;

impl Project {
    /// An error for every limit on a computed measure that even the smallest network found breaks. The
    /// smallest is sought by improving one decision at a time from several points: on the monotone
    /// measures that these are, that finds it in practice, but it is no proof.
    pub fn impossible(&self) -> Vec<Diagnostic> {
        let limits = self.checked.spec.goal.requirements.iter().filter(|r| r.measure.computed);
        limits.filter_map(|r| self.broken(r)).collect()
    }

    fn broken(&self, r: &Requirement) -> Option<Diagnostic> {
        let (least, point) = self.least(&r.measure, r.limit)?;
        if least <= r.limit {
            return None;
        }
        let names = self.device_names();
        let on = r.measure.device.and_then(|d| names.get(d)).map(|d| format!(" on {d}")).unwrap_or_default();
        let metric = &r.measure.metric;
        let show = |x: f64| match metric {
            Metric::Ram | Metric::Flash => format!("{:.1} KiB", x / 1024.0),
            Metric::Latency => format!("{:.2} ms", x * 1e3),
            Metric::Energy => format!("{:.3} mJ", x * 1e3),
            _ => format!("{x:.0}"),
        };
        let decisions: Vec<String> = self
            .checked
            .space
            .describe(&point)
            .into_iter()
            .take(6)
            .map(|(path, value)| format!("{path} = {value}"))
            .collect();
        let m = format!("no network of the space keeps this limit{on}");
        let mut d = Diagnostic::error(codes::IMPOSSIBLE, r.span, m).label(format!(
            "the smallest found has {} {}",
            metric.name(),
            show(least)
        ));
        d.help = match decisions.as_slice() {
            [] => "raise the limit, or make the network smaller".to_string(),
            some => format!("raise the limit, or add smaller choices; the smallest is {}", some.join(", ")),
        };
        Some(d)
    }

    /// The least value found of a measure; stops early below `enough`.
    fn least(&self, measure: &Measure, enough: f64) -> Option<(f64, Point)> {
        let space = &self.checked.space;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        let mut best: Option<(f64, Point)> = None;
        for start in 0..STARTS {
            let mut point = if start == 0 { space.first_point() } else { space.sample(&mut rng) };
            let Some(mut value) = self.value(measure, &point) else { continue };
            for _ in 0..SWEEPS {
                let before = value;
                for (i, info) in space.decisions().iter().enumerate() {
                    // Numbers: the ends are enough to go on with; names: all.
                    let n = info.values.len();
                    let tried: Vec<usize> = match info.kind {
                        DecisionKind::Ordinal(_) if n > 8 => vec![0, n / 2, n - 1],
                        _ => (0..n).collect(),
                    };
                    for v in tried {
                        let mut wish = point.0.clone();
                        if let Some(w) = wish.get_mut(i).filter(|w| w.is_some()) {
                            *w = u32::try_from(v).ok();
                        }
                        let Some(next) = space.repair(&wish, &mut rng) else { continue };
                        if let Some(x) = self.value(measure, &next).filter(|x| *x < value) {
                            (value, point) = (x, next);
                        }
                    }
                }
                if value >= before || value <= enough {
                    break;
                }
            }
            if best.as_ref().is_none_or(|(b, _)| value < *b) {
                best = Some((value, point));
            }
            if value <= enough {
                break;
            }
        }
        best
    }

    fn value(&self, measure: &Measure, point: &Point) -> Option<f64> {
        let design = self.design(point).ok()?;
        let names = self.device_names();
        self.known_values(&design).get(&measure.name(&names)).copied()
    }
}
