//! The command line `hytc`.

fn main() -> std::process::ExitCode {
    hytc::cli::main()
}
