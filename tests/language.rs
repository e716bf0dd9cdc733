//! Properties of the language: printing, damage of every kind, counting.

mod common;

use common::specs::{all_specs, checked, load_in, rng, specs};
use hytc::check::check;
use hytc::diag::{self, Severity};
use hytc::source::Sources;
use hytc::space::{Point, SearchSpace, Size, Space};
use hytc::syntax::{parse, print};
use num_bigint::BigUint;
use rand::seq::IndexedRandom;
use rand::RngExt;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

fn printed(text: &str) -> String {
    let mut sources = Sources::default();
    let id = sources.add("a.hyt", text);
    let (tree, found) = parse(&sources, id);
    assert!(found.is_empty(), "{}\n{text}", diag::render(&found, &sources, false));
    print(&tree)
}

#[test]
fn printing_and_parsing_again_changes_nothing() {
    let mut texts = vec![hytc::check::PRELUDE.to_string()];
    texts.extend(all_specs(&["specs", "tests/in/good"]).into_iter().map(|(_, t)| t));
    for text in texts {
        let once = printed(&text);
        assert_eq!(once, printed(&once), "{text}");
    }
}

#[test]
fn the_parts_of_a_spec_do_not_depend_on_comments_and_white_space() {
    for file in specs("specs") {
        let text = std::fs::read_to_string(&file).unwrap();
        let load = load_in(&file);
        let parts = |t: &str| check("a.hyt", t, &load).checked.unwrap().parts;
        let original = parts(&text);
        assert_eq!(
            original,
            parts(&format!("// a comment\n{}", text.replace("    ", "\t\t").replace('\n', "\r\n")))
        );
        let other = parts(&text.replace("trials = ", "trials = 1"));
        let changed: Vec<_> = original.iter().filter(|(k, v)| other[*k] != **v).map(|(k, _)| *k).collect();
        assert_eq!(changed, ["search"]);
    }
}

// ---- damage ----

/// Pieces of text to make mutants of: words, numbers, signs, white space.
fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut kind = ' ';
    for c in text.chars() {
        let k = if c.is_alphanumeric() || c == '_' {
            'w'
        } else if c.is_whitespace() {
            's'
        } else {
            'x'
        };
        match out.last_mut() {
            Some(last) if k == kind && k != 'x' => last.push(c),
            _ => out.push(c.to_string()),
        }
        kind = k;
    }
    out
}

fn mutant(text: &str, rng: &mut impl rand::Rng) -> String {
    if rng.random_range(0..4) == 0 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..4) {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = rng.random_range(0..=255u8),
                2 => bytes.insert(at, *b"{}()[]\"\\/.>=-;'|\n\r\0%".choose(rng).unwrap()),
                _ => bytes.truncate(at.max(1)),
            }
        }
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let mut t = tokens(text);
    for _ in 0..rng.random_range(1..4) {
        let (a, b) = (rng.random_range(0..t.len()), rng.random_range(0..t.len()));
        match rng.random_range(0..5) {
            0 if t.len() > 1 => drop(t.remove(a)),
            1 => t.insert(a, t[b].clone()),
            2 => t.swap(a, b),
            3 => t[a] = t[b].clone(),
            _ => {
                let odd = [
                    "{",
                    "}",
                    "(",
                    ")",
                    "[",
                    "]",
                    "\"",
                    "0",
                    "-1",
                    "1e999",
                    "999999",
                    "0.5",
                    "in",
                    "choice(",
                    "repeat 256 {",
                    "1..4096",
                    "KiB",
                    "ö",
                ];
                t.insert(a, odd[rng.random_range(0..odd.len())].to_string());
            }
        }
    }
    t.concat()
}

fn assert_sound(text: &str) {
    let start = Instant::now();
    let none = |_: &str| Err("not here".to_string());
    let report = check("mutant.hyt", text, &none);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}\n{text}");
    for d in &report.diagnostics {
        let file = report.sources.get(d.span.file).unwrap();
        for s in d.labels.iter().map(|l| l.span).chain([d.span]) {
            let len = report.sources.get(s.file).unwrap().text.len();
            assert!(s.start <= s.end && s.end as usize <= len, "{d:?}\n{text}");
        }
        let (start, end) = (d.span.start as usize, d.span.end as usize);
        assert!(file.text.is_char_boundary(start) && file.text.is_char_boundary(end), "{d:?}\n{text}");
        assert!(d.code.len() == 5 && !d.message.is_empty() && !d.help.is_empty(), "{d:?}\n{text}");
        assert_eq!(d.code.starts_with('E'), d.severity == Severity::Error, "{d:?}");
    }
    assert_eq!(report.checked.is_none(), diag::has_errors(&report.diagnostics), "{text}");
    let shown = diag::render(&report.diagnostics, &report.sources, true);
    assert_eq!(shown.is_empty(), report.diagnostics.is_empty());
    if let Some(c) = report.checked {
        c.space.network(&c.space.first_point()).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    }
}

