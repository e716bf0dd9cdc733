//! Reading `key = value` sections: every key once, unknown ones reported, quantities with units.

use super::names::did_you_mean;
use super::spec::Dimension;
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Ident, Section, Segment, Setting, SettingValue, Unary};
use std::collections::BTreeMap;

impl Dimension {
    /// Every one.
    const ALL: [Dimension; 6] = [
        Dimension::Count,
        Dimension::Fraction,
        Dimension::Bytes,
        Dimension::Time,
        Dimension::Energy,
        Dimension::Plain,
    ];

    /// The dimension of a unit, and how much of the base unit it is.
    pub(super) fn of_unit(unit: &str) -> Option<(Dimension, f64)> {
        let scale = |d: Dimension| d.units().iter().find(|(u, _)| *u == unit).map(|(_, s)| (d, *s));
        Dimension::ALL.into_iter().find_map(scale)
    }

    /// The units with their worth in the base unit.
    pub(super) fn units(self) -> &'static [(&'static str, f64)] {
        match self {
            Dimension::Plain | Dimension::Count => &[("k", 1e3), ("M", 1e6), ("G", 1e9)],
            Dimension::Fraction => &[("%", 0.01)],
            Dimension::Bytes => &[
                ("B", 1.0),
                ("kB", 1e3),
                ("MB", 1e6),
                ("KiB", 1024.0),
                ("MiB", 1024.0 * 1024.0),
                ("GiB", 1024.0 * 1024.0 * 1024.0),
            ],
            Dimension::Time => {
                &[("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0)]
            }
            Dimension::Energy => &[("uJ", 1e-6), ("mJ", 1e-3), ("J", 1.0)],
        }
    }

    /// Whether a number of it says nothing without a unit.
    pub(super) fn needs_unit(self) -> bool {
        matches!(self, Dimension::Bytes | Dimension::Time | Dimension::Energy)
    }

    fn example(self) -> &'static str {
        match self {
            Dimension::Plain | Dimension::Count => "a plain number; `k`, `M` or `G` multiply it",
            Dimension::Fraction => "a fraction such as `10%` or `0.1`",
            Dimension::Bytes => "a number of bytes such as `96 KiB` (or `B`, `kB`, `MB`, `MiB`)",
            Dimension::Time => "a time such as `20 ms` (or `us`, `s`, `min`, `h`)",
            Dimension::Energy => "an energy such as `2 mJ` (or `uJ`, `J`)",
        }
    }
}

/// Every unit of the language, to say what a wrong one measures.
pub(super) const UNITS: [(&str, &str); 22] = [
    ("B", "bytes"),
    ("kB", "bytes"),
    ("MB", "bytes"),
    ("KiB", "bytes"),
    ("MiB", "bytes"),
    ("GiB", "bytes"),
    ("Hz", "a frequency"),
    ("kHz", "a frequency"),
    ("MHz", "a frequency"),
    ("GHz", "a frequency"),
    ("ns", "a time"),
    ("us", "a time"),
    ("ms", "a time"),
    ("s", "a time"),
    ("min", "a time"),
    ("h", "a time"),
    ("uJ", "an energy"),
    ("mJ", "an energy"),
    ("J", "an energy"),
    ("k", "a count"),
    ("M", "a count"),
    ("%", "a fraction"),
];

/// The quantity that an expression is.
pub(super) fn quantity(e: &Expr, dimension: Dimension, found: &mut Vec<Diagnostic>) -> Option<f64> {
    match &e.kind {
        ExprKind::Unary(Unary::Minus, inner) => quantity(inner, dimension, found).map(|x| -x),
        ExprKind::Number { value, unit: None } => {
            if dimension.needs_unit() && *value != 0.0 {
                let d = Diagnostic::error(codes::UNIT, e.span, "this quantity has no unit");
                found.push(d.help(format!("write {}", dimension.example())));
                return None;
            }
            Some(*value)
        }
        ExprKind::Number { value, unit: Some(unit) } => {
            if let Some((_, scale)) = dimension.units().iter().find(|(u, _)| *u == unit.name) {
                return Some(value * scale);
            }
            let d = match UNITS.iter().find(|(u, _)| *u == unit.name) {
                Some((_, what)) => {
                    Diagnostic::error(codes::UNIT, e.span, format!("`{}` measures {what}", unit.name))
                        .help(format!("write {}", dimension.example()))
                }
                None => {
                    let known = dimension.units().iter().map(|u| u.0);
                    Diagnostic::error(codes::UNIT, unit.span, format!("there is no unit `{}`", unit.name))
                        .help(did_you_mean(&unit.name, known, &format!("write {}", dimension.example())))
                }
            };
            found.push(d);
            None
        }
        // It could not be read, and that has been said.
        _ if word(e) == Some("") => None,
        _ => {
            let d = Diagnostic::error(codes::TYPE, e.span, "this must be a number");
            found.push(d.help(format!("write {}", dimension.example())));
            None
        }
    }
}

/// A name without quotes, or a text.
pub(super) fn word(e: &Expr) -> Option<&str> {
    match &e.kind {
        ExprKind::Text(t) => Some(t),
        ExprKind::Path(segments) => match segments.as_slice() {
            [Segment::Name(n)] => Some(n),
            _ => None,
        },
        _ => None,
    }
}

/// Reads one section.
pub(super) struct Reader<'a, 'f> {
    what: &'static str,
    section: &'a Section,
    known: Vec<&'static str>,
    pub(super) found: &'f mut Vec<Diagnostic>,
}

impl<'a, 'f> Reader<'a, 'f> {
    /// `what` names the section in messages.
    pub(super) fn new(what: &'static str, section: &'a Section, found: &'f mut Vec<Diagnostic>) -> Self {
        Reader { what, section, known: Vec::new(), found }
    }

