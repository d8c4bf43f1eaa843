//! Runs one rank of a job.

use std::{env, io::Write};

use super::{Job, answer::AnswerWriter, job::SCOPE};
use crate::{
    Error, Result,
    collective::{Bind, Collective, GlooCollective, GlooConfig},
    error::PipelineError,
    interrupt::{self, Interrupt},
    lake::{Credentials, Lake, reading::ignore_progress},
    program::{self, parts::PartWriter},
    run::{FolderProgress, end_without_lease, stop_on_request},
    secrets::SecretScope,
    shard::Data,
    stages::{self, FitContext, StageModel},
    train::{Print, Progress},
};

/// Holds the address by which Spark knows the worker's machine.
const OWN_ADDRESS: &str = "MNIST_WORKER_ADDR";

/// Where a rank's result goes.
pub enum Output<W> {
    /// As an answer to the program that started the ranks.
    Answer(W),
    /// To a folder, as a saved pipeline. Progress is printed. For jobs that nobody waits for.
    Save(String),
}

/// Runs this process's rank of `job`.
///
/// With [`Output::Answer`], errors are answered too, and only a failure to answer is returned.
///
/// # Errors
/// Those of the job; [`Error::InvalidSetting`] for missing `torch.distributed` variables.
pub fn run<W: Write>(job: &Job, output: Output<W>) -> Result<()> {
    // The rank computes on one thread. The machine's other cores are for other ranks.
    tch::set_num_threads(1);
    match output {
        Output::Save(url) => {
            let Job::Fit { .. } = job else {
                return Err(Error::InvalidSetting {
                    setting: "--save",
                    value: url,
                    reason: "is for fits: a transformation has no model to save".to_owned(),
                });
            };
            // torchrun passes Ctrl-C on to the ranks and gives them 30 seconds to exit.
            interrupt::install()?;
            // Open to the end, so that a press between fitting and saving does not count as one
            // while idle.
            let _scope = interrupt::scope();
            let (rank, models) = fit(job)?;
            if rank == 0 {
                // Ctrl-C reaches each rank separately: another rank's may have ended the fit before
                // ours arrives.
                let _shield = interrupt::shield();
                stages::save(&models, &open(&url)?)?;
            }
            Ok(())
        }
        Output::Answer(stream) => {
            let rank = number("RANK")?;
            let mut answer = AnswerWriter::new(stream, rank)?;
            let result = work(job, rank, &mut answer);
            answer.finish(result.as_ref().err())
        }
    }
}

fn work<W: Write>(job: &Job, rank: usize, answer: &mut AnswerWriter<W>) -> Result<()> {
    match job {
        Job::Fit { .. } => {
            let (rank, models) = fit(job)?;
            if rank == 0 {
                let folder = tempfile::tempdir().map_err(|source| Error::Io {
                    operation: "making a folder below",
                    path: env::temp_dir(),
                    source,
                })?;
                let folder = Lake::open(&folder.path().to_string_lossy(), &Credentials::local())?;
                stages::save(&models, &folder)?;
                for name in folder.list()? {
                    answer.file(&name, &folder.get(&name)?)?;
                }
            }
            Ok(())
        }
        Job::Transform {
            model,
            rows,
            columns,
            save,
        } => {
            let models = stages::load(&open(model)?)?;
            let world_size = number("WORLD_SIZE")?;
            let shard = rows.shard(rank, world_size, std::io::stdin(), Data::shards)?;
            let Some(shard) = shard else { return Ok(()) };
            let folder = save.as_deref().map(open).transpose()?;
            let mut part = match &folder {
                Some(folder) => PartWriter::to_folder(rank, folder),
                None => PartWriter::to_bytes(rank, |name, bytes| answer.file(name, bytes)),
            };
            let columns = columns.as_deref();
            program::transform_each(&shard, &models, columns, &ignore_progress, &mut |piece| {
                part.write(piece)
            })?;
            part.finish()
        }
    }
}

/// Runs this process's rank of a fit, and returns the rank and the fitted stages.
fn fit(job: &Job) -> Result<(usize, Vec<StageModel>)> {
    let Job::Fit {
        spec,
        rows,
        validation,
        run_folder,
        attempt,
        lease,
    } = job
    else {
        return Err(Error::Pipeline(PipelineError::InvalidStage {
            stage: 0,
            kind: "none",
            reason: "the job is not a fit".to_owned(),
        }));
    };
    let run = run_folder.as_deref().map(open).transpose()?;
    if *lease && let Some(run) = &run {
        end_without_lease(run, exit_because);
    }
    let mut config = GlooConfig::from_environment()?;
    if let Ok(address) = env::var(OWN_ADDRESS) {
        config.bind = Bind::Address(address);
    }
    let split = |data: &Data, ranks| spec.shards(data, ranks);
    let shard = rows.shard(config.rank, config.world_size, std::io::stdin(), split)?;
    let shard = shard.ok_or_else(|| Error::InvalidSetting {
        setting: "partitions",
        value: config.world_size.to_string(),
        reason: format!("is too many: rank {} has no rows", config.rank),
    })?;
    let validation = match validation {
        None => None,
        Some(rows) => rows.shard_if_any(config.rank, config.world_size)?,
    };
    let shard = shard.with_validation(validation);
    let collective = GlooCollective::connect(&config)?;
    let progress: Box<dyn Progress> = match &run {
        Some(run) if *lease => Box::new(FolderProgress::new(run, *attempt)),
        _ => Box::new(Print::new(spec.run_settings()?.verbose)),
    };
    let interrupt = match &run {
        Some(run) if *lease => interrupt_of(run, config.rank),
        _ => Interrupt::of_process().clone(),
    };
    let context = FitContext {
        progress: &*progress,
        run_folder: run.as_ref(),
        interrupt: &interrupt,
        validation: None,
        labels: None,
        deal: None,
    };
    let models = program::fit(&shard, &collective, spec, context)?;
    // No rank may close its connections while another still needs them.
    collective.barrier()?;
    Ok((config.rank, models))
}

/// What stops a rank when the run's folder says so.
fn interrupt_of(run: &Lake, rank: usize) -> Interrupt {
    let interrupt = Interrupt::new();
    // Rank 0's request reaches the other ranks through the exchange.
    if rank == 0 {
        stop_on_request(run, &interrupt);
    }
    interrupt
}

/// Ends the process, which may be in the middle of a step or an exchange, and which nobody waits
/// for.
fn exit_because(reason: String) {
    eprintln!("mnist-worker: {reason}");
    // Without exit handlers, which would free what other threads still use: what was to be said is
    // written, and an answer that is cut short is of no use.
    signal_hook::low_level::exit(1);
}

/// Opens a folder with this machine's credentials.
fn open(url: &str) -> Result<Lake> {
    Lake::open(url, &Credentials::from_scope(&SecretScope::open(SCOPE)?)?)
}

fn number(variable: &'static str) -> Result<usize> {
    let value = env::var(variable).unwrap_or_default();
    value.parse().map_err(|_| Error::InvalidSetting {
        setting: variable,
        value,
        reason: "must be a whole number from 0; the program that starts the ranks sets it"
            .to_owned(),
    })
}
