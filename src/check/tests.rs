//! What a good spec means, as types.

use super::spec::{Algorithm, Dimension, Measure, Metric, Pick, SeedSource, Spec, Surrogate};
use super::{check, Checked};

const HEAD: &str = "task { input = image(16, 16, 3) classes = [\"a\", \"b\"] }
space { conv(choice(8, 16), 3) > relu optional tail { relu6 } global_avg_pool > linear(classes) }
device board = \"stm32f446\"\n";

fn checked(rest: &str) -> Checked {
    let report = check("a.hyt", &format!("{HEAD}{rest}"), &|_| Err(String::new()));
    report.checked.unwrap_or_else(|| panic!("{:?}", report.diagnostics))
}

fn spec(rest: &str) -> Spec {
    checked(rest).spec
}

#[test]
fn what_a_program_returns_is_measured_and_the_rest_computed() {
    let s = spec(
        "goal { maximize accuracy minimize latency on board maximize f1 require ram <= 64 KiB
                require memory <= 2 MiB require f1 >= 50% }
         evaluate command(\"./run\", \"-x\") { metrics = [accuracy in %, latency in ms, f1 in %, memory in KiB, loss]
                timeout = 1.5 h }",
    );
    let e = s.evaluate.unwrap();
    assert_eq!(
        (e.command.as_slice(), e.timeout, e.onnx),
        (&["./run".into(), "-x".into()][..], Some(5400.0), false)
    );
    let returned: Vec<(&str, Option<usize>, Dimension, f64)> = (e.metrics.iter())
        .map(|r| (r.key.as_str(), r.measure.device, r.measure.dimension, r.scale))
        .collect();
    let expected = [
        ("accuracy", None, Dimension::Fraction, 0.01),
        // The only device is meant, also where the program's key does not say so.
        ("latency", Some(0), Dimension::Time, 1e-3),
        ("f1", None, Dimension::Fraction, 0.01),
        ("memory", None, Dimension::Bytes, 1024.0),
        ("loss", None, Dimension::Plain, 1.0),
    ];
    assert_eq!(returned, expected);
    let computed: Vec<bool> = s.goal.objectives.iter().map(|o| o.measure.computed).collect();
    assert_eq!(computed, [false; 3]);
    let limits: Vec<(bool, f64)> =
        s.goal.requirements.iter().map(|r| (r.measure.computed, r.limit)).collect();
    assert_eq!(limits, [(true, 65536.0), (false, 2097152.0), (false, 0.5)]);
    assert_eq!(s.goal.objectives[1].measure.name(&["board".into()]), "latency on board");

    let s = spec("goal { minimize latency } evaluate command(\"a\") { metrics = [f1] }");
    assert!(s.goal.objectives[0].measure.computed, "not in the list");
}

#[test]
fn ranges_are_limits_and_give_the_reference_point() {
    let s = spec("goal { maximize accuracy in 80% .. 90% minimize latency in 20 ms .. 0.1 s }");
    let ranges: Vec<_> = s.goal.objectives.iter().map(|o| o.range.unwrap()).collect();
    assert_eq!(ranges, [(0.8, 0.9), (0.02, 0.1)]);
    let limits: Vec<(bool, f64)> = s.goal.requirements.iter().map(|r| (r.at_least, r.limit)).collect();
    assert_eq!(limits, [(true, 0.8), (false, 0.1)]);
    assert_eq!(s.search.reference, Some(vec![0.8, 0.1]));
    let s = spec("goal { maximize accuracy in 80% .. 95% minimize latency }");
    assert_eq!(s.search.reference, None, "not all objectives have a range");
    let s = spec(
        "goal { maximize accuracy in 80% .. 95% minimize latency }
         search random { reference { latency on board = 2 s, accuracy = 75% } }",
    );
    assert_eq!(s.search.reference, Some(vec![0.75, 2.0]));
}

#[test]
fn searches_have_their_defaults() {
    let s = spec("").search;
    assert_eq!((s.algorithm, s.workers, s.surrogate), (Algorithm::Mobo, 1, Surrogate::Auto));
    assert!(s.reference.is_none() && s.seed_points.is_empty());
    for (name, algorithm) in [("tpe", Algorithm::Tpe), ("local_search", Algorithm::LocalSearch)] {
        assert_eq!(spec(&format!("search {name}")).search.algorithm, algorithm);
    }
    assert_eq!(spec("search mobo { surrogate = gp }").search.surrogate, Surrogate::Gp);
    assert_eq!(spec("").goal.pick, Pick::Best(Measure::accuracy()));
    assert_eq!(Metric::named("f1"), None);
}

#[test]
fn seed_points_are_points_of_the_space() {
    let c = checked(
        "search mobo { seed_points = [point(tail = true), point(space.width = 16), file(\"a.json\"), study(\"b\")] }",
    );
    let described: Vec<String> = (c.spec.search.seed_points.iter())
        .map(|s| match &s.source {
            SeedSource::Point(p) => serde_json::Value::from(c.space.describe(p)).to_string(),
            SeedSource::File(path) => format!("file {path}"),
            SeedSource::Study(path) => format!("study {path}"),
        })
        .collect();
    let expected = [
        "{\"space.tail\":true,\"space.width\":8}",
        "{\"space.tail\":false,\"space.width\":16}",
        "file a.json",
        "study b",
    ];
    assert_eq!(described, expected);
}

#[test]
fn values_have_their_types() {
    let more = "let act = choice(relu, silu) conv(8, choice(1, 3), bias = choice(true, false)) > act
        one_of which { a: relu b: silu } optional tail";
    let text = HEAD.replace("optional tail", more);
    let report = check("a.hyt", &text, &|_| Err(String::new()));
    let space = report.checked.unwrap_or_else(|| panic!("{:?}", report.diagnostics)).space;
    let decisions = serde_json::Value::from(space.describe(&space.first_point())).to_string();
    for part in [
        "\"space.bias\":true",
        "\"space.kernel\":1",
        "\"space.act\":\"relu\"",
        "\"space.which\":\"a\"",
        "\"space.tail\":false",
    ] {
        assert!(decisions.contains(part), "{part}: {decisions}");
    }
}

#[test]
fn the_part_evaluate_is_there_only_where_the_item_is() {
    assert!(!checked("").parts.contains_key("evaluate"));
    let one = checked("goal { maximize f } evaluate command(\"a\") { metrics = [f] }").parts;
    let two = checked("goal { maximize f } evaluate command(\"b\") { metrics = [f] }").parts;
    let changed: Vec<&str> = one.iter().filter(|(k, v)| two[*k] != **v).map(|(k, _)| *k).collect();
    assert_eq!(changed, ["evaluate"]);
}
