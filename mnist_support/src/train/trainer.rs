//! The training loop that every rank runs.

use std::time::Instant;

use tch::{Kind, Tensor};

use super::{
    Checkpoints, FitReport, LossPoint, Progress, ProgressEvent, TrainingData, TrainingSettings,
    checkpoint::fit_identity,
    sampler::{BatchSampler, split},
    state::State,
};
use crate::{
    DropoutMasks, Error, Network, Result,
    collective::{Collective, ReduceOp},
    error::{CollectiveError, TrainingError},
    interrupt::Interrupt,
    network::prediction_batch_size,
};

/// The result of training.
#[derive(Debug)]
pub struct Trained {
    /// The network's parameters and buffers, in the order of [`Network::state_names`], on the CPU,
    /// the same bits in every rank.
    pub weights: Vec<Tensor>,
    /// The report of the fit.
    pub report: FitReport,
}

/// Trains `network` on the rows of all ranks. Every rank calls it with its own rows and the same
/// settings.
///
/// In each iteration, every rank draws a mini-batch from its rows and computes the gradient of its
/// summed loss. One all-reduce of one flat vector adds the gradients, losses and row counts of all
/// ranks. Every rank then takes the same step with the mean gradient. Since the sum has the same
/// bits everywhere, so do the weights, and they never need to be exchanged again after the start.
///
/// Running statistics, such as those of BatchNorm2d, are part of that all-reduce. In training, each
/// rank normalises with its own mini-batch, as torch's DistributedDataParallel does without
/// SyncBatchNorm, and the resulting statistics are averaged, weighted by each rank's rows.
/// DistributedDataParallel keeps those of rank 0. The average sees every row, at no extra cost.
///
/// With `validation_fraction` above 0, the weights with the lowest validation loss are kept,
/// otherwise the last ones. With `checkpoints`, the fit resumes from the last one, if there is one,
/// and writes new ones.
///
/// A request of `interrupt` in any rank travels with the all-reduce. All ranks stop after the same
/// iteration, write a checkpoint if they write any, and return what they have.
///
/// # Errors
/// [`Error::InvalidSetting`] for a setting out of range or a mini-batch larger than the shard;
/// [`TrainingError::Diverged`] when the loss is no longer finite;
/// [`CollectiveError::ExchangeAborted`] when another rank failed;
/// [`TrainingError::DeviceUnavailable`]; [`TrainingError::InvalidCheckpoint`].
pub fn train(
    network: &Network,
    data: &TrainingData,
    collective: &dyn Collective,
    settings: &TrainingSettings,
    progress: &dyn Progress,
    checkpoints: Option<&Checkpoints>,
    interrupt: &Interrupt,
) -> Result<Trained> {
    let rank = collective.rank();
    let report = |event: &ProgressEvent| {
        if rank == 0 {
            progress.report(event);
        }
    };
    let mut trainer = Trainer::new(network, data, collective, settings, interrupt)?;
    trainer.resume(checkpoints)?;
    report(&trainer.started());
    let (start, done_before) = (Instant::now(), trainer.state.seconds);
    while !trainer.is_done() && !trainer.interrupted {
        trainer.iterate()?;
        trainer.state.seconds = done_before + start.elapsed().as_secs_f64();
        report(&trainer.progress());
        if let Some(checkpoints) = checkpoints
            && rank == 0
            && (checkpoints.is_due(trainer.state.iteration) || trainer.interrupted)
        {
            checkpoints.write(&trainer.fit, &trainer.state)?;
        }
    }
    // A request during the last iteration has stopped nothing.
    trainer.interrupted &= !trainer.is_done();
    if trainer.interrupted {
        report(&trainer.stopped());
    }
    trainer.finish()
}

/// One rank of a fit.
struct Trainer<'a> {
    network: &'a Network,
    collective: &'a dyn Collective,
    settings: &'a TrainingSettings,
    interrupt: &'a Interrupt,
    /// This rank's rows, and the indices of its validation rows.
    data: TrainingData,
    validation: Vec<i64>,
    sampler: BatchSampler,
    /// The row counts over all ranks.
    training_rows: usize,
    validation_rows: usize,
    global_batch: usize,
    /// Identifies the fit in its checkpoints.
    fit: String,
    state: State,
    /// Whether the ranks have agreed to stop.
    interrupted: bool,
}

