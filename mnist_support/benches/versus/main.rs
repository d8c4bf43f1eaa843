//! Compares the crate's speed with what one would use instead, side by side: `make bench`.
//!
//! For each row of the table, our program and the peer's run as processes that prepare once and
//! then measure in turn, A B A B. The results are the medians of at least 5 pairs, and of the
//! pairs' ratios. The peers are scripts in `benches/peers`. Where one has variants, all are tried,
//! and the best one counts.

mod children;
mod load;
mod memory;
mod messages;
mod mixed;
mod ours;
mod pairs;
mod paths;
mod processes;
mod results;
mod rows;
mod table;

use std::{env, process::ExitCode, time::Instant};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = env::args().skip(1).filter(|one| one != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["child", program @ ..] = &arguments[..] {
        return match ours::run(program) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    if let Some(unknown) = arguments.iter().find(|name| !rows::NAMES.contains(name)) {
        eprintln!(
            "error: there is no row {unknown:?}; there are {}",
            rows::NAMES.join(", ")
        );
        return ExitCode::from(2);
    }
    // Results for other images would be mistaken for MNIST's.
    if std::fs::read_to_string(paths::lake_record()).is_ok_and(|text| text.contains("\"folder\"")) {
        eprintln!("error: data/lake holds files of your own: run `make data MNIST_DIR=` for MNIST");
        return ExitCode::FAILURE;
    }
    compare(&arguments)
}

/// Measures the rows with these names, or all rows.
fn compare(names: &[&str]) -> ExitCode {
    let wanted = |name: &&&str| names.is_empty() || names.contains(*name);
    let start = Instant::now();
    let (mut measured, mut failed) = (Vec::new(), false);
    for name in rows::NAMES.iter().filter(wanted) {
        println!("==> {name}");
        let outcome = rows::measure(name)
            .and_then(|rows| results::save(&paths::results(), &rows).map(|()| rows));
        match outcome {
            Ok(rows) => measured.extend(rows),
            Err(error) => {
                println!("    could not be measured: {error}");
                failed = true;
            }
        }
    }
    if !measured.is_empty() {
        println!("\n{}", table::table(&measured));
    }
    println!(
        "==> Measured in {:.1} minutes; the rows are in {}",
        start.elapsed().as_secs_f64() / 60.0,
        paths::results().display()
    );
    if failed {
        println!("==> Not every row could be measured: see above");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
