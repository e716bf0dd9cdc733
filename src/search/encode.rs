//! Points as coordinates for the surrogate: one group of columns per decision and per feature.
//!
//! Within a group the squared Euclidean distance is the group's own idea of distance, so every
//! stationary kernel on the scaled columns is positive definite, whatever mixture of decisions:
//!
//! - ordinal: one column in -0.5..0.5, on the linear or logarithmic scale that spaces the values
//!   more evenly;
//! - categorical: one-hot columns over the square root of two, so different values are 1 apart;
//! - conditional: absent is the centre of all values and a further column away ("absent is absent"):
//!   two points without the decision are at distance 0 in it, and an absent one is about equally far
//!   from every value;
//! - features and known values: one column, scaled to the range seen on a sample of the space.

use super::covariance::Group;
use super::explore::is_fine;
use super::problem::KnownPoint;
use super::shown::Shown;
use crate::space::{DecisionInfo, DecisionKind, Point};

/// Shifts of the prior of features' lengths where there are sizes: these tell more than what is said of the
/// network as a whole. They and [`shift`] were set on seeds 100 to 123 of `hytc bench search --problem hytnas`.
const WHOLE_SHIFT: f64 = 0.5;
const SIZE_SHIFT: f64 = -0.5;

/// The same of an ordinal decision's columns, by its effect on the amounts ([`Shown::WithEffect`]): what hardly
/// changes how much a network computes (the number of heads) is believed to change little of what it does, and
/// the other way round. Between 1 and 10 % of the range; beyond, effects are as good as these.
fn shift(effect: f64) -> f64 {
    (1.2 * (0.03 / effect.max(1e-6)).ln()).clamp(-1.5, 1.2) - 0.2
}

/// The spread of the prior of a finely graded decision's length: what one does may be of any form. Set on
/// `hytc bench search --problem wfg5-4` (docs/search-measured.md), whose decisions have no kin.
const FINE_SPREAD: f64 = 1.5;

/// The distance in the column that tells absent from present.
const ABSENCE: f64 = 0.5;

/// Turns points into coordinates.
#[derive(Debug, Clone)]
pub struct Encoder {
    decisions: Vec<Coded>,
    /// Known values used, with the least and greatest logarithm seen.
    values: Vec<(String, f64, f64)>,
    /// Features used (index), with the least and greatest value seen.
    features: Vec<(usize, f64, f64)>,
    groups: Vec<Group>,
}

#[derive(Debug, Clone)]
struct Coded {
    /// Coordinates of each value; all the same length.
    values: Vec<Vec<f64>>,
    absent: Vec<f64>,
}

impl Encoder {
    /// An encoder for a space, scaled on a sample of its points.
    /// Decisions that are shown in the sizes have no columns of their own. Where the features are a
    /// [`Sketch`](super::Sketch) with sizes, the first `whole` are of the network as a whole.
    pub fn new(
        decisions: &[DecisionInfo],
        shown: &[Shown],
        whole: Option<usize>,
        sample: &[(Point, &KnownPoint)],
    ) -> Encoder {
        let mut groups = Vec::new();
        let mut width = 0;
        // The columns of `group` are the next `n`.
        let mut push = |n: usize, shift: Option<f64>, spread: f64, family: Option<usize>| {
            let columns = width..width + n;
            let group = match shift {
                Some(shift) => Group::shifted(columns, shift),
                None => Group { spread, ..Group::new(columns) },
            };
            groups.push(Group { family, ..group });
            width += n;
        };
        // Kin are told from others: where all decisions have one role, nobody is.
        let roles: std::collections::BTreeSet<_> = decisions.iter().map(role).collect();
        let family = |info| (roles.len() > 1).then(|| roles.iter().position(|r| *r == role(info))).flatten();
        let decisions: Vec<Coded> = decisions
            .iter()
            .enumerate()
            .map(|(d, info)| {
                let conditional = sample.iter().any(|(p, _)| p.0.get(d).copied().flatten().is_none());
                let mut coded = code(info, conditional);
                match shown.get(d) {
                    Some(Shown::InSizes) => {
                        coded.values.iter_mut().for_each(Vec::clear);
                        coded.absent.clear();
                    }
                    Some(Shown::WithEffect(e)) => {
                        push(coded.absent.len(), Some(shift(*e)), 1.0, family(info));
                    }
                    _ => {
                        let spread = if is_fine(info) { FINE_SPREAD } else { 1.0 };
                        push(coded.absent.len(), None, spread, family(info));
                    }
                }
                coded
            })
            .collect();

        // Of values that tell the same (flash is four times the parameters plus code), one is kept.
        let mut kept: Vec<Vec<f64>> = Vec::new();
        let mut fresh = |column: Vec<f64>| -> Option<(f64, f64)> {
            let (lo, hi) =
                column.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
            let spread = hi - lo;
            if !spread.is_finite()
                || spread < 1e-9
                || kept.iter().any(|k| correlation(k, &column).abs() > 0.9999)
            {
                return None;
            }
            kept.push(column);
            Some((lo, hi))
        };
        let mut values = Vec::new();
        if let Some((_, first)) = sample.first() {
            for name in first.values.keys() {
                let column: Option<Vec<f64>> = sample
                    .iter()
                    .map(|(_, k)| k.values.get(name).filter(|v| **v > 0.0 && v.is_finite()).map(|v| v.ln()))
                    .collect();
                if let Some((lo, hi)) = column.and_then(&mut fresh) {
                    values.push((name.clone(), lo, hi));
                }
            }
        }
        let mut features = Vec::new();
        for i in 0..sample.first().map_or(0, |(_, k)| k.features.len()) {
            let column: Option<Vec<f64>> =
                sample.iter().map(|(_, k)| k.features.get(i).copied().filter(|v| v.is_finite())).collect();
            if let Some((lo, hi)) = column.and_then(&mut fresh) {
                features.push((i, lo, hi));
            }
        }
        values.iter().for_each(|_| push(1, None, 1.0, None));
        for (i, ..) in &features {
            push(1, whole.map(|n| if *i < n { WHOLE_SHIFT } else { SIZE_SHIFT }), 1.0, None);
        }
        Encoder { decisions, values, features, groups }
    }