impl<'a> Trainer<'a> {
    fn new(
        network: &'a Network,
        data: &TrainingData,
        collective: &'a dyn Collective,
        settings: &'a TrainingSettings,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        settings.validate()?;
        let device = settings.device.open()?;
        let rank = collective.rank();
        let validation_rows = settings.validation_rows(data.rows());
        let (training, validation) = split(settings.seed, rank, data.rows(), validation_rows);
        let mini_batch = settings.mini_batch_of(training.len())?;
        let counts = [training.len(), validation.len(), mini_batch];
        let [training_rows, validation_rows, global_batch] = total(counts, collective)?;
        if validation_rows == 0 && settings.validation_fraction > 0.0 {
            return Err(Error::InvalidSetting {
                setting: "validation_fraction",
                value: settings.validation_fraction.to_string(),
                reason: "is less than one row: raise it, or set it to 0".to_owned(),
            });
        }
        let rows = [training_rows, validation_rows, global_batch];
        Ok(Trainer {
            network,
            collective,
            settings,
            interrupt,
            data: data.to_device(device)?,
            validation,
            sampler: BatchSampler::new(settings.seed, rank, training, mini_batch),
            training_rows,
            validation_rows,
            global_batch,
            fit: fit_identity(network, settings, collective.world_size(), rows),
            state: State::start(network, settings, device)?,
            interrupted: false,
        })
    }

    /// Resumes from the last checkpoint, if there is one. Broadcasts the weights of rank 0.
    fn resume(&mut self, checkpoints: Option<&Checkpoints>) -> Result<()> {
        if let Some(checkpoints) = checkpoints {
            checkpoints.read(&self.fit, &mut self.state)?;
        }
        let mut values = self.state.parameters.snapshot()?;
        self.collective.broadcast(&mut values, 0)?;
        self.state.parameters.restore(&values)
    }

    fn is_done(&self) -> bool {
        self.state.is_done(self.settings) && !self.validation_is_due()
    }

    /// Whether the validation loss of the last iteration is still missing. A fit that was stopped
    /// in between resumes with it.
    fn validation_is_due(&self) -> bool {
        let last = self.state.history.last();
        self.validation_rows > 0
            && last.is_some_and(|last| {
                last.validation_loss.is_none() && self.settings.validates_at(last.iteration)
            })
    }

    /// Runs one iteration and the validation that is due after it, or that validation alone.
    fn iterate(&mut self) -> Result<()> {
        if !self.validation_is_due() {
            self.step()?;
        }
        if self.validation_is_due() && !self.interrupted {
            match tch::no_grad(|| self.validate())? {
                Some(loss) => self.observe(loss)?,
                None => self.interrupted = true,
            }
        }
        Ok(())
    }

    /// Computes this rank's gradient, all-reduces it, and takes the step.
    fn step(&mut self) -> Result<()> {
        let iteration = self.state.iteration + 1;
        let (settings, rank) = (self.settings, self.collective.rank());
        let rows = self.sampler.rows_of(self.state.iteration);
        let (features, labels) = self.data.select(&rows)?;
        let mut masks = DropoutMasks::new(settings.seed, iteration as u64, rank as u64);
        let tensors = self.state.parameters.tensors();
        let outputs = self.network.forward(tensors, &features, Some(&mut masks))?;
        let loss = settings.loss.sum(&outputs, &labels)?;
        // One vector for one all-reduce: the gradient, the running statistics, the loss, the rows,
        // and how many ranks want to stop.
        let wish = f32::from(self.interrupt.is_requested());
        let rows = labels.size()[0] as f32;
        let own = [loss.f_double_value(&[])? as f32, rows, wish];
        let parameters = &mut self.state.parameters;
        let mut sums = parameters.contribution(&loss, f64::from(rows), &own)?;
        self.collective.all_reduce(&mut sums, ReduceOp::Sum)?;
        let tail = sums.size()[0] - own.len() as i64;
        let [loss, rows, wishes] = values(&sums, tail)?;
        let training_loss = finite(loss / rows, iteration)?;
        let gradient = parameters.load_means(&sums, rows)?;
        let learning_rate = settings.learning_rate_at(iteration);
        let (parameters, optimizer) = (&mut self.state.parameters, &mut self.state.optimizer);
        tch::no_grad(|| optimizer.step(parameters.flat_mut(), &gradient, learning_rate))?;
        self.state.iteration = iteration;
        self.state.history.push(LossPoint {
            iteration,
            training_loss,
            validation_loss: None,
        });
        self.interrupted = wishes > 0.0;
        Ok(())
    }

    /// Returns the mean validation loss over all ranks' rows; `None` if a rank wants to stop.
    fn validate(&self) -> Result<Option<f64>> {
        let parameters = &self.state.parameters;
        let mut sum = 0.0;
        for batch in self
            .validation
            .chunks(prediction_batch_size(parameters.device()))
        {
            if self.interrupt.is_requested() {
                break;
            }
            let (features, labels) = self.data.select(batch)?;
            let outputs = self
                .network
                .forward(parameters.tensors(), &features, None)?;
            let loss = self.settings.loss.sum(&outputs, &labels)?;
            sum += loss.f_double_value(&[])?;
        }
        // Read again: a rank that has broken out of the loop must not claim otherwise.
        let wish = f64::from(u8::from(self.interrupt.is_requested()));
        let mut sums = Tensor::f_from_slice(&[sum, self.validation.len() as f64, wish])?;
        self.collective.all_reduce(&mut sums, ReduceOp::Sum)?;
        let [sum, rows, wishes] = values(&sums, 0)?;
        Ok((wishes == 0.0).then_some(sum / rows))
    }