#[test]
fn mutants_of_specs_are_checked_without_panic() {
    let mut texts = all_specs(&["specs", "tests/in/good", "tests/in/broken"]);
    texts.push(("prelude".into(), hytc::check::PRELUDE.to_string()));
    let mut rng = rng(1);
    let begin = Instant::now();
    let each = std::env::var("HYT_MUTANTS").map_or(12, |n| n.parse().unwrap());
    let mut made = 0;
    for (_, text) in texts.iter().filter(|(_, t)| !t.is_empty() && t.len() < 6000) {
        for _ in 0..each {
            assert_sound(&mutant(text, &mut rng));
            made += 1;
        }
    }
    assert!(made > 2000, "{made} mutants");
    eprintln!("{made} mutants in {:?}", begin.elapsed());
}

#[test]
fn texts_that_would_exhaust_stack_or_time() {
    let task = "task { input = image(8, 8, 3) classes = [\"a\", \"b\"] }\n";
    let end = "\nglobal_avg_pool > linear(classes)\n}\n";
    let space = |body: &str| format!("{task}space {{\n{body}{end}");
    let deep = 50_000;
    let texts = [
        "{".repeat(deep),
        "(".repeat(deep),
        "}(".repeat(deep),
        "{)".repeat(deep),
        space(&"(".repeat(deep)),
        space(&"let a = (".repeat(5000)),
        space(&"residual {\n".repeat(5000)),
        space(&"residual {\n".repeat(60)),
        space(&"residual { conv(\n".repeat(60)),
        space(&format!("conv({} 1, 1)", "- ".repeat(deep))),
        space(&format!("conv({} 1, 1)", "not ".repeat(deep))),
        space(&format!("conv({} 8, 1)", "if true then 8 else ".repeat(deep / 10))),
        space(&format!("conv({} 8, 1)", "if ".repeat(deep))),
        space(&format!("conv(1{}, 1)", " + 1".repeat(deep))),
        space(&format!("let x = choice(1, 2)\nconv(8, 1)\nwhere x == 1 {}", " or x == 1".repeat(deep / 10))),
        space(&format!("; \"{}", "{".repeat(deep))),
        space(&format!("; {}", "[".repeat(60) + &"(".repeat(deep))),
        space(&format!("conv(8, 1) {}", "> relu ".repeat(20_000))),
        space(&format!("repeat 250 {{ {} }}", "relu > ".repeat(190) + "relu")),
        space(&"repeat a in 1..256 { ".repeat(3)) + "}}}",
        space(&format!("{} relu {}", "repeat 256 { ".repeat(30), "}".repeat(30))),
        space(&format!("{} {}", "repeat 256 { ".repeat(30), "}".repeat(30))),
        space("repeat a in 1..256 { conv(1..4096, 1) }"),
        space("repeat a in 1..250 { residual { conv(choice(8, 16), 1, stride = choice(1, 2)) } }"),
        space("let a = 1..4096\nlet b = 1..4096\nlet c = 1..4096\nconv(a, 1) > conv(b, 1, groups = c)"),
        space(
            "let a = 1..4096\nlet b = 1..4096\nlet c = 1..4096\nconv(a, 1)\nwhere a + b == c\nwhere b > 5000",
        ),
        space("let n = min(1..64, 1..64, 1..64, 1..64)\nrepeat n { relu }"),
        space(&format!(
            "conv(choice({}), 1)",
            (1..40_000).map(|i| i.to_string()).collect::<Vec<_>>().join(",")
        )),
        space(&(0..6000).map(|i| format!("let x{i} = y{i}\n")).collect::<String>()),
        space(&(0..4000).map(|i| format!("conv(choice(8, 16), {i})\n")).collect::<String>()),
        (0..6000).map(|i| format!("block b{i}() {{ b{} }}\n", (i + 1) % 6000)).collect::<String>()
            + &space("b0"),
        format!("task {{ {} }}", "input = 1\n".repeat(20_000)),
        format!("task {{ classes = [{}] }}", (0..25_000).map(|i| format!("\"{i}\",")).collect::<String>()),
        "device d = \"x\"\n".repeat(10_000),
        "spce {}\n".repeat(10_000),
        "\n".repeat(200_000),
        "a".repeat(200_000),
        "\u{feff}\u{0}\u{7f}é".repeat(10_000),
        "x".repeat(1 << 21),
    ];
    for text in texts {
        let start = Instant::now();
        let head: String = text.chars().take(120).collect();
        let none = |_: &str| Err("not here".to_string());
        let report = check("a.hyt", &text, &none);
        if std::env::var_os("HYT_TIMES").is_some() {
            eprintln!(
                "{:?} {head:?} {:?}",
                start.elapsed(),
                report.diagnostics.iter().map(|d| d.code).take(3).collect::<Vec<_>>()
            );
        }
        assert!(!report.diagnostics.is_empty() || report.checked.is_some(), "{head}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?} for {head}", start.elapsed());
    }
}

