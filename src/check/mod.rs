//! From the syntax tree to a typed spec: names, types, units, shapes on every branch.
//!
//! Invariant: nothing after this stage reports a mistake of names, types or units; a [`Checked`] is
//! made only here.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod calls;
#[cfg(test)]
mod documented;
mod evaluate;
mod goal;
mod measure;
mod names;
mod resolve;
mod search;
mod seeds;
mod settings;
pub mod spec;
mod task;
#[cfg(test)]
mod tests;
mod training;

use crate::codes;
use crate::diag::{self, Diagnostic};
use crate::graph::Fact;
use crate::source::{FileId, Sources, Span};
use crate::space::program::Program;
use crate::space::Space;
use crate::syntax::{self, ast};
use spec::{DeviceRef, Spec};
use std::collections::BTreeMap;

/// The prelude is always the second file of the table: the first is the user's.
pub(crate) const PRELUDE_FILE: FileId = FileId(1);

/// The prelude, written in the language.
pub const PRELUDE: &str = include_str!("../../prelude/prelude.hyt");

/// A spec that has passed every check.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What it says.
    pub spec: Spec,
    /// Its space.
    pub space: Space,
    /// Hashes of the parts that a result depends on, by name: `task`, `space`, `goal`, `search`,
    /// `final`, `devices`, and `evaluate` where there is one. They do not change with comments, white space, or what is emitted.
    pub parts: BTreeMap<&'static str, String>,
}

/// What a check gives: what was found, and the spec unless there were errors.
#[derive(Debug, Clone)]
pub struct Report {
    /// The files, to render what was found.
    pub sources: Sources,
    /// Errors and warnings in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
    /// The spec, if there were no errors.
    pub checked: Option<Checked>,
}

/// Checks a spec. `path` is its path as it is to be shown; files it uses are asked of `load` by
/// their paths, which are relative to the same place as `path`.
pub fn check(path: &str, text: &str, load: &dyn Fn(&str) -> Result<String, String>) -> Report {
    let mut sources = Sources::default();
    let main = sources.add(path, text);
    let prelude = sources.add("prelude.hyt", PRELUDE);
    let mut found = Vec::new();
    let mut files = vec![(prelude, syntax::parse(&sources, prelude))];
    let tree = syntax::parse(&sources, main);
    use_files(&tree.0, main, &mut sources, load, &mut files, &mut found, &mut vec![path.to_string()]);
    files.push((main, tree));
    for (_, (_, errors)) in &mut files {
        found.append(errors);
    }
    let trees: Vec<(FileId, &ast::File)> = files.iter().map(|(id, (tree, _))| (*id, tree)).collect();
    let checked = items(path, &trees, main, &mut found);
    quiet(&mut found, &sources);
    diag::tidy(&mut found);
    let checked = checked.filter(|_| !diag::has_errors(&found));
    Report { sources, diagnostics: found, checked }
}

/// Drops what only follows from something else: whatever is wrong on a line that cannot be read, and
/// names that seem unused because their use could not be read or is misspelt.
fn quiet(found: &mut Vec<Diagnostic>, sources: &Sources) {
    let place = |d: &Diagnostic| (d.span.file, sources.line_start(d.span));
    let first = |d: &Diagnostic| (d.span.start, d.span.end);
    let mut damaged: BTreeMap<(FileId, usize), (u32, u32)> = BTreeMap::new();
    for d in found.iter().filter(|d| d.code == codes::SYNTAX) {
        let earliest = damaged.entry(place(d)).or_insert(first(d));
        *earliest = first(d).min(*earliest);
    }
    let names = [codes::SYNTAX, codes::UNKNOWN_NAME, codes::DUPLICATE];
    let unread = found.iter().any(|d| names.contains(&d.code));
    found.retain(|d| match damaged.get(&place(d)) {
        Some(earliest) => d.code == codes::SYNTAX && first(d) == *earliest,
        None => !unread || d.code != codes::UNUSED,
    });
}

type Parsed = (FileId, (ast::File, Vec<Diagnostic>));

