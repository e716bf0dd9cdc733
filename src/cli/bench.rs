//! `hytc bench SPEC --target ..` and `hytc bench search`

#[cfg(feature = "search")]
use super::bench_search;
use super::{bench_target, Done};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = bench_target::AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    target: bench_target::Args,
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
    bench_target::run(&args.target)
}
