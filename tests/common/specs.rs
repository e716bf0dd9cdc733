//! What several tests need: the specs, and checking them.

use hytc::check::{check, Checked};
use hytc::diag;
use rand::SeedableRng;
use std::path::{Path, PathBuf};

/// The `.hyt` files directly in a folder, by name.
pub fn specs(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join(folder))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "hyt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no specs in {folder}");
    files
}

/// Paths and texts of the specs in several folders.
pub fn all_specs(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let read = |p: PathBuf| {
        let text = String::from_utf8_lossy(&std::fs::read(&p).unwrap()).into_owned();
        (p, text)
    };
    folders.iter().flat_map(|f| specs(f)).map(read).collect()
}

/// Loads what a file uses from its own folder.
pub fn load_in(file: &Path) -> impl Fn(&str) -> Result<String, String> {
    let folder = file.parent().unwrap().to_path_buf();
    move |p| std::fs::read_to_string(folder.join(p)).map_err(|_| "there is no such file".to_string())
}

/// The checked spec of a text that has no errors.
pub fn checked(text: &str) -> Checked {
    let report = check("test.hyt", text, &|_| Err("not here".into()));
    let shown = diag::render(&report.diagnostics, &report.sources, false);
    report.checked.unwrap_or_else(|| panic!("{shown}\n{text}"))
}

/// A seeded generator.
pub fn rng(seed: u64) -> rand_chacha::ChaCha8Rng {
    rand_chacha::ChaCha8Rng::seed_from_u64(seed)
}