/// Loads what a file uses, depth first, each file once.
fn use_files(
    tree: &ast::File,
    from: FileId,
    sources: &mut Sources,
    load: &dyn Fn(&str) -> Result<String, String>,
    files: &mut Vec<Parsed>,
    found: &mut Vec<Diagnostic>,
    seen: &mut Vec<String>,
) {
    for item in &tree.items {
        let ast::Item::Use { path, .. } = item else { continue };
        let base = sources.get(from).map(|f| f.name.clone()).unwrap_or_default();
        let full = join(&base, &path.name);
        if seen.contains(&full) {
            continue;
        }
        seen.push(full.clone());
        match load(&full) {
            Ok(text) => {
                let id = sources.add(full, text);
                let parsed = syntax::parse(sources, id);
                use_files(&parsed.0, id, sources, load, files, found, seen);
                for item in &parsed.0.items {
                    if !matches!(item, ast::Item::Block(_) | ast::Item::Use { .. }) {
                        let m = "a file that is used may hold only blocks";
                        let d = Diagnostic::error(codes::USE, item_span(item), m)
                            .help("keep task, space, devices and goals in the main file");
                        found.push(d);
                    }
                }
                files.push((id, parsed));
            }
            Err(why) => {
                let shown = if full.is_empty() { &path.name } else { &full };
                let m = format!("`{shown}` cannot be read: {why}");
                let help = match why.contains("UTF-8") {
                    true => "save it as UTF-8",
                    false => "the path is relative to the file that says `use`",
                };
                found.push(Diagnostic::error(codes::USE, path.span, m).help(help));
            }
        }
    }
}

/// A path relative to a file, `/` between parts, `..` resolved where possible.
fn join(base: &str, relative: &str) -> String {
    if relative.starts_with('/') {
        return relative.to_string();
    }
    let mut parts: Vec<&str> = base.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match (part, parts.last()) {
            ("..", Some(last)) if !matches!(*last, ".." | "." | "") => {
                parts.pop();
            }
            (".", _) => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The word `space` at the beginning of its item.
fn keyword(space: Span) -> Span {
    Span { end: space.end.min(space.start + 5), ..space }
}

fn item_span(item: &ast::Item) -> Span {
    match item {
        ast::Item::Use { span, .. } | ast::Item::Device { span, .. } | ast::Item::Goal { span, .. } => *span,
        ast::Item::Task(s) | ast::Item::Final(s) => s.span,
        ast::Item::Search { section, .. }
        | ast::Item::Evaluate { section, .. }
        | ast::Item::Emit { section, .. } => section.span,
        ast::Item::Block(b) => b.span,
        ast::Item::Space(b) => keyword(b.span),
    }
}

/// The last one of an item that may stand only once.
fn only<'a, T>(what: &str, all: Vec<(&'a T, Span)>, found: &mut Vec<Diagnostic>) -> Option<&'a T> {
    for pair in all.windows(2) {
        if let [(_, first), (_, again)] = pair {
            found.push(
                Diagnostic::error(codes::DUPLICATE, *again, format!("there are two `{what}`s"))
                    .also(*first, "the first")
                    .help("keep one of them"),
            );
        }
    }
    all.first().map(|(t, _)| *t)
}