    /// The groups of columns, with their priors: the decisions, then known values, then features.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// How many of the groups are decisions.
    pub fn decision_groups(&self) -> usize {
        self.decisions.iter().filter(|d| !d.absent.is_empty()).count()
    }

    /// Whether some decisions are seen in the features alone.
    pub fn sees_sizes(&self) -> bool {
        self.decisions.iter().any(|d| d.absent.is_empty())
    }

    /// The coordinates of a point.
    pub fn encode(&self, point: &Point, known: &KnownPoint) -> Vec<f64> {
        let mut x = Vec::with_capacity(self.groups.last().map_or(0, |g| g.columns.end));
        for (coded, value) in self.decisions.iter().zip(&point.0) {
            let at = value.and_then(|v| coded.values.get(v as usize)).unwrap_or(&coded.absent);
            x.extend_from_slice(at);
        }
        for (name, lo, hi) in &self.values {
            let v = known.values.get(name).filter(|v| **v > 0.0).map_or((lo + hi) / 2.0, |v| v.ln());
            x.push((v - lo) / (hi - lo) - 0.5);
        }
        for (i, lo, hi) in &self.features {
            let v = known.features.get(*i).copied().filter(|v| v.is_finite()).unwrap_or((lo + hi) / 2.0);
            x.push((v - lo) / (hi - lo) - 0.5);
        }
        x
    }
}

/// What a decision is called without saying where it is, and whether its values are ordered: `heads` of
/// `space.layer3.heads`, `expand` of `space.local[2].expand` and of `space.expand2`. Those that share it are
/// a family.
fn role(info: &DecisionInfo) -> (&str, bool) {
    let name = info.path.rsplit('.').next().unwrap_or(&info.path);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    let ordinal = matches!(info.kind, DecisionKind::Ordinal(_));
    (if plain.is_empty() { name } else { plain }, ordinal)
}

fn code(info: &DecisionInfo, conditional: bool) -> Coded {
    let n = info.values.len();
    let mut values: Vec<Vec<f64>> = match &info.kind {
        DecisionKind::Ordinal(numbers) => scale(numbers).into_iter().map(|v| vec![v]).collect(),
        DecisionKind::Categorical if n == 2 => vec![vec![-0.5], vec![0.5]],
        DecisionKind::Categorical => (0..n)
            .map(|i| (0..n).map(|j| if i == j { std::f64::consts::FRAC_1_SQRT_2 } else { 0.0 }).collect())
            .collect(),
    };
    let width = values.first().map_or(1, Vec::len);
    let mut absent: Vec<f64> =
        (0..width).map(|c| values.iter().map(|v| v[c]).sum::<f64>() / (n.max(1) as f64)).collect();
    if conditional {
        values.iter_mut().for_each(|v| v.push(0.0));
        absent.push(ABSENCE);
    }
    Coded { values, absent }
}

