//! What `check` says of broken specs, and what it makes of good ones: one snapshot per file of
//! `tests/in`. A new file needs only `INSTA_UPDATE=always cargo test --test check` and a careful look
//! at the snapshot.

mod common;

use common::specs::{load_in, specs};
use hytc::check::{check, Report};
use hytc::diag;
use hytc::space::{Point, SearchSpace, Space};
use std::fmt::Write;
use std::path::Path;

/// Checks a file; paths in messages are the file's name only.
fn run(file: &Path) -> Report {
    let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    check(&file.file_name().unwrap().to_string_lossy(), &text, &load_in(file))
}

fn snapshot(folder: &str, file: &Path, text: String) {
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("snapshots/{folder}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn broken_specs() {
    for file in specs("tests/in/broken") {
        let start = std::time::Instant::now();
        let report = run(&file);
        let name = file.display();
        // About a second where the machine is quiet and the build is optimised.
        assert!(start.elapsed().as_secs() < 20, "{name}: took {:?}", start.elapsed());
        if std::env::var_os("HYT_TIMES").is_some() {
            eprintln!("{:?} {name}", start.elapsed());
        }
        assert!(!report.diagnostics.is_empty(), "{name}: nothing was found");
        for d in &report.diagnostics {
            assert!(!d.message.is_empty() && !d.help.is_empty(), "{name}: {d:?}");
            assert!(!d.message.ends_with('.'), "{name}: {}", d.message);
        }
        assert_eq!(report.checked.is_none(), diag::has_errors(&report.diagnostics), "{name}");
        snapshot("broken", &file, diag::render(&report.diagnostics, &report.sources, false));
    }
}

#[test]
fn good_specs() {
    for folder in ["tests/in/good", "specs"] {
        for file in specs(folder) {
            let report = run(&file);
            let shown = diag::render(&report.diagnostics, &report.sources, false);
            assert!(!diag::has_errors(&report.diagnostics), "{}\n{shown}", file.display());
            let space = report.checked.unwrap().space;
            snapshot("good", &file, shown + &describe(&space, &space.first_point()));
        }
    }
}

/// Decisions, size, and the network of a point.
fn describe(space: &Space, point: &Point) -> String {
    let mut out = format!("size {}\n\n", space.size());
    for (d, chosen) in space.decisions().iter().zip(&point.0) {
        let chosen = chosen.map_or("does not exist", |i| d.values[i as usize].as_str());
        writeln!(out, "{:40} {:40} {chosen}", d.path, d.values.join(" ")).unwrap();
    }
    let network = space.network(point).unwrap();
    out.push('\n');
    for v in network.nodes() {
        writeln!(out, "{:40} {:24} {}", v.node.name, v.node.op.label(), v.output).unwrap();
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}
