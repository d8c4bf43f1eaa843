//! Lays out the local lake, checks it, and uploads it to a container.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use mnist_support::lake::{Credentials, Lake};
use mnist_support::mnist::{self, Origin, Outcome};
use mnist_support::secrets::SecretScope;

const USAGE: &str = "\
Lays out MNIST, or your own images in its format, as a small data lake.

usage:
  mnist-lake prepare --idx FOLDER [--lake FOLDER] [--download | --transposed yes|no]
  mnist-lake check [--lake FOLDER]
  mnist-lake upload --to URL [--from FOLDER] [--create]

prepare  writes the images and labels of the four IDX files in FOLDER (train-images-idx3-ubyte and so on, plain
         or .gz) as CSV and Parquet to torchtut/ in the lake. Fashion-MNIST, KMNIST, EMNIST and QMNIST have this
         format. If a folder holds several data sets, FOLDER/emnist-letters selects one by the prefix of its names.
         --download     FOLDER was downloaded and must be MNIST: a file with a wrong hash is moved aside as
                        NAME.rejected
         --transposed   whether the images are stored column by column; default: yes for EMNIST, no otherwise
check    compares the lake's files with what was written.
upload   uploads the files to a container, such as abfss://torchtut@ACCOUNT.dfs.core.windows.net,
         with the credentials of the secret scope adls (ADLS_... or ~/.config/mnist_support/secrets/adls.json).
         --create       creates the container if it does not exist

defaults: --lake data/lake, --from data/lake/torchtut";

/// The command given on the command line.
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
    let options = read_options(command, allowed, arguments)?;
    let given = |option| options.get(option).copied();
    let lake = given("--lake").unwrap_or("data/lake").into();
    Ok(match command {
        "prepare" => Command::Prepare {
            origin: origin(given("--download").is_some(), given("--transposed"))?,
            idx: given("--idx").ok_or("prepare needs --idx FOLDER")?.into(),
            lake,
        },
        "check" => Command::Check { lake },
        _ => Command::Upload {
            from: given("--from").unwrap_or("data/lake/torchtut").into(),
            to: given("--to").ok_or("upload needs --to URL")?.into(),
            create: given("--create").is_some(),
        },
    })
}

/// Returns the options and their values. Options without a value map to themselves.
fn read_options<'a>(
    command: &str,
    allowed: &[&str],
    mut arguments: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<&'a str, &'a str>, String> {
    let mut options = BTreeMap::new();
    while let Some(option) = arguments.next() {
        if !allowed.contains(&option) {
            return Err(format!("{command} has no option {option:?}"));
        }
        let value = match option {
            "--download" | "--create" => Some(option),
            _ => arguments.next().filter(|value| !value.is_empty()),
        };
        let value = value.ok_or_else(|| format!("{option} needs a value"))?;
        options.insert(option, value);
    }
    Ok(options)
}

fn origin(download: bool, transposed: Option<&str>) -> Result<Origin, String> {
    let transposed = transposed.map(yes_or_no).transpose()?;
    match (download, transposed) {
        (true, None) => Ok(Origin::Download),
        (true, Some(_)) => Err("MNIST is not transposed: give --download or --transposed".into()),
        (false, transposed) => Ok(Origin::Own { transposed }),
    }
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
        println!("mnist-lake: created the container {target}");
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
        let prepare = |lake: &str, origin| {
            Ok(Command::Prepare {
                idx: "raw".into(),
                lake: lake.into(),
                origin,
            })
        };
        let own = |transposed| Origin::Own { transposed };
        assert_eq!(parsed("prepare --idx raw"), prepare("data/lake", own(None)));
        assert_eq!(
            parsed("prepare --idx raw --lake x --download"),
            prepare("x", Origin::Download)
        );
        assert_eq!(
            parsed("prepare --idx raw --transposed no"),
            prepare("data/lake", own(Some(false)))
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
