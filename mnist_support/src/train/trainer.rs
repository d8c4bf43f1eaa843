//! The training loop that every rank runs.

mod checks;
mod reserved;
mod rounds;

use std::time::Instant;

use checks::{check_identical, check_rows, check_weights, finite};
use reserved::Reserved;
use rounds::Rounds;
use tch::Tensor;

use super::{
    Checkpoints, FitReport, LossPoint, MetricPoint, MetricValue, Progress, ProgressEvent, Shuffle,
    TrainingData, TrainingSettings,
    checkpoint::fit_identity,
    clip::clip,
    data::Batch,
    loss::WeightedSum,
    sampler::BatchSampler,
    state::State,
    validation::{ValidationMetrics, score},
};
use crate::{
    DropoutMasks, Error, Network, Result,
    collective::{Collective, ReduceOp},
    error::TrainingError,
    interrupt::{self, Interrupt},
    network::prediction_batch_size,
};

/// What a rank adds to the number of ranks that want to stop, if it was stopped while it waited for
/// rows: more than there are ranks.
const STOPPED_WITHOUT_ROWS: f32 = 65_536.0;

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
/// summed loss. One all-reduce of one flat vector adds the gradients, losses and row weights of all
/// ranks. Every rank then takes the same step with the mean gradient. Since the sum has the same
/// bits everywhere, so do the weights, and they never need to be exchanged again after the start.
///
/// Running statistics, such as those of BatchNorm2d, are part of that all-reduce. In training, each
/// rank normalises with its own mini-batch, as torch's DistributedDataParallel does without
/// SyncBatchNorm, and the resulting statistics are averaged, weighted by each rank's rows.
/// DistributedDataParallel keeps those of rank 0. The average sees every row, at no extra cost.
///
/// If rows are held out, the weights with the lowest validation loss (or the best value of the
/// [monitored](TrainingSettings::monitor) metric) are kept, otherwise the last ones. With
/// `checkpoints`, the fit resumes from the last one, if there is one, and writes new ones.
///
/// A request of `interrupt` in any rank travels with the all-reduce. All ranks stop after the same
/// iteration, write a checkpoint if they write any, and return what they have.
///
/// # Errors
/// [`Error::InvalidSetting`] for a setting out of range;
/// [`TrainingError::Diverged`] when the loss is no longer finite;
/// [`CollectiveError::ExchangeAborted`](crate::error::CollectiveError::ExchangeAborted) when
/// another rank failed;
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
    let rows = TrainingRows {
        data,
        deal: &|_| Ok(None),
    };
    train_rows(
        network,
        rows,
        collective,
        settings,
        progress,
        checkpoints,
        interrupt,
    )
}

/// The rows that a rank begins with, and those that it gets when parts are dealt anew.
#[derive(Clone, Copy)]
pub(crate) struct TrainingRows<'a> {
    pub(crate) data: &'a TrainingData,
    /// Reads the rows of a round. `None` if the rank keeps those that it has.
    pub(crate) deal: &'a dyn Fn(usize) -> Result<Option<TrainingData>>,
}