// ---- counting ----

/// All points, by running through every assignment of values to decisions, existing or not.
fn brute_force(space: &Space) -> Option<BTreeSet<Point>> {
    let sizes: Vec<u32> = space.decisions().iter().map(|d| d.values.len() as u32).collect();
    let all: u64 = sizes.iter().try_fold(1u64, |n, &s| n.checked_mul(u64::from(s)))?;
    if all > 50_000 {
        return None;
    }
    let mut points = BTreeSet::new();
    for n in 0..all {
        let mut n = n;
        let mut wish: Vec<u32> = Vec::new();
        for &s in &sizes {
            wish.push((n % u64::from(s)) as u32);
            n /= u64::from(s);
        }
        let values = space
            .decisions()
            .iter()
            .zip(&wish)
            .map(|(d, &i)| (d.path.clone(), d.values[i as usize].clone().into()));
        // Refused assignments break a `where`.
        points.extend(space.point(&values.collect(), None).ok());
    }
    Some(points)
}

/// Spaces by the bodies of their `space`, with the number of their points counted by hand.
const COUNTED: &[(&str, usize)] = &[
    ("conv(8, 3)", 1),
    ("conv(choice(8, 16), choice(1, 3, 5))", 6),
    ("optional o { conv(choice(8, 16, 24), 1) }", 4),
    ("one_of m { a: relu  b: conv(choice(8, 16), 1)  c: conv(choice(1, 2, 3), choice(1, 3)) }", 9),
    ("repeat n in 0..3 { conv(choice(8, 16), 1) }", 15),
    ("repeat n in 0..3 { conv(shared choice(8, 16), 1) }", 7),
    ("repeat n in 2..3 { optional o { conv(shared choice(8, 16), 1) } }", 7 + 15),
    ("repeat 3 as i { when i == 2 { conv(choice(8, 16), 1) } }", 2),
    ("repeat 2 as i { when i == 2 { conv(shared choice(8, 16), 1) } }", 2),
    ("let a = choice(1, 2, 3)\nrepeat a { conv(choice(8, 16), 1) }", 14),
    ("let a = choice(1, 2, 3)\nwhen a == 2 { conv(choice(8, 16), 1) } else { dwconv(choice(3, 5, 7)) }", 8),
    ("let a = choice(1, 2, 3)\nlet b = choice(1, 2, 3)\nconv(a, b)\nwhere a <= b", 6),
    ("one_of m { a: relu  b: conv(choice(8, 16), 1) }\nlet w = choice(8, 16)\nconv(w, 1)\nwhere m.b.width == w", 4),
    ("let act = choice(relu, silu, conv(choice(8, 16), 1))\nact", 4),
    ("optional o { optional p { conv(choice(8, 16), 1) } }\nwhere not o or p", 3),
    ("let w = choice(8, 16)\nconv(w, 1)\nresidual when w == 8 { conv(w, 3) }", 2),
    ("repeat n in 1..2 { one_of m { a: conv(choice(8, 16), 1)  b: repeat k in 1..2 { dwconv(choice(3, 5)) } } }", 8 + 64),
];

#[test]
fn sizes_by_hand() {
    for &(body, size) in COUNTED {
        let space = checked(&around(body)).space;
        let points = brute_force(&space).unwrap();
        assert_eq!(points.len(), size, "brute force, {body}");
        assert_eq!(space.size(), Size::Exact(BigUint::from(size)), "{body}");
    }
}

fn around(body: &str) -> String {
    let task = "task { input = image(8, 8, 3) classes = [\"a\", \"b\"] }\n";
    format!("{task}space {{\n{body}\nglobal_avg_pool > linear(classes)\n}}\n")
}

/// The good specs, and those counted by hand.
fn spaces() -> Vec<(String, Space)> {
    let mut out = Vec::new();
    for file in specs("tests/in/good").into_iter().chain(specs("specs")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.display().to_string();
        out.push((name, check("a.hyt", &text, &load_in(&file)).checked.unwrap().space));
    }
    out.extend(COUNTED.iter().map(|(b, _)| (b.to_string(), checked(&around(b)).space)));
    out
}

#[test]
fn sizes_by_brute_force() {
    let mut counted = 0;
    for (name, space) in spaces() {
        let Some(points) = brute_force(&space) else { continue };
        counted += 1;
        assert_eq!(space.size(), Size::Exact(BigUint::from(points.len())), "{name}");
        for p in &points {
            space.network(p).unwrap_or_else(|e| panic!("{name} {p:?} {e:?}"));
        }
    }
    assert!(counted >= COUNTED.len() + 5, "only {counted} were small enough");
}

