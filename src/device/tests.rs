#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::*;

#[test]
fn builtin_profiles_are_valid() {
    for (name, text) in BUILTIN {
        let p = Profile::parse(text, name).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(p.name, name);
        assert!(p.ram() >= 128 * 1024 && p.flash() >= p.ram());
        assert_eq!(Profile::builtin(name).unwrap(), p);
    }
    assert_eq!(Profile::builtin("z80"), None);
}

/// The first built-in profile with one line replaced by others.
fn with(line_start: &str, new: &str) -> ProfileError {
    let text = BUILTIN[0].1;
    let line = text.lines().find(|l| l.starts_with(line_start)).unwrap();
    Profile::parse(&text.replace(line, new), "mine.yaml").expect_err("must be refused")
}

#[test]
fn errors_name_line_and_key() {
    let line = |start: &str| BUILTIN[0].1.lines().position(|l| l.starts_with(start)).unwrap() + 1;

    let e = with("clock_hz", "clock_hz: { value: -5, source: x }");
    assert_eq!(
        (e.line, e.message.as_str()),
        (line("clock_hz"), "clock_hz: `value` is -5, it must be greater than 0")
    );

    let e = with("clock_hz", "clock_mhz: { value: 180, source: x }");
    assert_eq!(e.line, line("clock_hz"));
    assert!(e.message.contains("unknown field `clock_mhz`") && e.message.contains("clock_hz"), "{e}");

    let e = with("  depthwise", "  depthwise: { cycles: many, code_bytes: 1, source: x }");
    assert_eq!(e.line, line("  depthwise"));
    assert!(e.message.starts_with("float.depthwise.cycles: ") && e.message.contains("many"), "{e}");

    let e = with("  gelu", "");
    assert!(e.message.contains("float: missing field `gelu`"), "{e}");

    let e = with("  pool", "  pool: { cycles: 1, code_bytes: 1 }");
    assert_eq!((e.line, e.message.as_str()), (line("  pool"), "float.pool: missing field `source`"));

    let e = with("  pool", "  pool: { cycles: .nan, code_bytes: 1, source: x }");
    assert!(e.message.starts_with("float.pool: `cycles` is NaN"), "{e}");

    let e = with("ram_bytes", "ram_bytes: { value: 1000, source: '' }");
    assert!(e.message.contains("ram_bytes: `source` is empty"), "{e}");
    assert!(e.to_string().starts_with("mine.yaml:6:"), "{e}");

    let e = with("ram_bytes", "ram_bytes: { value: 0.5, source: x }");
    assert!(e.message.contains("ram_bytes: `value` is 0.5, it must be a whole number"), "{e}");

    let e = with("core", "core: [");
    assert!(e.line > 1, "{e}");
    for text in ["", "- 1", "name: x", "\u{0}", "a: &a [*a]"] {
        Profile::parse(text, "x").unwrap_err();
    }
}