/// Like [`train`], with rows that may be dealt anew.
pub(crate) fn train_rows(
    network: &Network,
    rows: TrainingRows<'_>,
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
    let mut trainer = Trainer::new(network, rows, collective, settings, interrupt)?;
    trainer.resume(checkpoints)?;
    trainer.warnings().for_each(|warning| report(&warning));
    report(&trainer.started());
    let (start, done_before) = (Instant::now(), trainer.state.seconds);
    while !trainer.is_done() && !trainer.interrupted {
        let before = trainer.state.iteration;
        trainer.iterate()?;
        trainer.state.seconds = done_before + start.elapsed().as_secs_f64();
        if trainer.state.iteration > before || !trainer.interrupted {
            report(&trainer.progress());
        }
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

/// Draws mini-batches of a rank's training rows.
fn sampler(
    data: &TrainingData,
    training: Vec<i64>,
    settings: &TrainingSettings,
    rank: usize,
) -> BatchSampler {
    let mini_batch = settings.mini_batch_of(training.len());
    match settings.shuffle {
        Shuffle::Rows => BatchSampler::new(settings.seed, rank, training, mini_batch),
        Shuffle::Blocks => {
            let (starts, row_size) = (data.block_starts(), data.row_size());
            BatchSampler::of_blocks(settings.seed, rank, training, starts, row_size, mini_batch)
        }
    }
}

/// One rank of a fit.
struct Trainer<'a> {
    network: &'a Network,
    collective: &'a dyn Collective,
    settings: &'a TrainingSettings,
    interrupt: &'a Interrupt,
    /// This rank's rows.
    data: TrainingData,
    /// The data that have the validation rows, if not these, and the indices of these rows.
    validation_data: Option<TrainingData>,
    validation: Vec<i64>,
    /// The memory of features that are read whenever they are needed.
    reserved: Reserved,
    metrics: ValidationMetrics<'a>,
    sampler: BatchSampler,
    rounds: Rounds<'a>,
    /// The row counts over all ranks.
    training_rows: usize,
    validation_rows: usize,
    global_batch: usize,
    iterations: usize,
    /// Identifies the fit in its checkpoints.
    fit: String,
    state: State,
    /// Whether the ranks have agreed to stop.
    interrupted: bool,
}

impl<'a> Trainer<'a> {
    fn new(
        network: &'a Network,
        rows: TrainingRows<'a>,
        collective: &'a dyn Collective,
        settings: &'a TrainingSettings,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        let TrainingRows { data, deal } = rows;
        settings.validate_for(network)?;
        if settings.partition_shuffles.is_some() && !data.has_parts() {
            return Err(settings.cannot_be_dealt("what this rank has"));
        }
        let device = settings.device.open()?;
        let rank = collective.rank();
        let (training, mut validation) = data.split(settings, rank);
        let mini_batch = settings.mini_batch_of(training.len());
        let batch = mini_batch.saturating_mul(settings.accumulate_grad_batches);
        let mut sums = Tensor::f_from_slice(&[
            training.len() as f64,
            validation.len() as f64,
            batch as f64,
            data.weight_of(&training)?,
            data.validation_weight_of(&validation)?,
        ])?;
        collective.all_reduce(&mut sums, ReduceOp::Sum)?;
        let rows = values(&sums, 0)?.map(|count| count as usize);
        check_rows(rows, data, settings)?;
        check_weights(values(&sums, rows.len() as i64)?, rows)?;
        let [training_rows, validation_rows, global_batch] = rows;
        let iterations = settings.iterations_of(training_rows, global_batch);
        let reserved = Reserved::new(data, settings, collective)?;
        let validation_data = data.validation(&mut validation, reserved.spare())?;
        let rounds = Rounds::new(training_rows, global_batch, iterations, settings, deal);
        let sampler = sampler(data, training, settings, rank);
        Ok(Trainer {
            network,
            collective,
            settings,
            interrupt,
            data: data.to_device(device, reserved.capacity())?,
            validation_data: match validation_data {
                None => None,
                Some(other) => Some(other.to_device(device, 0)?),
            },
            reserved,
            metrics: ValidationMetrics::new(network, settings, collective, validation.len())?,
            validation,
            sampler: sampler.ending_before(rounds.batches(0).end),
            rounds,
            training_rows,
            validation_rows,
            global_batch,
            iterations,
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
        self.state.is_done(self.iterations) && !self.validation_is_due()
    }

    /// Whether the validation loss of the last iteration is still missing. A fit that was stopped
    /// in between resumes with it.
    fn validation_is_due(&self) -> bool {
        let last = self.state.history.last();
        self.validation_rows > 0
            && last.is_some_and(|last| {
                last.validation_loss.is_none() && self.is_measured_at(last.iteration)
            })
    }

    /// Whether early stopping looks at the loss after `iteration`.
    fn is_measured_at(&self, iteration: usize) -> bool {
        self.settings.validates_at(iteration, self.iterations)
    }

    /// Runs one iteration and the validation that is due after it, or that validation alone.
    fn iterate(&mut self) -> Result<()> {
        if !self.validation_is_due() {
            let before = self.state.iteration;
            self.step()?;
            if self.state.iteration == before {
                return Ok(());
            }
            if self.validation_rows == 0 && self.is_measured_at(self.state.iteration) {
                self.observe_training_loss();
            }
        }
        if self.validation_is_due() && !self.interrupted {
            match tch::no_grad(|| self.validate())? {
                Some((loss, metrics)) => self.observe(loss, metrics)?,
                None => self.interrupted = true,
            }
        }
        Ok(())
    }

    /// Computes this rank's gradient, all-reduces it, and takes the step.
    fn step(&mut self) -> Result<()> {
        let iteration = self.state.iteration + 1;
        let may_stop_in_between = self.data.is_streamed() || self.rounds.is_over(iteration - 1);
        let buffers = match may_stop_in_between {
            true => Some(self.state.parameters.buffer_snapshot()?),
            false => None,
        };
        let (gradients, [loss, weight, rows], is_whole) = match self.gradients() {
            // Stopped while it waited for rows.
            Err(Error::Interrupted { .. }) if self.interrupt.is_requested() => {
                (self.state.parameters.no_gradients()?, [0.0; 3], false)
            }
            gradients => {
                let (gradients, totals) = gradients?;
                (gradients, totals, true)
            }
        };
        // One vector for one all-reduce: the gradient, the running statistics, the loss, what the
        // rows weigh, their number, and how many ranks want to stop.
        let wish = match is_whole {
            true => f32::from(self.interrupt.is_requested()),
            false => STOPPED_WITHOUT_ROWS,
        };
        let own = [loss as f32, weight as f32, rows as f32, wish];
        let parameters = &mut self.state.parameters;
        let mut sums = parameters.contribution(gradients, rows, &own)?;
        self.collective.all_reduce(&mut sums, ReduceOp::Sum)?;
        let tail = sums.size()[0] - own.len() as i64;
        let [loss, weight, rows, wishes] = values(&sums, tail)?;
        if wishes >= f64::from(STOPPED_WITHOUT_ROWS) {
            return self.give_up_iteration(buffers);
        }
        if weight == 0.0 {
            return Err(Error::Training(TrainingError::NoWeight { iteration }));
        }
        let training_loss = finite(loss / weight, iteration)?;
        let gradient = parameters.load_means(&sums, rows, weight)?;
        let settings = self.settings;
        let gradient = clip(gradient, settings.clip_grad_norm, settings.clip_grad_value)?;
        let learning_rate =
            settings.learning_rate_at(iteration, self.iterations, &self.state.schedule);
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

    /// Ends training before an iteration for which a rank has not all rows, so that a fit that
    /// resumes repeats it with all of them.
    fn give_up_iteration(&mut self, buffers: Option<Tensor>) -> Result<()> {
        if self.state.iteration == 0 {
            return Err(interrupt::interrupted("reading", "the rows to train on"));
        }
        if let Some(buffers) = buffers {
            self.state.parameters.restore_buffers(&buffers)?;
        }
        self.interrupted = true;
        Ok(())
    }

    /// Returns the gradients of the next iteration's mini-batches, added up, with the sum of their
    /// rows' losses, what the rows weigh, and their number.
    fn gradients(&mut self) -> Result<(Vec<Tensor>, [f64; 3])> {
        self.deal_anew()?;
        let batches = self.settings.accumulate_grad_batches;
        let rank = self.collective.rank();
        let mut sum: Option<Vec<Tensor>> = None;
        let mut totals = [0.0; 3];
        for batch in self.state.iteration * batches..(self.state.iteration + 1) * batches {
            let runs = self.sampler.draw(batch);
            if runs.is_empty() {
                break;
            }
            let rows: usize = runs.iter().map(|run| run.rows.len()).sum();
            let mut masks = DropoutMasks::new(self.settings.seed, batch as u64 + 1, rank as u64);
            let batch = self.data.draw(&runs)?;
            let WeightedSum { loss, weight } = self.loss(&batch, Some(&mut masks))?;
            let gradients = self.state.parameters.gradients(&loss)?;
            match &mut sum {
                None => sum = Some(gradients),
                Some(sum) => {
                    for (sum, gradient) in sum.iter_mut().zip(&gradients) {
                        let _ = sum.f_add_(gradient)?;
                    }
                }
            }
            totals[0] += loss.f_double_value(&[])?;
            totals[1] += weight;
            totals[2] += rows as f64;
        }
        match sum {
            Some(sum) => Ok((sum, totals)),
            None => Ok((self.state.parameters.no_gradients()?, totals)),
        }
    }

    /// Reads the rows that this rank has from the next iteration on, if they are others.
    fn deal_anew(&mut self) -> Result<()> {
        if !self.rounds.is_over(self.state.iteration) {
            return Ok(());
        }
        let round = self.rounds.of(self.state.iteration);
        // There is no room for both.
        self.data.drop_features()?;
        if let Some(data) = (self.rounds.deal)(round)? {
            let rank = self.collective.rank();
            let (training, _) = data.split(self.settings, rank);
            let batches = self.rounds.batches(round);
            self.sampler = sampler(&data, training, self.settings, rank)
                .starting_at(batches.start, self.rounds.first_epoch(round))
                .ending_before(batches.end);
            let device = self.state.parameters.device();
            self.data = data.to_device(device, self.reserved.capacity())?;
        }
        self.rounds.current = round;
        Ok(())
    }

    /// Returns the summed loss of a batch, in training mode with dropout if there are `masks`.
    fn loss(&self, batch: &Batch, masks: Option<&mut DropoutMasks>) -> Result<WeightedSum> {
        self.loss_of(&self.outputs(batch, masks)?, batch)
    }

    fn loss_of(&self, outputs: &Tensor, batch: &Batch) -> Result<WeightedSum> {
        let weights = batch.weights.as_ref();
        self.settings.loss.sum(outputs, &batch.targets, weights)
    }

    /// Returns the network's outputs for a batch, in the targets' shape.
    fn outputs(&self, batch: &Batch, masks: Option<&mut DropoutMasks>) -> Result<Tensor> {
        let tensors = self.state.parameters.tensors();
        let mut outputs = self.network.forward(tensors, &batch.features, masks)?;
        if outputs.dim() > 2 || batch.targets.dim() > 1 {
            outputs = outputs.f_flatten(1, -1)?;
        }
        Ok(outputs)
    }

    /// Returns the mean validation loss over all ranks' rows, and their metrics; `None` if a rank
    /// wants to stop.
    fn validate(&self) -> Result<Option<(f64, Vec<MetricValue>)>> {
        let batch_size = self
            .network
            .max_rows_of(prediction_batch_size(self.state.parameters.device()));
        let mut metrics = self.metrics.start();
        let data = self.validation_data.as_ref().unwrap_or(&self.data);
        let [mut sum, mut weight] = [0.0; 2];
        for rows in self.validation.chunks(batch_size) {
            if self.interrupt.is_requested() {
                break;
            }
            let batch = data.select(rows)?;
            let outputs = self.outputs(&batch, None)?;
            let own = self.loss_of(&outputs, &batch)?;
            sum += own.loss.f_double_value(&[])?;
            weight += own.weight;
            metrics.update(&outputs, &batch)?;
        }
        // Read again: a rank that has broken out of the loop must not claim otherwise.
        let wish = f64::from(u8::from(self.interrupt.is_requested()));
        let mut own = vec![sum, weight, wish];
        own.extend(metrics.state());
        let mut sums = Tensor::f_from_slice(&own)?;
        self.collective.all_reduce(&mut sums, ReduceOp::Sum)?;
        let sums = Vec::<f64>::try_from(sums)?;
        let (loss, wishes) = (sums[0] / sums[1], sums[2]);
        Ok((wishes == 0.0).then(|| (loss, metrics.compute(&sums[3..]))))
    }

    /// Records the validation loss and the metrics of the last iteration.
    fn observe(&mut self, loss: f64, metrics: Vec<MetricValue>) -> Result<()> {
        let state = &mut self.state;
        let loss = finite(loss, state.iteration)?;
        self.settings
            .observe_loss(state.iteration, loss, &mut state.schedule);
        let score = score(self.settings.monitor, loss, &metrics);
        let improved = state.best.is_improved_by(score);
        let weights = improved.then(|| state.parameters.snapshot()).transpose()?;
        state.stopped_early = state.best.observe(state.iteration, score, weights)
            && state.iteration < self.iterations;
        if let Some(last) = state.history.last_mut() {
            last.validation_loss = Some(loss);
        }
        if !metrics.is_empty() {
            state.metrics.push(MetricPoint {
                iteration: state.iteration,
                values: metrics,
            });
        }
        Ok(())
    }

    /// Records the mean training loss since the last time, for early stopping and for the schedule
    /// without validation rows. The last weights are kept.
    fn observe_training_loss(&mut self) {
        let state = &mut self.state;
        let first = state
            .history
            .len()
            .saturating_sub(self.settings.validation_every);
        let recent = &state.history[first..];
        let sum: f64 = recent.iter().map(|point| point.training_loss).sum();
        let loss = sum / recent.len() as f64;
        self.settings
            .observe_loss(state.iteration, loss, &mut state.schedule);
        state.stopped_early =
            state.best.observe(state.iteration, loss, None) && state.iteration < self.iterations;
    }

    /// What rank 0 should tell the user before training.
    fn warnings(&self) -> impl Iterator<Item = ProgressEvent> {
        let mini_batch = self.settings.mini_batch.and_then(|mini_batch| {
            let batches = self.settings.accumulate_grad_batches * self.collective.world_size();
            (self.global_batch < mini_batch.saturating_mul(batches)).then(|| {
                format!(
                    "mini_batch is {mini_batch}, and a partition has fewer rows to train on: \
                     it takes all of them"
                )
            })
        });
        let loss = self.settings.loss.warning(self.network);
        let network = self.network.warnings().iter().cloned();
        let messages = network.chain(mini_batch).chain(loss.map(str::to_owned));
        messages.map(|message| ProgressEvent::Warning { message })
    }

    fn started(&self) -> ProgressEvent {
        ProgressEvent::Started {
            world_size: self.collective.world_size(),
            training_rows: self.training_rows,
            validation_rows: self.validation_rows,
            iterations: self.iterations,
        }
    }

    /// The progress event of the last iteration.
    fn progress(&self) -> ProgressEvent {
        let (done, iterations) = (self.state.iteration, self.iterations);
        ProgressEvent::Iteration {
            losses: self.state.history.last().copied().unwrap_or_default(),
            metrics: (self.state.metrics.last())
                .filter(|point| point.iteration == done)
                .cloned(),
            iterations,
            rows_per_second: (done * self.global_batch) as f64 / self.state.seconds,
            seconds_left: seconds_left(done, iterations, self.state.seconds),
        }
    }

    fn stopped(&self) -> ProgressEvent {
        ProgressEvent::Stopped {
            iteration: self.state.iteration,
            iterations: self.iterations,
        }
    }

    /// Returns the best weights, or the last ones if nothing was validated, and the report.
    fn finish(mut self) -> Result<Trained> {
        let state = &mut self.state;
        let mut kept = None;
        if let Some(best) = state.best.best()
            && let Some(weights) = &best.weights
        {
            state.parameters.restore(weights)?;
            let mut points = state.history.iter();
            let point = points.find(|point| point.iteration == best.iteration);
            kept = Some((
                best.iteration,
                point.and_then(|point| point.validation_loss),
            ));
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
                best_validation_loss: kept.and_then(|(_, loss)| loss),
                history: self.state.history,
                metrics: self.state.metrics,
                monitor: self.settings.monitor,
                max_iterations: self.iterations,
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

#[cfg(test)]
mod tests;
