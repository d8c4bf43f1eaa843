//! Lays the local lake out, checks it, and sends it to a container.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use mnist_support::lake::{Credentials, Lake};
use mnist_support::mnist::{self, Origin, Outcome};
use mnist_support::secrets::SecretScope;

const USAGE: &str = "\
Lays MNIST, or images of your own in its format, out as a small data lake.

usage:
  mnist-lake prepare --idx FOLDER [--lake FOLDER] [--download | --transposed yes|no]
  mnist-lake check [--lake FOLDER]
  mnist-lake upload --to URL [--from FOLDER] [--create]

prepare  writes the images and labels of the four IDX files in FOLDER (train-images-idx3-ubyte and so on, plain
         or .gz) as CSV and Parquet to torchtut/ in the lake. Fashion-MNIST, KMNIST, EMNIST and QMNIST are such
         files. Of several sets in a folder, FOLDER/emnist-letters means the one whose names begin so.
         --download     FOLDER was downloaded and must be MNIST: a file with a wrong hash is moved aside as
                        NAME.rejected
         --transposed   whether the images are stored column by column; those of EMNIST are taken to be
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
        "prepare" => &["--idx", "--lake", "--download", "--transposed"],
        "check" => &["--lake"],
        "upload" => &["--from", "--to", "--create"],
        unknown => return Err(format!("there is no command {unknown:?}")),
    };
    let (mut idx, mut lake, mut from, mut to) = (None, None, None, None);
    let (mut create, mut download, mut transposed) = (false, false, None);
    while let Some(option) = arguments.next() {
        if !allowed.contains(&option) {
            return Err(format!("{command} has no option {option:?}"));
        }
        let value = match option {
            "--download" => {
                download = true;
                continue;
            }
            "--create" => {
                create = true;
                continue;
            }
            _ => arguments.next().filter(|value| !value.is_empty()),
        };
        let value = value
            .ok_or_else(|| format!("{option} needs a value"))?
            .to_owned();
        match option {
            "--idx" => idx = Some(value),
            "--lake" => lake = Some(value),
            "--transposed" => transposed = Some(yes_or_no(&value)?),
            "--from" => from = Some(value),
            _ => to = Some(value),
        }
    }
    if download && transposed.is_some() {
        return Err("MNIST is not transposed: give --download or --transposed".into());
    }
    let lake = PathBuf::from(lake.unwrap_or_else(|| "data/lake".into()));
    Ok(match command {
        "prepare" => Command::Prepare {
            idx: idx.ok_or("prepare needs --idx FOLDER")?.into(),
            lake,
            origin: match download {
                true => Origin::Download,
                false => Origin::Own { transposed },
            },
        },
        "check" => Command::Check { lake },
        _ => Command::Upload {
            from: from.unwrap_or_else(|| "data/lake/torchtut".into()).into(),
            to: to.ok_or("upload needs --to URL")?,
            create,
        },
    })
}

fn yes_or_no(value: &str) -> Result<bool, String> {
    match value {
        "yes" | "1" => Ok(true),
        "no" | "0" => Ok(false),
        other => Err(format!("--transposed is yes or no, not {other:?}")),
    }
}

fn run(command: Command) -> mnist_support::Result<()> {
    match command {
        Command::Help => println!("{USAGE}"),
        Command::Prepare { idx, lake, origin } => prepare(&idx, &lake, origin)?,
        Command::Check { lake } => {
            let files = mnist::check(&lake)?;
            println!("mnist-lake: {} files are as they were written", files.len());
        }
        Command::Upload { from, to, create } => upload(&from, &to, create)?,
    }
    Ok(())
}

fn prepare(idx: &Path, lake: &Path, origin: Origin) -> mnist_support::Result<()> {
    let start = Instant::now();
    let outcome = mnist::prepare(idx, lake, origin, &mut |step| {
        println!("mnist-lake: {step}")
    })?;
    let container = lake.join(mnist::CONTAINER);
    match outcome {
        Outcome::AlreadyComplete { holds } => println!(
            "mnist-lake: {} is complete already: {holds}",
            container.display()
        ),
        Outcome::Written {
            files,
            holds,
            replaced,
        } => {
            let megabytes = files.iter().map(|(_, bytes)| bytes).sum::<u64>() as f64 / 1e6;
            println!(
                "mnist-lake: wrote {} files, {megabytes:.0} MB, in {:.1} s",
                files.len(),
                start.elapsed().as_secs_f64()
            );
            match replaced {
                Some(former) if former == holds => {
                    println!("mnist-lake: replaced an earlier state of {former}")
                }
                Some(former) => println!("mnist-lake: replaced {former} by {holds}"),
                None => println!("mnist-lake: {} holds {holds}", container.display()),
            }
        }
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
            parsed("prepare --idx raw"),
            Ok(Command::Prepare {
                idx: "raw".into(),
                lake: "data/lake".into(),
                origin: Origin::Own { transposed: None }
            })
        );
        assert_eq!(
            parsed("prepare --idx raw --lake x --download"),
            Ok(Command::Prepare {
                idx: "raw".into(),
                lake: "x".into(),
                origin: Origin::Download
            })
        );
        assert_eq!(
            parsed("prepare --idx raw --transposed no"),
            Ok(Command::Prepare {
                idx: "raw".into(),
                lake: "data/lake".into(),
                origin: Origin::Own {
                    transposed: Some(false)
                }
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
            ("prepare --idx x --transposed maybe", "\"maybe\""),
            (
                "prepare --idx x --transposed yes --download",
                "not transposed",
            ),
            ("check --idx x", "no option \"--idx\""),
            ("upload", "--to"),
        ] {
            let message = parsed(line).unwrap_err();
            assert!(message.contains(said), "{line}: {message}");
        }
    }
}