    /// Records the validation loss of the last iteration.
    fn observe(&mut self, loss: f64) -> Result<()> {
        let state = &mut self.state;
        let loss = finite(loss, state.iteration)?;
        let improved = state.best.is_improved_by(loss);
        let weights = improved.then(|| state.parameters.snapshot()).transpose()?;
        state.stopped_early = state.best.observe(state.iteration, loss, weights)
            && state.iteration < self.settings.iterations;
        if let Some(last) = state.history.last_mut() {
            last.validation_loss = Some(loss);
        }
        Ok(())
    }

    fn started(&self) -> ProgressEvent {
        ProgressEvent::Started {
            world_size: self.collective.world_size(),
            training_rows: self.training_rows,
            validation_rows: self.validation_rows,
            iterations: self.settings.iterations,
        }
    }

    /// The progress event of the last iteration.
    fn progress(&self) -> ProgressEvent {
        let (done, iterations) = (self.state.iteration, self.settings.iterations);
        ProgressEvent::Iteration {
            losses: self.state.history.last().copied().unwrap_or_default(),
            iterations,
            rows_per_second: (done * self.global_batch) as f64 / self.state.seconds,
            seconds_left: seconds_left(done, iterations, self.state.seconds),
        }
    }

    fn stopped(&self) -> ProgressEvent {
        ProgressEvent::Stopped {
            iteration: self.state.iteration,
            iterations: self.settings.iterations,
        }
    }

    /// Returns the best weights, or the last ones if nothing was validated, and the report.
    fn finish(mut self) -> Result<Trained> {
        let state = &mut self.state;
        let kept = state.best.best().map(|best| (best.iteration, best.loss));
        if let Some(best) = state.best.best() {
            state.parameters.restore(&best.weights)?;
        }
        check_identical(&state.parameters.snapshot()?, self.collective)?;
        Ok(Trained {
            weights: state.parameters.to_weights()?,
            report: FitReport {
                world_size: self.collective.world_size(),
                training_rows: self.training_rows,
                validation_rows: self.validation_rows,
                global_batch: self.global_batch,
                best_iteration: kept.map_or(state.iteration, |(iteration, _)| iteration),
                best_validation_loss: kept.map(|(_, loss)| loss),
                history: self.state.history,
                max_iterations: self.settings.iterations,
                stopped_early: self.state.stopped_early,
                interrupted: self.interrupted,
                seconds: self.state.seconds,
            },
        })
    }
}

/// Returns `N` values of a vector, from an index on.
fn values<const N: usize>(vector: &Tensor, from: i64) -> Result<[f64; N]> {
    let mut values = [0.0; N];
    for (index, value) in (from..).zip(&mut values) {
        *value = vector.f_double_value(&[index])?;
    }
    Ok(values)
}

/// Returns how long the remaining iterations will take at the rate so far; `None` before there is a
/// meaningful rate, and if none are left.
fn seconds_left(done: usize, iterations: usize, seconds: f64) -> Option<f64> {
    const ENOUGH_ITERATIONS: usize = 10;
    const ENOUGH_SECONDS: f64 = 1.0;
    let known = done >= ENOUGH_ITERATIONS || (done > 0 && seconds >= ENOUGH_SECONDS);
    (known && done < iterations).then(|| seconds / done as f64 * (iterations - done) as f64)
}

/// Returns the loss, or an error if it is not finite.
fn finite(loss: f64, iteration: usize) -> Result<f64> {
    if loss.is_finite() {
        Ok(loss)
    } else {
        Err(Error::Training(TrainingError::Diverged { iteration, loss }))
    }
}

/// Sums counts over all ranks.
fn total<const N: usize>(counts: [usize; N], collective: &dyn Collective) -> Result<[usize; N]> {
    let mut sums = Tensor::f_from_slice(&counts.map(|count| count as i64))?;
    collective.all_reduce(&mut sums, ReduceOp::Sum)?;
    let mut totals = [0; N];
    for (index, total) in totals.iter_mut().enumerate() {
        *total = sums.f_int64_value(&[index as i64])? as usize;
    }
    Ok(totals)
}

/// Checks that all ranks hold the same bits, as the design promises.
fn check_identical(parameters: &Tensor, collective: &dyn Collective) -> Result<()> {
    let bits = parameters.f_detach()?.f_view_dtype(Kind::Int)?;
    let (mut lowest, mut highest) = (bits.f_detach_copy()?, bits.f_detach_copy()?);
    collective.all_reduce(&mut lowest, ReduceOp::Min)?;
    collective.all_reduce(&mut highest, ReduceOp::Max)?;
    if lowest != highest {
        return Err(Error::Collective(CollectiveError::WeightsDiffer {
            world_size: collective.world_size(),
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
