//! Runs one rank of a fit or a transformation. Spark's tasks and torchrun start it.

use std::{path::Path, process::ExitCode};

use mnist_support::worker::{Job, Output, run};

const USAGE: &str = "\
Runs one rank of a job. RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT identify it, as in torch.distributed.

usage:
  mnist-worker --job FILE              writes the answer to standard output as an Arrow IPC stream
  mnist-worker --job FILE --save URL   saves the model of a fit to a folder, local or in the lake

example:
  torchrun --nproc-per-node 2 --no-python mnist-worker --job job.json --save models/digits";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (file, output) = match arguments[..] {
        ["--job", file] => (file, Output::Answer(std::io::stdout())),
        ["--job", file, "--save", url] => (file, Output::Save(url.to_owned())),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match Job::read(Path::new(file)).and_then(|job| run(&job, output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mnist-worker: {error}");
            ExitCode::FAILURE
        }
    }
}