#[test]
fn samples_and_repairs_are_points() {
    let mut rng = rng(3);
    for (name, space) in spaces() {
        let all = brute_force(&space);
        let mut seen = BTreeSet::new();
        for i in 0..100 {
            let p = space.sample(&mut rng);
            // A point by its paths is the same point.
            assert_eq!(space.point(&space.describe(&p), None).unwrap(), p, "{name}");
            let wish: Vec<Option<u32>> =
                (0..p.0.len()).map(|_| [None, Some(rng.random_range(0..9))][i % 2]).collect();
            if let Some(repaired) = space.repair(&wish, &mut rng) {
                assert_eq!(space.point(&space.describe(&repaired), None).unwrap(), repaired, "{name}");
                // Wishes that no constraint forbids are granted.
                let again = space.repair(&repaired.0, &mut rng).unwrap();
                assert_eq!(again, repaired, "{name}");
                seen.insert(repaired);
            }
            if i < 10 {
                space.network(&p).unwrap_or_else(|e| panic!("{name} {e:?}"));
            }
            seen.insert(p);
        }
        if let Some(all) = all {
            assert!(seen.is_subset(&all), "{name}");
            // Small spaces are seen wholly: sampling forgets no part of them.
            assert!(all.len() > 12 || seen.len() == all.len(), "{name}: {} of {}", seen.len(), all.len());
        }
    }
}

#[test]
fn decisions_on_branches_not_taken_do_not_exist() {
    let space = checked(&around("one_of m { a: conv(choice(8, 16), 1)  b: dwconv(choice(3, 5)) }")).space;
    let make = |text: &str| {
        let serde_json::Value::Object(values) = serde_json::from_str(text).unwrap() else { panic!() };
        space.point(&values, None)
    };
    let one = make(r#"{"m": "a", "m.a.width": 16, "m.b.kernel": 3}"#).unwrap();
    let two = make(r#"{"space.m": "a", "space.m.a.width": "16", "m.b.kernel": 5}"#).unwrap();
    let three = make(r#"{"m": "a", "m.a.width": 16.0}"#).unwrap();
    assert_eq!(one, two);
    assert_eq!(one, three);
    assert_eq!(space.describe(&one).keys().collect::<Vec<_>>(), ["space.m", "space.m.a.width"]);

    let message = |r: Result<Point, Vec<diag::Diagnostic>>| {
        let d = r.unwrap_err();
        assert!(d.iter().all(|d| d.code == hytc::codes::POINT && !d.help.is_empty()), "{d:?}");
        d.into_iter().map(|d| d.message).collect::<Vec<_>>()
    };
    assert_eq!(message(make(r#"{"m": "a"}"#)), ["the point has no value for `space.m.a.width`"]);
    assert_eq!(message(make(r#"{"m": "c"}"#)), ["`space.m` has no value `c`"]);
    assert_eq!(
        message(make(r#"{"n": 1, "m.a.width": 9}"#)),
        ["`space.m.a.width` has no value `9`", "the space has no decision `n`"]
    );
    let filled = space.point(&serde_json::Map::new(), Some(&one)).unwrap();
    assert_eq!(filled, one);

    let constrained = checked(&around("let a = choice(1, 2)\nconv(a, 1)\nwhere a == 2")).space;
    let a1 = serde_json::json!({"a": 1});
    let refused = constrained.point(a1.as_object().unwrap(), None).unwrap_err();
    assert_eq!(refused[0].message, "the point breaks a `where` of the space");
    assert_eq!(constrained.describe(&constrained.first_point())["space.a"], 2);
}

#[test]
fn equal_networks_have_equal_hashes() {
    // Three ways to one network: by another decision, by another name, by another structure.
    let text = "let w = choice(8, 16)\none_of m { plain: conv(w, 3)  named: { let v = w\nagain: conv(v, 3) }  other: conv(24 - w, 3) }";
    let space = checked(&around(text)).space;
    let mut by_hash: BTreeMap<String, usize> = BTreeMap::new();
    for p in brute_force(&space).unwrap() {
        *by_hash.entry(space.network(&p).unwrap().hash()).or_default() += 1;
    }
    assert_eq!(by_hash.values().copied().collect::<Vec<_>>(), [3, 3]);
}

#[test]
fn the_published_space_has_its_size() {
    let file = specs("specs").into_iter().find(|p| p.ends_with("hytnas.hyt")).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().count() <= 60);
    let space = check("hytnas.hyt", &text, &load_in(&file)).checked.unwrap().space;
    assert_eq!(space.size().to_string(), "396718580736");
    assert_eq!(space.decisions().len(), 23);
}
