//! `hytc check`

use super::common::{out, rendered, say, SpecArgs};
use super::{exit, Done, Failure};
use crate::diag;
use crate::project::{Project, ProjectError};
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc check person.hyt
  hytc check person.hyt --json | jq '.[].line'";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Print the findings as a JSON array, for editors: each with `severity`, `code`, `message`, `label`,
    /// `help`, `file`, `line`, `column`, `end_line`, `end_column`, `span` (bytes), and `labels`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let (found, sources, summary) = match Project::open(&args.spec.spec) {
        Ok(mut p) => {
            p.warnings.extend(p.impossible());
            let name = p.name();
            let decisions = crate::space::SearchSpace::decisions(&p.checked.space).len();
            let plural = if decisions == 1 { "" } else { "s" };
            let points = super::common::points(&p.checked.space.size());
            let text = format!("{name}: no errors, {decisions} decision{plural}, {points}");
            note_missing(&p);
            (p.warnings, p.sources, text)
        }
        Err(ProjectError::Spec(found)) => (found.0, found.1, String::new()),
        Err(other) => return Err(other.into()),
    };
    let failed = diag::has_errors(&found);
    if args.json {
        super::common::print_json(&diag::to_json(&found, &sources))?;
        return Ok(if failed { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS });
    }
    let text = rendered(&found, &sources);
    if failed {
        return Err(Failure::new(text));
    }
    if !text.is_empty() {
        say(format_args!("{text}"));
    }
    out(format_args!("{summary}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Says which images are not here. A spec is checked on machines without them too.
#[cfg(feature = "data")]
fn note_missing(project: &Project) {
    let missing = crate::data::missing(&project.checked.spec.task, project.dir());
    for source in missing {
        let (line, _) = project.sources.line_column(source.span);
        let (spec, path) = (project.path.display(), project.dir().join(&source.path));
        say(format_args!(
            "note: {spec}:{line}: the images `{}` are not here; training needs them",
            path.display()
        ));
    }
}

#[cfg(not(feature = "data"))]
fn note_missing(_: &Project) {}
