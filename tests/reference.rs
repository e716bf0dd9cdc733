//! `docs/language.md` and `README.md` say the truth: their examples are checked, and nothing is missing
//! from the reference.
//!
//! A fence ` ```hyt ` is a whole spec. One with a second word is a part of one, and is put into the
//! smallest spec that it fits; with `error` it is the body of a space that must be refused.

mod common;

use common::specs::checked;
use hytc::check::spec::Metric;
use hytc::check::{check, PRELUDE};

const REFERENCE: &str = include_str!("../docs/language.md");

const README: &str = include_str!("../README.md");

/// The fenced examples: kind and text.
fn examples(page: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut out = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```hyt") {
        let (kind, after) = after.split_once('\n').unwrap();
        let (text, after) = after.split_once("```").unwrap();
        out.push((kind.trim_start_matches(','), text));
        rest = after;
    }
    out
}

fn whole(kind: &str, text: &str) -> String {
    let task = "input = image(32, 32, 3) classes = [\"a\", \"b\"]";
    let space =
        |body: &str| format!("task {{ {task} }}\nspace {{\n{body}\nglobal_avg_pool > linear(classes)\n}}\n");
    match kind {
        "" => text.to_string(),
        "space" | "error" => space(text),
        "block" | "item" => format!("{text}\n{}", space("conv(8, 3)")),
        "task" => format!("task {{\n{task}\n{text}}}\nspace {{ global_avg_pool > linear(classes) }}\n"),
        "goal" => {
            let devices = "device board = \"stm32f446\"\ndevice phone = \"raspberry-pi-4\"\n";
            format!("{}{devices}goal {{\n{text}}}\n", space("conv(8, 3)"))
        }
        "evaluate" => {
            let device = "device board = \"stm32f446\"\n";
            let goal = "goal { maximize f1 minimize latency on board require accuracy >= 85% }\n";
            format!("{}{device}{goal}{text}", space("conv(8, 3)"))
        }
        other => panic!("the reference has a fence `hyt,{other}`, which the test does not know"),
    }
}

#[test]
fn examples_are_true() {
    let examples = examples(REFERENCE);
    for &(kind, text) in &examples {
        let text = whole(kind, text);
        if kind == "error" {
            let report = check("reference.hyt", &text, &|_| Err(String::new()));
            assert!(report.checked.is_none(), "this should be refused:\n{text}");
            assert!(
                report.diagnostics.iter().all(|d| !d.code.starts_with("E01")),
                "{:?}",
                report.diagnostics
            );
        } else {
            checked(&text);
        }
    }
    assert!(examples.len() >= 15, "only {} examples were found", examples.len());
}

#[test]
fn the_readme_shows_the_spec_that_is_there_and_the_error_that_it_gives() {
    let examples = examples(README);
    let spec = include_str!("../specs/fashion.hyt");
    assert_eq!(examples[0], ("", spec), "the tour is specs/fashion.hyt");
    for &(_, text) in &examples[1..] {
        let head = "task { input = image(32, 32, 3) classes = [\"a\", \"b\"] }\n\
                    space { conv(8, 3) > global_avg_pool > linear(classes) }\n\
                    device board = \"stm32f446\"\n";
        checked(&format!("{head}{text}"));
    }
    let broken = spec
        .replace("heads = choice(1, 2, 4)", "heads = choice(1, 3)")
        .replace("    where heads divides w2\n", "");
    let report = check("fashion.hyt", &broken, &|_| Err(String::new()));
    let shown = hytc::diag::render(&report.diagnostics, &report.sources, false);
    let readme = README.split_once("```text\nerror").map(|(_, r)| r.split_once("```").unwrap().0).unwrap();
    assert_eq!(format!("error{readme}").trim(), shown.trim());
}

fn assert_mentioned<'a>(what: &str, names: impl IntoIterator<Item = &'a str>) {
    let missing: Vec<&str> = names.into_iter().filter(|n| !REFERENCE.contains(&format!("`{n}"))).collect();
    assert!(missing.is_empty(), "docs/language.md does not mention the {what} {missing:?}");
}

#[test]
fn all_codes_are_listed() {
    let codes = include_str!("../src/codes.rs");
    let defined: Vec<&str> = codes.split("&str = \"").skip(1).map(|s| s.split('"').next().unwrap()).collect();
    assert!(defined.len() > 25);
    for (i, c) in defined.iter().enumerate() {
        assert!(!defined[..i].contains(c), "{c} is used twice");
    }
    assert_mentioned("codes", defined.iter().copied());
    // And none that does not exist.
    let listed = REFERENCE.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next()).filter(|c| {
        c.len() == 5 && c.starts_with(['E', 'W']) && c.chars().skip(1).all(|d| d.is_ascii_digit())
    });
    for c in listed {
        assert!(defined.contains(&c), "docs/language.md lists {c}, which nothing reports");
    }
}

#[test]
fn all_keywords_are_listed() {
    let grammar = include_str!("../grammar/hyt.pest");
    let line = grammar.lines().find(|l| l.starts_with("keyword")).unwrap();
    let words: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
    assert!(words.len() > 30);
    assert_mentioned("keywords", words);
}

#[test]
fn all_prelude_blocks_stand_with_their_signatures() {
    let headers: Vec<&str> =
        PRELUDE.lines().filter_map(|l| l.strip_prefix("block ")?.strip_suffix(" {")).collect();
    assert_eq!(headers.len(), PRELUDE.matches("\nblock ").count());
    for h in headers {
        assert!(REFERENCE.contains(&format!("| `{h}` |")), "docs/language.md lacks `{h}`");
    }
}

#[test]
fn all_metrics_and_settings_are_listed() {
    assert_mentioned("metrics", Metric::ALL.iter().map(Metric::name));
    // An unknown key is answered with the list of those that there are.
    let task = "task { input = image(8, 8, 3) classes = [\"a\", \"b\"] normalize { qqqqq = 1 } augment { qqqqq = 1 } qqqqq = 1 }";
    let rest = "space { global_avg_pool > linear(classes) }
        search mobo { train { qqqqq = 1 } qqqqq = 1 }
        evaluate command(\"a\") { metrics = [accuracy] qqqqq = 1 }\nfinal { qqqqq = 1, int8 { qqqqq = 1 } }\nemit rust { qqqqq = 1 }";
    let report = check("a.hyt", &format!("{task}\n{rest}"), &|_| Err(String::new()));
    let lists: Vec<&str> =
        report.diagnostics.iter().filter_map(|d| d.help.strip_prefix("its settings are ")).collect();
    assert_eq!(lists.len(), 9, "{:?}", report.diagnostics);
    for list in lists {
        assert_mentioned("settings", list.split(", "));
    }
}
