//! Requirements that no network of the space can meet, found before anything is trained.

use super::Project;
use crate::check::spec::{Dimension, Measure, Metric, Requirement};
use crate::codes;
use crate::diag::Diagnostic;
use crate::space::{DecisionKind, Point, SearchSpace};
use rand::SeedableRng;

/// Random points from which the smallest network is sought.
const STARTS: usize = 6;
/// Sweeps over the decisions from one start.
const SWEEPS: usize = 4;

/// Spaces whose points are all looked at in at most so many runs are, before a limit is called
/// impossible.
const ENUMERATED: usize = 1_000;

impl Project {
    /// What no network found keeps: limits of the goal on computed measures, and the RAM and flash of the
    /// devices. An error where that is proved, by looking at every point or because the image alone is
    /// larger than the RAM. Else a warning: the smallest network is sought by improving one decision at a
    /// time from several points, which finds it in practice and proves nothing.
    pub fn impossible(&self) -> Vec<Diagnostic> {
        let goal = self.checked.spec.goal.requirements.iter();
        let mut limits: Vec<(Requirement, bool)> =
            goal.filter(|r| r.measure.computed).map(|r| (r.clone(), false)).collect();
        for (i, (device, profile)) in self.checked.spec.devices.iter().zip(&self.profiles).enumerate() {
            for (metric, has) in [(Metric::Ram, profile.ram()), (Metric::Flash, profile.flash())] {
                let measure =
                    Measure { metric, device: Some(i), dimension: Dimension::Bytes, computed: true };
                let limit = has as f64;
                // A limit of the goal that is at least as strict says it already.
                if !limits.iter().any(|(r, _)| r.measure == measure && r.limit <= limit) {
                    limits.push((Requirement { measure, at_least: false, limit, span: device.span }, true));
                }
            }
        }
        limits.iter().filter_map(|(r, device)| self.broken(r, *device)).collect()
    }

    fn broken(&self, r: &Requirement, is_device: bool) -> Option<Diagnostic> {
        let (mut least, mut point) = self.least(&r.measure, r.limit)?;
        if least <= r.limit {
            return None;
        }
        let (h, w, c) = self.checked.spec.task.input;
        // The arena holds the image, four bytes a value.
        let image = h.saturating_mul(w).saturating_mul(c).saturating_mul(4) as f64;
        let mut proved = r.measure.metric == Metric::Ram && image > r.limit;
        if let Some(all) = self.checked.space.all_points(ENUMERATED).filter(|_| !proved) {
            proved = true;
            for p in all {
                match self.value(&r.measure, &p) {
                    Some(x) if x < least => (least, point) = (x, p),
                    Some(_) => {}
                    None => proved = false,
                }
            }
            if least <= r.limit {
                return None;
            }
        }
        let names = self.device_names();
        let device = r.measure.device.and_then(|d| names.get(d)).map_or("", String::as_str);
        let metric = &r.measure.metric;
        let show = |x: f64| match metric {
            Metric::Ram | Metric::Flash => format!("{:.1} KiB", x / 1024.0),
            Metric::Latency => format!("{:.2} ms", x * 1e3),
            Metric::Energy => format!("{:.3} mJ", x * 1e3),
            _ => crate::syntax::print_number(x.round()),
        };
        let what = match (is_device, device) {
            (true, _) => format!("fits the {} of {device}, {}", metric.name(), show(r.limit)),
            (false, "") => "keeps this limit".to_string(),
            (false, _) => format!("keeps this limit on {device}"),
        };
        let label = format!("the smallest found has {} {}", metric.name(), show(least));
        let mut d = if proved {
            Diagnostic::error(codes::IMPOSSIBLE, r.span, format!("no network of the space {what}"))
        } else {
            let m = format!("no network was found in the space that {what}");
            Diagnostic::warning(codes::IMPOSSIBLE, r.span, m)
        }
        .label(label);
        let decisions: Vec<String> = self
            .checked
            .space
            .describe(&point)
            .into_iter()
            .take(6)
            .map(|(path, value)| format!("{path} = {value}"))
            .collect();
        let more = if is_device { "name a larger device" } else { "raise the limit" };
        d.help = match decisions.as_slice() {
            [] => format!("{more}, or make the network smaller"),
            some => format!("{more}, or add smaller choices; the smallest is {}", some.join(", ")),
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
