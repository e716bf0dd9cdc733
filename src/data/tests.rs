use super::{absent, fingerprint};
use crate::check::spec::Task;

fn task(text: &str) -> Task {
    let spec = format!(
        "task {{ input = image(12, 12, 1) classes = [\"a\", \"b\"] {text} }}\n\
         space {{ conv(4, 3) > relu > global_avg_pool > linear(classes) }}\n"
    );
    let report = crate::check::check("t.hyt", &spec, &|_| Err("none".into()));
    report.checked.unwrap_or_else(|| panic!("{:?}", report.diagnostics)).spec.task
}

#[test]
fn data_are_absent_only_if_nothing_of_them_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let idx = task("train = idx(\"images/train\") test = idx(\"images/test\")");
    assert!(absent(&idx, folder.path()), "no folder");
    std::fs::create_dir(at("images")).unwrap();
    assert!(absent(&idx, folder.path()), "an empty folder");
    std::fs::write(at("images/test-labels-idx1-ubyte.gz"), "").unwrap();
    assert!(!absent(&idx, folder.path()), "one file of four");
    assert!(fingerprint(&idx, folder.path()).is_err());

    let folders = task("train = folder(\"pictures\")");
    assert!(absent(&folders, folder.path()));
    std::fs::create_dir(at("pictures")).unwrap();
    assert!(!absent(&folders, folder.path()), "a folder without its classes is damaged, not absent");
    assert!(fingerprint(&folders, folder.path()).is_err());
}
