fn main() {
    hytc::build::compile("fashion.hyt").unwrap_or_else(|e| panic!("{e}"));
}