fn items(
    path: &str,
    files: &[(FileId, &ast::File)],
    main: FileId,
    found: &mut Vec<Diagnostic>,
) -> Option<Checked> {
    let lost: Vec<&str> = files.iter().flat_map(|(_, f)| &f.lost).map(String::as_str).collect();
    let mine: Vec<&ast::Item> =
        files.iter().filter(|(id, _)| *id == main).flat_map(|(_, f)| &f.items).collect();
    let end = Span { file: main, start: 0, end: 0 };
    let missing = |what: &str, example: &str, found: &mut Vec<Diagnostic>| {
        // Something damaged may be the very item that is missing.
        if !found.iter().any(|d| d.code == codes::SYNTAX) {
            let d = Diagnostic::error(codes::MISSING, end, format!("the file has no `{what}`"));
            found.push(d.help(format!("add `{example}`")));
        }
    };
    let tasks = mine
        .iter()
        .filter_map(|i| if let ast::Item::Task(s) = i { Some((s, s.span)) } else { None })
        .collect();
    let mut shaky = diag::has_errors(found);
    let before = found.len();
    let errors_from = |at: usize, found: &[Diagnostic]| found.get(at..).is_some_and(diag::has_errors);
    let task = match only("task", tasks, found) {
        Some(s) => task::task(s, &lost, found),
        None => {
            missing("task", "task { input = image(96, 96, 3) classes = [..] }", found);
            task::placeholder(end)
        }
    };
    shaky |= errors_from(before, found);
    let mut devices: Vec<DeviceRef> = Vec::new();
    for i in &mine {
        let ast::Item::Device { name, profile, span } = i else { continue };
        let ast::ExprKind::Text(profile) = &profile.kind else {
            let d = Diagnostic::error(
                codes::DEVICE,
                profile.span,
                "a device is the name of a profile, in double quotes",
            );
            found.push(d.help("for instance `device board = \"stm32f446\"` or `\"boards/mine.yaml\"`"));
            continue;
        };
        if let Some(first) = devices.iter().find(|d| d.name == name.name) {
            let d = Diagnostic::error(
                codes::DUPLICATE,
                name.span,
                format!("device `{}` is there twice", name.name),
            );
            found.push(d.also(first.span, "first here").help("rename one of them"));
            continue;
        }
        devices.push(DeviceRef { name: name.name.clone(), profile: profile.clone(), span: *span });
    }
    let evaluates = mine
        .iter()
        .filter_map(
            |i| if let ast::Item::Evaluate { section, .. } = i { Some((*i, section.span)) } else { None },
        )
        .collect();
    let evaluated = only("evaluate", evaluates, found).and_then(|i| match i {
        ast::Item::Evaluate { kind, args, returns, section } => {
            Some(evaluate::evaluate(kind, args, returns, section, &devices, &lost, found))
        }
        _ => None,
    });
    let complete = evaluated.as_ref().is_none_or(|(_, complete)| *complete);
    let evaluate = evaluated.map(|(e, _)| e);
    let measures = measure::Measures {
        devices: &devices,
        returned: evaluate.as_ref().map(|e| e.metrics.as_slice()),
        complete,
        lost: &lost,
    };
    let goals: Vec<(&Vec<ast::Goal>, Span)> = mine
        .iter()
        .filter_map(|i| if let ast::Item::Goal { goals, span } = i { Some((goals, *span)) } else { None })
        .collect();
    let goal_span = goals.first().map_or(end, |g| g.1);
    let statements: Vec<&ast::Goal> = only("goal", goals, found).into_iter().flatten().collect();
    let no_goal = statements.is_empty() && goal_span == end;
    let goal = if no_goal {
        // Without a goal a spec can still be checked, counted, costed and emitted from a point.
        let accuracy = spec::Measure::accuracy();
        let returned = measures.returned.unwrap_or_default();
        if evaluate.is_some() && !returned.iter().any(|r| r.measure == accuracy) {
            let name = returned.first().map_or("accuracy", |r| &r.key);
            missing("goal", &format!("goal {{ maximize {name} }}"), found);
        }
        let (measure, range) = (accuracy.clone(), None);
        let objective = spec::Objective { maximize: true, measure, range, span: end };
        spec::Goal { objectives: vec![objective], requirements: Vec::new(), pick: spec::Pick::Best(accuracy) }
    } else {
        goal::goal(&statements, measures, goal_span, found)
    };
    let searches = mine
        .iter()
        .filter_map(|i| {
            if let ast::Item::Search { algorithm, section } = i {
                Some((section, section.span, algorithm))
            } else {
                None
            }
        })
        .collect::<Vec<_>>();
    let algorithm = searches.first().map(|s| s.2);
    let section = only("search", searches.iter().map(|s| (s.0, s.1)).collect(), found);
    let mut search = match (algorithm, section) {
        (Some(a), Some(s)) => search::search(a, s, &goal, measures, found),
        _ => search::default(end),
    };
    search.reference = search.reference.or_else(|| search::worst_of_ranges(&goal));
    let seeds = section.map_or_else(Vec::new, |s| seeds::read(s, found));
    let finals = mine
        .iter()
        .filter_map(|i| if let ast::Item::Final(s) = i { Some((s, s.span)) } else { None })
        .collect();
    let (finish, int8) = training::finish(only("final", finals, found), &search, found);
    let mut emits: Vec<spec::Emit> = Vec::new();
    for i in &mine {
        let ast::Item::Emit { target, section } = i else { continue };
        let Some(e) = training::emit(target, section, found) else { continue };
        if emits.iter().any(|k| (k.target, k.precision) == (e.target, e.precision)) {
            let d = Diagnostic::error(codes::DUPLICATE, e.span, "this is emitted twice");
            found.push(d.help("remove one of them"));
            continue;
        }
        emits.push(e);
    }
    if let Some(unread) = int8.as_ref().filter(|_| emits.iter().all(|e| e.precision != spec::Precision::Int8))
    {
        let m = "nothing is emitted in int8, so it does not matter what that costs";
        let help = "add `emit rust { precision = int8 }`, or remove `int8`";
        found.push(Diagnostic::warning(codes::UNUSED, unread.span, m).help(help));
    }
    let before = found.len();
    let blocks: Vec<&ast::Block> = files
        .iter()
        .flat_map(|(_, f)| &f.items)
        .filter_map(|i| if let ast::Item::Block(b) = i { Some(b) } else { None })
        .collect();
    let spaces = mine
        .iter()
        .filter_map(|i| if let ast::Item::Space(b) = i { Some((b, keyword(b.span))) } else { None })
        .collect();
    let empty = ast::Body { statements: Vec::new(), span: end };
    let body = only("space", spaces, found);
    if body.is_none() {
        missing("space", "space { conv(8, 3) > relu > global_avg_pool > linear(classes) }", found);
    }
    let resolved = resolve::Resolver::new(blocks.clone(), task.classes.len(), lost, found)
        .run(body.unwrap_or(&empty), main);
    // The space can be explored if the task, the blocks and the space itself were read without errors;
    // a mistake in the goal, say, hides no wrong shape.
    if shaky || errors_from(before, found) {
        return None;
    }
    let body = body?;
    let (h, w, c) = task.input;
    let program = Program {
        blocks: resolved.blocks,
        body: resolved.body,
        slots: resolved.slots,
        input: Fact::Map { c, h, w },
        classes: task.classes.len(),
        span: keyword(body.span),
    };
    let space = match Space::new(program) {
        Ok((space, warnings)) => {
            found.extend(warnings);
            space
        }
        Err(errors) => {
            found.extend(errors);
            return None;
        }
    };
    search.seed_points = seeds::settle(seeds, &space, found);
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.strip_suffix(".hyt").unwrap_or(name).to_string();
    let parts = parts(&mine, &blocks);
    Some(Checked {
        spec: Spec { name, task, devices, goal, search, evaluate, finish, int8, emits },
        space,
        parts,
    })
}

/// Hashes of the canonical text of the parts.
fn parts(items: &[&ast::Item], blocks: &[&ast::Block]) -> BTreeMap<&'static str, String> {
    let mut texts: BTreeMap<&'static str, String> = BTreeMap::new();
    for name in ["task", "space", "goal", "search", "final", "devices"] {
        texts.insert(name, String::new());
    }
    for b in blocks {
        *texts.entry("space").or_default() += &syntax::print_item(&ast::Item::Block((*b).clone()));
    }
    for i in items {
        let part = match i {
            ast::Item::Task(_) => "task",
            ast::Item::Space(_) => "space",
            ast::Item::Goal { .. } => "goal",
            ast::Item::Search { .. } => "search",
            ast::Item::Evaluate { .. } => "evaluate",
            ast::Item::Final(_) => "final",
            ast::Item::Device { .. } => "devices",
            ast::Item::Use { .. } | ast::Item::Block(_) | ast::Item::Emit { .. } => continue,
        };
        *texts.entry(part).or_default() += &syntax::print_item(i);
    }
    texts.into_iter().map(|(k, v)| (k, crate::hash::sha256(v.as_bytes()))).collect()
}