    fn setting(&mut self, key: &'static str) -> Option<&'a Setting> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.section.settings.iter().find(|s| s.key.name == key)
    }

    /// The place of a key's value, to say what is wrong with it.
    pub(super) fn place(&self, key: &str) -> Span {
        let setting = self.section.settings.iter().find(|s| s.key.name == key);
        setting.map_or(self.section.span, |s| match &s.value {
            SettingValue::Expr(e) => e.span,
            SettingValue::Section(_) => s.key.span,
        })
    }

    /// The expression of a key.
    pub(super) fn expr(&mut self, key: &'static str) -> Option<&'a Expr> {
        let setting = self.setting(key)?;
        match &setting.value {
            SettingValue::Expr(e) => Some(e),
            SettingValue::Section(_) => {
                let d = Diagnostic::error(
                    codes::TYPE,
                    setting.key.span,
                    format!("`{key}` has a value, not settings"),
                );
                self.found.push(d.help(format!("write `{key} = ..`")));
                None
            }
        }
    }

    /// The place of a key's value, whatever it is.
    pub(super) fn any(&mut self, key: &'static str) -> Option<Span> {
        self.setting(key).map(|_| self.place(key))
    }

    /// The section of a key.
    pub(super) fn section(&mut self, key: &'static str) -> Option<&'a Section> {
        let setting = self.setting(key)?;
        match &setting.value {
            SettingValue::Section(s) => Some(s),
            SettingValue::Expr(e) => {
                let d = Diagnostic::error(codes::TYPE, e.span, format!("`{key}` has settings, not a value"));
                self.found.push(d.help(format!("write `{key} {{ .. }}`")));
                None
            }
        }
    }

    /// A number of a dimension within a range.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        dimension: Dimension,
        range: std::ops::RangeInclusive<f64>,
    ) -> Option<f64> {
        let e = self.expr(key)?;
        let x = quantity(e, dimension, self.found)?;
        if !range.contains(&x) {
            let m = format!("`{key}` is {}", crate::syntax::print_expr(e));
            let shown = |x: f64| match dimension {
                Dimension::Fraction => format!("{}%", (x * 1e5).round() / 1e3),
                Dimension::Time => format!("{x} s"),
                _ => crate::syntax::print_number(x),
            };
            let help = format!("it must lie between {} and {}", shown(*range.start()), shown(*range.end()));
            self.found.push(Diagnostic::error(codes::VALUE, e.span, m).help(help));
            return None;
        }
        Some(x)
    }

    /// A whole number within a range.
    pub(super) fn whole(&mut self, key: &'static str, range: std::ops::RangeInclusive<f64>) -> Option<usize> {
        let x = self.number(key, Dimension::Plain, range)?;
        if x.fract() != 0.0 {
            let span = self.expr(key).map(|e| e.span).unwrap_or_default();
            let d = Diagnostic::error(
                codes::VALUE,
                span,
                format!("`{key}` is {}", crate::syntax::print_number(x)),
            );
            self.found.push(d.help("it must be a whole number"));
            return None;
        }
        Some(x as usize)
    }

    /// A truth value.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let e = self.expr(key)?;
        match word(e) {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => {
                let d = Diagnostic::error(codes::TYPE, e.span, format!("`{key}` is `true` or `false`"));
                self.found.push(d.help(format!("write `{key} = true` or `{key} = false`")));
                None
            }
        }
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let e = self.expr(key)?;
        let given = word(e);
        if let Some((_, value)) = given.and_then(|g| words.iter().find(|(w, _)| *w == g)) {
            return Some(*value);
        }
        let list: Vec<&str> = words.iter().map(|w| w.0).collect();
        let all = format!("it is one of {}", list.join(", "));
        let help = did_you_mean(given.unwrap_or(""), list.iter().copied(), &all);
        self.found.push(Diagnostic::error(codes::VALUE, e.span, format!("this is no `{key}`")).help(help));
        None
    }

    /// Numbers in a list, or one alone.
    pub(super) fn numbers(&mut self, key: &'static str) -> Option<(Vec<f64>, Span)> {
        let e = self.expr(key)?;
        let items = match &e.kind {
            ExprKind::List(items) => items.iter().collect(),
            _ => vec![e],
        };
        let values = items
            .into_iter()
            .map(|i| quantity(i, Dimension::Plain, self.found))
            .collect::<Option<Vec<_>>>()?;
        Some((values, e.span))
    }

    /// Reports keys that are unknown or there twice. Call last.
    pub(super) fn finish(self) {
        let mut seen: BTreeMap<&str, &Ident> = BTreeMap::new();
        for s in &self.section.settings {
            let name = &s.key.name;
            if let Some(first) = seen.get(name.as_str()) {
                let m = format!("`{name}` is there twice");
                self.found.push(
                    Diagnostic::error(codes::DUPLICATE, s.key.span, m)
                        .also(first.span, "first here")
                        .help("remove one of them"),
                );
            } else if !self.known.iter().any(|k| k == name) {
                let all = format!("its settings are {}", self.known.join(", "));
                let help = did_you_mean(name, self.known.iter().copied(), &all);
                let m = format!("{} has no setting `{name}`", self.what);
                self.found.push(Diagnostic::error(codes::UNKNOWN_NAME, s.key.span, m).help(help));
            }
            if let Some(device) = &s.device {
                let m = format!("`{name}` does not depend on a device");
                let help = format!("write `{name}` alone");
                self.found.push(Diagnostic::error(codes::DEVICE, device.span, m).help(help));
            }
            seen.entry(name).or_insert(&s.key);
        }
    }
}
