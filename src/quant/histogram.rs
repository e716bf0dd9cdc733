//! What values a tensor holds, and the range that serves them best.

/// Bins of a histogram.
const BINS: usize = 2048;
/// The part of values that the percentile method leaves out at each end.
const TAIL: f64 = 1e-4;

/// Extremes, then counts between them.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    /// Smallest value, at most 0.
    pub(super) lo: f64,
    /// Largest value, at least 0.
    pub(super) hi: f64,
    counts: Vec<u64>,
    /// Whether a value was not a finite number.
    pub(super) broken: bool,
}

/// How a range was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The extremes.
    MinMax,
    /// Without the outermost values.
    Percentile,
    /// The extremes shrunk to where the squared error is smallest.
    Mse,
}

impl Method {
    const ALL: [Method; 3] = [Method::MinMax, Method::Percentile, Method::Mse];

    /// Its number in files.
    pub(super) fn code(self) -> f32 {
        Method::ALL.iter().position(|m| *m == self).unwrap_or(0) as f32
    }

    /// The method of a number.
    pub(super) fn of_code(code: f32) -> Option<Method> {
        Method::ALL.into_iter().find(|m| m.code() == code)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Method::MinMax => "min-max",
            Method::Percentile => "percentile",
            Method::Mse => "mse",
        }
    }
}

impl Histogram {
    /// First pass: extremes.
    pub(super) fn widen(&mut self, values: &[f32]) {
        for &v in values {
            let v = f64::from(v);
            self.broken |= !v.is_finite();
            self.lo = self.lo.min(v);
            self.hi = self.hi.max(v);
        }
    }

    /// Second pass: counts.
    pub(super) fn count(&mut self, values: &[f32]) {
        if self.counts.is_empty() {
            self.counts = vec![0; BINS];
        }
        let per = BINS as f64 / (self.hi - self.lo).max(f64::MIN_POSITIVE);
        for &v in values {
            let bin = ((f64::from(v) - self.lo) * per) as usize;
            if let Some(n) = self.counts.get_mut(bin.min(BINS - 1)) {
                *n += 1;
            }
        }
    }

    /// Bins' middles and counts.
    fn bins(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> + '_ {
        let width = (self.hi - self.lo) / BINS as f64;
        self.counts.iter().enumerate().map(move |(i, &n)| (self.lo + (i as f64 + 0.5) * width, n as f64))
    }

    /// Expected squared error of a range: rounding inside, clipping outside.
    fn error(&self, lo: f64, hi: f64) -> f64 {
        let step = (hi - lo) / 255.0;
        let rounding = step * step / 12.0;
        let of = |(v, n): (f64, f64)| {
            let beyond = (lo - v).max(v - hi).max(0.0);
            n * if beyond > 0.0 { beyond * beyond } else { rounding }
        };
        self.bins().map(of).sum()
    }

    /// The value below which a part of the values lies, counted from one end.
    fn quantile<'a>(&self, bins: impl Iterator<Item = (f64, f64)> + 'a) -> f64 {
        let total: f64 = self.counts.iter().map(|&n| n as f64).sum();
        let mut seen = 0.0;
        for (v, n) in bins {
            seen += n;
            if seen >= total * TAIL {
                return v;
            }
        }
        0.0
    }

    /// The range with the smallest expected squared error of those that the methods give.
    pub(super) fn range(&self) -> (f64, f64, Method) {
        let mut best = (self.lo, self.hi, Method::MinMax);
        if self.lo == self.hi {
            return best;
        }
        let mut least = self.error(self.lo, self.hi);
        let low = self.quantile(self.bins()).min(0.0);
        let high = self.quantile(self.bins().rev()).max(0.0);
        let shrunk = (30..100).map(|f| f64::from(f) / 100.0);
        let shrunk = shrunk.map(|f| (self.lo * f, self.hi * f, Method::Mse));
        for (lo, hi, method) in std::iter::once((low, high, Method::Percentile)).chain(shrunk) {
            let error = self.error(lo, hi);
            if lo < hi && error < least {
                (least, best) = (error, (lo, hi, method));
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Histogram {
        let mut h = Histogram::default();
        h.widen(values);
        h.count(values);
        h
    }

    #[test]
    fn an_outlier_is_clipped() {
        // One value in four millions costs less to clip than to keep.
        let values: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        let mut h = Histogram::default();
        h.widen(&values);
        h.widen(&[3.0]);
        h.count(&[3.0]);
        (0..4000).for_each(|_| h.count(&values));
        let (lo, hi, method) = h.range();
        assert_ne!(method, Method::MinMax);
        assert!(lo == 0.0 && (0.9..1.6).contains(&hi), "{lo} {hi}");
    }

    #[test]
    fn heavy_tails_are_kept() {
        let values: Vec<f32> = (0..1000).map(|i| if i % 10 == 0 { 5.0 } else { 0.1 }).collect();
        let (lo, hi, _) = of(&values).range();
        assert!(lo == 0.0 && hi > 4.9, "{lo} {hi}");
    }

    #[test]
    fn nothing_and_nan() {
        assert_eq!(of(&[0.0; 10]).range(), (0.0, 0.0, Method::MinMax));
        assert!(of(&[f32::NAN]).broken && of(&[f32::INFINITY]).broken && !of(&[1.0]).broken);
    }
}
