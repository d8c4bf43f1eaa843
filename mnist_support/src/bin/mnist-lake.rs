//! Lays the local lake out, checks it, and sends it to a container.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use mnist_support::lake::{Credentials, Lake};
use mnist_support::mnist::{self, Origin, Outcome};
use mnist_support::secrets::SecretScope;

const USAGE: &str = "\
Lays MNIST out as a small data lake.

usage:
  mnist-lake prepare --idx FOLDER [--lake FOLDER] [--own | --any-content]
  mnist-lake check [--lake FOLDER]
  mnist-lake upload --to URL [--from FOLDER] [--create]

prepare  checks the four IDX files in FOLDER and writes train and test as CSV and Parquet to
         torchtut/ in the lake. A file with a wrong hash is moved aside as NAME.rejected.
         --own          the folder is yours: files with another hash are refused, not moved
         --any-content  the folder is yours, with other images in MNIST's format (Fashion-MNIST)
check    compares the lake's files with what was written.
upload   sends the files to a container, for instance abfss://torchtut@ACCOUNT.dfs.core.windows.net,
         with the credentials of the secret scope adls (ADLS_... or ~/.config/mnist_support/secrets/adls.json).
         --create       makes the container where it is not there

defaults: --lake data/lake, --from data/lake/torchtut";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Command {
    Help,
    Prepare {
        idx: PathBuf,
        lake: PathBuf,
        origin: Origin,
    },
    Check {
        lake: PathBuf,
    },
    Upload {
        from: PathBuf,
        to: String,
        create: bool,
    },
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let command = match parse(&arguments) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("mnist-lake: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mnist-lake: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Command, String> {
    let mut arguments = arguments.iter().map(String::as_str);
    let command = arguments.next().unwrap_or("--help");
    let allowed: &[&str] = match command {
        "help" | "--help" | "-h" => return Ok(Command::Help),
        "prepare" => &["--idx", "--lake", "--own", "--any-content"],
        "check" => &["--lake"],
        "upload" => &["--from", "--to", "--create"],
        unknown => return Err(format!("there is no command {unknown:?}")),
    };
    let (mut idx, mut lake, mut from, mut to) = (None, None, None, None);
    let (mut create, mut origin) = (false, Origin::Download);
    while let Some(option) = arguments.next() {
        if !allowed.contains(&option) {
            return Err(format!("{command} has no option {option:?}"));
        }
        let value = match option {
            "--own" if origin == Origin::Download => {
                origin = Origin::Own;
                continue;
            }
            "--any-content" => {
                origin = Origin::OwnOfAnyContent;
                continue;
            }
            "--own" => continue,
            "--create" => {
                create = true;
                continue;
            }
            _ => arguments.next().filter(|value| !value.is_empty()),
        };
        let value = value
            .ok_or_else(|| format!("{option} needs a value"))?
            .to_string();
        match option {
            "--idx" => idx = Some(value),
            "--lake" => lake = Some(value),
            "--from" => from = Some(value),
            _ => to = Some(value),
        }
    }
    let lake = PathBuf::from(lake.unwrap_or_else(|| "data/lake".into()));
    Ok(match command {
        "prepare" => Command::Prepare {
            idx: idx.ok_or("prepare needs --idx FOLDER")?.into(),
            lake,
            origin,
        },
        "check" => Command::Check { lake },
        _ => Command::Upload {
            from: from.unwrap_or_else(|| "data/lake/torchtut".into()).into(),
            to: to.ok_or("upload needs --to URL")?,
            create,
        },
    })
}

fn run(command: Command) -> mnist_support::Result<()> {
    let start = Instant::now();
    match command {
        Command::Help => println!("{USAGE}"),
        Command::Prepare { idx, lake, origin } => {
            let outcome = mnist::prepare(&idx, &lake, origin, &mut |step| {
                println!("mnist-lake: {step}")
            })?;
            match outcome {
                Outcome::AlreadyComplete => {
                    println!(
                        "mnist-lake: {} is complete already",
                        lake.join(mnist::CONTAINER).display()
                    );
                }
                Outcome::Written(files) => {
                    let megabytes = files.iter().map(|(_, bytes)| bytes).sum::<u64>() as f64 / 1e6;
                    println!(
                        "mnist-lake: wrote {} files, {megabytes:.0} MB, in {:.1} s",
                        files.len(),
                        start.elapsed().as_secs_f64()
                    );
                }
            }
        }
        Command::Check { lake } => {
            let files = mnist::check(&lake)?;
            println!("mnist-lake: {} files are as they were written", files.len());
        }
        Command::Upload { from, to, create } => upload(&from, &to, create)?,
    }
    Ok(())
}

fn upload(from: &Path, to: &str, create: bool) -> mnist_support::Result<()> {
    let credentials = Credentials::from_scope(&SecretScope::open("adls")?)?;
    let target = Lake::open(to, &credentials)?;
    let files = Lake::open(&from.to_string_lossy(), &Credentials::local())?.list()?;
    if create && target.create_container()? {
        println!("mnist-lake: made the container {target}");
    }
    for name in files {
        let start = Instant::now();
        let bytes = target.upload(&name, &from.join(&name))?;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "mnist-lake: sent {name} to {target}, {:.1} MB in {seconds:.1} s",
            bytes as f64 / 1e6
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(
            &line
                .split_whitespace()
                .map(String::from)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn the_commands_and_their_defaults() {
        assert_eq!(parsed(""), Ok(Command::Help));
        assert_eq!(
            parsed("prepare --idx raw --any-content --own"),
            Ok(Command::Prepare {
                idx: "raw".into(),
                lake: "data/lake".into(),
                origin: Origin::OwnOfAnyContent
            })
        );
        assert_eq!(
            parsed("check --lake x"),
            Ok(Command::Check { lake: "x".into() })
        );
        assert_eq!(
            parsed("upload --to az://torchtut --create"),
            Ok(Command::Upload {
                from: "data/lake/torchtut".into(),
                to: "az://torchtut".into(),
                create: true
            })
        );
    }

    #[test]
    fn a_wrong_command_line_says_what_is_wrong() {
        for (line, said) in [
            ("fetch", "no command \"fetch\""),
            ("prepare", "--idx"),
            ("prepare --idx", "needs a value"),
            ("check --idx x", "no option \"--idx\""),
            ("upload", "--to"),
        ] {
            let message = parsed(line).unwrap_err();
            assert!(message.contains(said), "{line}: {message}");
        }
    }
}