/// Numbers as -0.5..0.5, linear or logarithmic, whichever spaces them more evenly.
fn scale(numbers: &[f64]) -> Vec<f64> {
    let unevenness = |v: &[f64]| {
        let mut sorted = v.to_vec();
        sorted.sort_by(f64::total_cmp);
        let gaps: Vec<f64> = sorted.windows(2).map(|w| w[1] - w[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len().max(1) as f64;
        gaps.iter().map(|g| (g / mean - 1.0).powi(2)).sum::<f64>()
    };
    let logs: Vec<f64> = numbers.iter().map(|v| v.ln()).collect();
    let use_logs = numbers.len() > 2
        && numbers.iter().all(|v| *v > 0.0)
        && unevenness(&logs) < unevenness(numbers) - 1e-9;
    let v = if use_logs { &logs } else { numbers };
    let lo = v.iter().copied().fold(f64::INFINITY, f64::min);
    let hi = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    v.iter().map(|x| if hi > lo { (x - lo) / (hi - lo) - 0.5 } else { 0.0 }).collect()
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma).powi(2);
        bb += (y - mb).powi(2);
    }
    ab / (aa * bb).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_the_even_one() {
        assert_eq!(scale(&[1.0, 2.0, 3.0, 4.0]), vec![-0.5, -0.5 + 1.0 / 3.0, -0.5 + 2.0 / 3.0, 0.5]);
        assert_eq!(scale(&[1.0, 2.0, 4.0]), vec![-0.5, 0.0, 0.5]);
        assert_eq!(scale(&[7.0]), vec![0.0]);
        assert!(scale(&[0.0, 1.0, 10.0]).iter().all(|v| v.is_finite()));
    }

    #[test]
    fn decisions_of_one_role_are_a_family() {
        let number = |path: &str| DecisionInfo {
            path: path.into(),
            values: vec!["1".into(), "2".into()],
            kind: DecisionKind::Ordinal(vec![1.0, 2.0]),
        };
        let word = |path: &str| DecisionInfo { kind: DecisionKind::Categorical, ..number(path) };
        for (path, name) in [
            ("space.layer3.heads", "heads"),
            ("space.local[2].expand", "expand"),
            ("space.expand2", "expand"),
            ("space.expand_2", "expand"),
            ("space._1", "_1"),
        ] {
            assert_eq!(role(&number(path)), (name, true));
        }
        let families = |decisions: &[DecisionInfo], shown: &[Shown]| -> Vec<Option<usize>> {
            let known: Vec<KnownPoint> = [1.0, 2.0]
                .map(|v| KnownPoint { values: [("macs".into(), v)].into(), ..KnownPoint::default() })
                .into();
            let sample: Vec<_> = known.iter().map(|k| (Point(vec![Some(0); decisions.len()]), k)).collect();
            Encoder::new(decisions, shown, None, &sample).groups().iter().map(|g| g.family).collect()
        };
        let four = ["a.heads", "a.width", "b.heads", "b.patch"].map(number);
        let shown = [Shown::WithEffect(0.5), Shown::InSizes, Shown::Plainly, Shown::Plainly];
        let found = families(&four, &shown);
        assert_eq!(found.len(), 4, "three decisions and a known value");
        assert!(found[0].is_some() && found[0] == found[1] && found[1] != found[2] && found[3].is_none());
        let found = families(&[number("a.act"), word("b.act"), word("c.act2")], &[]);
        assert!(found[0] != found[1] && found[1] == found[2], "ordered or not");
        let found = families(&["x0", "x1", "x2"].map(number), &[]);
        assert_eq!(found, [None; 4], "all are of one role");
    }

    #[test]
    fn lengths_of_finely_graded_decisions_may_be_anything() {
        let number = |n: u32| DecisionInfo {
            path: format!("x{n}"),
            values: (0..n).map(|v| v.to_string()).collect(),
            kind: DecisionKind::Ordinal((0..n).map(f64::from).collect()),
        };
        let known = KnownPoint::default();
        let e = Encoder::new(&[number(16), number(17)], &[], None, &[(Point(vec![Some(0); 2]), &known)]);
        let spreads: Vec<f64> = e.groups().iter().map(|g| g.spread).collect();
        assert_eq!(spreads, [1.0, FINE_SPREAD]);
    }

    #[test]
    fn absent_is_equally_far_from_every_value() {
        let info = DecisionInfo {
            path: "a".into(),
            values: vec!["x".into(), "y".into(), "z".into()],
            kind: DecisionKind::Categorical,
        };
        let none = (Point(vec![None]), &KnownPoint::default());
        let e = Encoder::new(&[info], &[], None, &[none]);
        let at = |v: Option<u32>| e.encode(&Point(vec![v]), &KnownPoint::default());
        let d = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum() };
        assert_eq!(d(&at(None), &at(None)), 0.0);
        assert!((d(&at(Some(0)), &at(Some(2))) - 1.0).abs() < 1e-12);
        assert!((d(&at(None), &at(Some(0))) - d(&at(None), &at(Some(1)))).abs() < 1e-12);
        assert!(d(&at(None), &at(Some(0))) > 0.25);
    }

    #[test]
    fn values_that_tell_the_same_are_used_once() {
        let known: Vec<KnownPoint> = [1.0, 2.0, 5.0]
            .iter()
            .map(|v| KnownPoint {
                hash: String::new(),
                values: [("flash".to_owned(), 4.0 * v), ("params".to_owned(), *v), ("zero".to_owned(), 0.0)]
                    .into(),
                features: vec![3.0, v * v],
            })
            .collect();
        let sample: Vec<_> = known.iter().map(|k| (Point(vec![]), k)).collect();
        let e = Encoder::new(&[], &[], None, &sample);
        assert_eq!(e.groups().len(), 2, "one value and one feature");
        let x = e.encode(&sample[2].0, &known[2]);
        assert_eq!(x, vec![0.5, 0.5]);
    }
}
