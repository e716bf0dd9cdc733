//! Compiling an emitted crate and running it.

use hytc::emit::rust::{crate_name, harness_main, EmittedFile};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Writes an emitted crate into `dir`.
pub fn write(dir: &Path, files: &[EmittedFile]) {
    for f in files {
        let path = dir.join(&f.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &f.text).unwrap();
    }
}

fn check(command: &mut Command) -> String {
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{command:?}\n{text}");
    text
}

/// Compiles an emitted crate with its harness for this machine; gives the program.
pub fn compile(dir: &Path, files: &[EmittedFile], name: &str) -> PathBuf {
    let name = crate_name(name);
    compile_with(dir, files, &name, &harness_main(&name))
}

/// Compiles an emitted crate and a program that uses it under its name `name`.
pub fn compile_with(dir: &Path, files: &[EmittedFile], name: &str, main: &str) -> PathBuf {
    write(dir, files);
    let lib = dir.join(format!("lib{name}.rlib"));
    let text = check(
        Command::new("rustc")
            .args(["--edition", "2021", "-O", "-D", "warnings", "--crate-type", "lib", "--crate-name", name])
            .arg("-o")
            .arg(&lib)
            .arg(dir.join("src/lib.rs")),
    );
    assert_eq!(text, "", "the crate compiles without a word");
    link(dir, main, &[format!("{name}={}", lib.display())])
}

/// Compiles a program that uses the libraries given as `name=path`.
pub fn link(dir: &Path, main: &str, libraries: &[String]) -> PathBuf {
    let (source, exe) = (dir.join("harness.rs"), dir.join("harness"));
    std::fs::write(&source, main).unwrap();
    let mut command = Command::new("rustc");
    command.args(["--edition", "2021", "-O", "-D", "warnings"]).arg("-o").arg(&exe).arg(&source);
    for l in libraries {
        command.args(["--extern", l]);
    }
    check(&mut command);
    exe
}

/// Runs the harness on images of f32 and gives all results.
pub fn run(exe: &Path, images: &[f32]) -> Vec<f32> {
    let bytes: Vec<u8> = images.iter().flat_map(|x| x.to_le_bytes()).collect();
    let out = run_bytes(exe, &bytes);
    out.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Runs a program with bytes for its standard input and gives its standard output.
pub fn run_bytes(exe: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(exe).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let bytes = bytes.to_vec();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(out.status.success());
    out.stdout
}
