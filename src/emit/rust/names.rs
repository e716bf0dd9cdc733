//! Identifiers out of any names.

use std::collections::BTreeSet;

/// The keywords of Rust, strict, reserved and of all editions; and names that a crate must not have.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Letters, digits and single underscores; everything else becomes an underscore.
fn words(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out.trim_end_matches('_').to_string()
}

/// A name for a crate: `my-net 2` becomes `my_net_2`. Names without a letter or digit become
/// `model`; such as begin with a digit, and keywords, get `model_` before them.
pub fn crate_name(name: &str) -> String {
    let name = words(name).to_ascii_lowercase();
    match name.chars().next() {
        None => "model".into(),
        Some(c) if c.is_ascii_digit() => format!("model_{name}"),
        _ if TAKEN.contains(&name.as_str()) => format!("model_{name}"),
        _ => name,
    }
}

/// Names for statics, each once.
#[derive(Debug, Default)]
pub(super) struct Statics {
    used: BTreeSet<String>,
}

impl Statics {
    /// Without these names.
    pub(super) fn reserving(names: &[&str]) -> Statics {
        Statics { used: names.iter().map(ToString::to_string).collect() }
    }

    /// `stem.conv.weight` becomes `STEM_CONV_WEIGHT`.
    pub(super) fn name(&mut self, name: &str) -> String {
        let mut base = words(name).to_ascii_uppercase();
        if !base.starts_with(|c: char| c.is_ascii_alphabetic()) {
            base.insert_str(0, "W_");
        }
        let mut name = base.clone();
        let mut n = 1;
        while !self.used.insert(name.clone()) {
            n += 1;
            name = format!("{base}_{n}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_have_valid_names() {
        let cases = [
            ("fashion", "fashion"),
            ("My Net-2.1", "my_net_2_1"),
            ("9lives", "model_9lives"),
            ("", "model"),
            ("日本", "model"),
            ("struct", "model_struct"),
            ("core", "model_core"),
            ("__x__", "x"),
        ];
        for (from, to) in cases {
            assert_eq!(crate_name(from), to);
        }
    }

    #[test]
    fn statics_are_unique() {
        let mut s = Statics::default();
        assert_eq!(s.name("a.b.weight"), "A_B_WEIGHT");
        assert_eq!(s.name("a_b.weight"), "A_B_WEIGHT_2");
        assert_eq!(s.name("3x"), "W_3X");
    }
}
