//! Compiles the C++ bridges (`native/`) against the headers of torch-sys's libtorch.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

const SOURCES: [&str; 12] = [
    "native/message.cpp",
    "native/gloo/bridge.cpp",
    "native/optimizer/adam.cpp",
    "native/program/arguments.cpp",
    "native/program/numbers.cpp",
    "native/program/program.cpp",
    "native/program/random.cpp",
    "native/fused/function.cpp",
    "native/fused/processor.cpp",
    "native/fused/baseline.cpp",
    "native/fused/v3.cpp",
    "native/fused/v4.cpp",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=native");
    let headers = headers_of_libtorch()?;
    // Another libtorch behind the same path is another bridge.
    let version = headers.join("torch/headeronly/version.h");
    println!("cargo::rerun-if-changed={}", version.display());
    println!(
        "cargo::rustc-env=LIBTORCH_VERSION={}",
        version_of_libtorch(&version)?
    );
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        // Also where the rest is compiled for a debugger: libtorch's own loops are fast, too.
        .opt_level(2)
        // A product and a sum as one operation, where the processor has it.
        .flag("-ffp-contract=fast")
        // Vectors don't cross the borders of a library.
        .flag_if_supported("-Wno-psabi")
        .define("USE_C10D_GLOO", None)
        .include("native/gloo/stubs")
        .flag("-isystem")
        .flag(text(&headers)?)
        .flag("-isystem")
        .flag(text(&headers.join("torch/csrc/api/include"))?);
    for file in SOURCES {
        build.file(file);
    }
    build.try_compile("mnist_native")?;
    // Tests alone name this library, and alone are linked with it; where it is, the above has said.
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .cargo_metadata(false)
        .file("native/fused/reference.cpp")
        .try_compile("mnist_reference")?;
    Ok(())
}

/// The folder of headers. It lies beside the folder of libraries, once links are resolved.
fn headers_of_libtorch() -> Result<PathBuf, Box<dyn Error>> {
    let libraries = env::var("DEP_TCH_LIBTORCH_LIB").map_err(|_| {
        "torch-sys does not say where libtorch is: `make setup` writes that to .cargo/libtorch.toml"
    })?;
    let libraries = fs::canonicalize(&libraries)
        .map_err(|error| format!("{libraries}: {error}: run `make setup`"))?;
    let headers = libraries.with_file_name("include");
    if !headers.join("torch").is_dir() {
        return Err(format!(
            "{} has no headers of libtorch: `make setup` installs a libtorch that has them",
            headers.display()
        )
        .into());
    }
    Ok(headers)
}

/// The version of libtorch, such as 2.13, which is what a worker needs on an executor.
fn version_of_libtorch(header: &Path) -> Result<String, Box<dyn Error>> {
    let text = fs::read_to_string(header)?;
    let number = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name))
            .map(str::trim)
            .ok_or_else(|| format!("{} does not define {name}", header.display()))
    };
    Ok(format!(
        "{}.{}",
        number("TORCH_VERSION_MAJOR")?,
        number("TORCH_VERSION_MINOR")?
    ))
}

fn text(path: &Path) -> Result<&str, Box<dyn Error>> {
    path.to_str()
        .ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}
