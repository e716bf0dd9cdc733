//! `hytc bench SPEC --target ..` and `hytc bench search`

#[cfg(feature = "search")]
use super::bench_search;
use super::{bench_target, Done};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(flatten)]
    target: Option<bench_target::Args>,
    #[cfg(feature = "search")]
    #[command(subcommand)]
    what: Option<What>,
}

#[cfg(feature = "search")]
#[derive(clap::Subcommand)]
enum What {
    /// Measure the search engine on problems with known answers: hypervolume by evaluations, seconds a
    /// suggestion
    Search(bench_search::Args),
}

pub(super) fn run(args: &Args) -> Done {
    #[cfg(feature = "search")]
    if let Some(What::Search(search)) = &args.what {
        return bench_search::run(search);
    }
    match &args.target {
        Some(target) => bench_target::run(target),
        // Clap asks for a spec and a target.
        None => Err(super::Failure::new("error: name a spec and a target, or `search`")),
    }
}
