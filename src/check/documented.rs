//! What of the language `docs/language.md` must mention (the rest is in `tests/reference.rs`).

use super::names::CONSTANTS;
use crate::space::operator::Operator;
use crate::space::program::Function;

const REFERENCE: &str = include_str!("../../docs/language.md");

#[test]
fn operators_stand_with_their_parameters() {
    for (name, operator) in Operator::NAMES {
        let bare = operator.signature().is_empty() && REFERENCE.contains(&format!("`{name}`"));
        // Its row of the table; examples may begin in the same way.
        let row = REFERENCE.lines().filter(|l| l.starts_with(&format!("| `{name}("))).any(|l| {
            operator.signature().iter().all(|p| {
                let end = if p.required { "" } else { " = " };
                l.contains(&format!("{}{end}", p.name))
            })
        });
        assert!(bare || row, "{name}");
    }
}

#[test]
fn functions_and_constants_are_mentioned() {
    for (name, ..) in Function::ALL {
        assert!(REFERENCE.contains(&format!("`{name}(")), "{name}");
    }
    for (name, _) in CONSTANTS {
        assert!(REFERENCE.contains(&format!("`{name}`")), "{name}");
    }
}
