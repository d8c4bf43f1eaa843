//! The training loop that every copy runs.

use std::time::Instant;

use tch::{Kind, Tensor};

use super::{
    Checkpoints, FitReport, LossPoint, Progress, ProgressEvent, TrainingData, TrainingSettings,
    batches::{Batches, split},
    checkpoint::fit_identity,
    flat::FlatParameters,
    state::State,
};
use crate::{
    DropoutMasks, Error, Network, Result,
    collective::{Collective, ReduceOp},
    network::rows_at_once,
};

/// What a fit leaves behind.
#[derive(Debug)]
pub struct Trained {
    /// The network's parameters, on the CPU, the same bits in every copy.
    pub weights: Vec<Tensor>,
    /// The course of the fit.
    pub report: FitReport,
}

/// Trains `network` on the rows of all copies; every copy calls it with its own rows and the same settings.
///
/// Each iteration, every copy draws a mini-batch from its rows and computes the gradient of its summed
/// loss; one exchange of one flat vector adds the gradients, the losses and the row counts of all copies;
/// then every copy takes the same step with their mean. Since the sum has the same bits everywhere, so
/// have the weights, and they never need to be exchanged again after the start.
///
/// With `validation_fraction` above 0 the weights of the lowest validation loss are kept, otherwise the
/// last. With `checkpoints` the fit goes on from the last one, if there is one, and writes new ones.
///
/// # Errors
/// [`Error::InvalidSetting`] for a setting outside its range or a mini-batch above the shard;
/// [`Error::Diverged`] when the loss is no longer a number; [`Error::ExchangeAborted`] when another copy
/// failed; [`Error::DeviceUnavailable`]; [`Error::InvalidCheckpoint`].
pub fn train(
    network: &Network,
    data: &TrainingData,
    collective: &dyn Collective,
    settings: &TrainingSettings,
    progress: &dyn Progress,
    checkpoints: Option<&Checkpoints>,
) -> Result<Trained> {
    settings.validate()?;
    let device = settings.device.open()?;
    let (rank, copies) = (collective.rank(), collective.world_size());
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

    let data = data.to_device(device)?;
    let rows = [training_rows, validation_rows, global_batch];
    let fit = fit_identity(network, settings, copies, rows)?;
    let mut state = State::start(network, settings, device)?;
    if let Some(checkpoints) = checkpoints {
        checkpoints.read(&fit, &mut state)?;
    }
    collective.broadcast(state.parameters.flat_mut(), 0)?;
    let mut batches = Batches::new(settings.seed, rank, training, mini_batch);
    let report = |event: &ProgressEvent| {
        if rank == 0 {
            progress.report(event);
        }
    };
    report(&ProgressEvent::Started {
        copies,
        training_rows,
        validation_rows,
        iterations: settings.iterations,
    });
    let (start, done_before) = (Instant::now(), state.seconds);

    while !state.is_done(settings) {
        let iteration = state.iteration + 1;
        let (features, labels) = data.select(&batches.rows_of(state.iteration))?;
        let training_loss = step(
            network, &features, &labels, collective, settings, &mut state,
        )?;
        let validation_loss = if validation_rows > 0 && settings.validates_at(iteration) {
            let parameters = &state.parameters;
            let validate = || {
                validate(
                    network,
                    parameters,
                    &data,
                    &validation,
                    collective,
                    settings,
                )
            };
            let loss = finite(tch::no_grad(validate)?, iteration)?;
            let improved = state.best.is_improved_by(loss);
            let weights = improved.then(|| state.parameters.snapshot()).transpose()?;
            state.stopped_early =
                state.best.observe(iteration, loss, weights) && iteration < settings.iterations;
            Some(loss)
        } else {
            None
        };
        let losses = LossPoint {
            iteration,
            training_loss,
            validation_loss,
        };
        state.iteration = iteration;
        state.history.push(losses);
        state.seconds = done_before + start.elapsed().as_secs_f64();
        report(&ProgressEvent::Iteration {
            losses,
            iterations: settings.iterations,
            rows_per_second: (iteration * global_batch) as f64 / state.seconds,
        });
        if let Some(checkpoints) = checkpoints
            && rank == 0
            && checkpoints.is_due(iteration)
        {
            checkpoints.write(&fit, &state)?;
        }
    }

    let kept = state.best.best().map(|best| (best.iteration, best.loss));
    if let Some(best) = state.best.best() {
        state.parameters.restore(&best.weights)?;
    }
    check_identical(state.parameters.flat_mut(), collective)?;
    Ok(Trained {
        weights: state.parameters.to_weights()?,
        report: FitReport {
            copies,
            training_rows,
            validation_rows,
            global_batch,
            best_iteration: kept.map_or(state.iteration, |(iteration, _)| iteration),
            best_validation_loss: kept.map(|(_, loss)| loss),
            history: state.history,
            stopped_early: state.stopped_early,
            seconds: state.seconds,
        },
    })
}

/// One iteration: this copy's gradient, the exchange, and the step. Returns the mean loss over all copies' rows.
fn step(
    network: &Network,
    features: &Tensor,
    labels: &Tensor,
    collective: &dyn Collective,
    settings: &TrainingSettings,
    state: &mut State,
) -> Result<f64> {
    let iteration = state.iteration + 1;
    let mut masks = DropoutMasks::new(settings.seed, iteration as u64, collective.rank() as u64);
    let parameters = state.parameters.parameters();
    let outputs = network.forward(parameters, features, Some(&mut masks))?;
    let loss = settings.loss.sum(&outputs, labels)?;

    let own = [loss.f_double_value(&[])? as f32, labels.size()[0] as f32];
    let mut sums = state.parameters.gradient(&loss, &own)?;
    collective.all_reduce(&mut sums, ReduceOp::Sum)?;
    let length = sums.size()[0] - own.len() as i64;
    let (loss, rows) = (
        sums.f_double_value(&[length])?,
        sums.f_double_value(&[length + 1])?,
    );
    let loss = finite(loss / rows, iteration)?;

    let gradient = sums.f_narrow(0, 0, length)?.f_div_scalar_(rows)?;
    let learning_rate = settings.learning_rate_at(iteration);
    let (parameters, optimizer) = (&mut state.parameters, &mut state.optimizer);
    tch::no_grad(|| optimizer.step(parameters.flat_mut(), &gradient, learning_rate))?;
    Ok(loss)
}

/// The loss itself, or the error that it is no longer a number.
fn finite(loss: f64, iteration: usize) -> Result<f64> {
    if loss.is_finite() {
        Ok(loss)
    } else {
        Err(Error::Diverged { iteration, loss })
    }
}

/// The mean loss over the validation rows of all copies.
fn validate(
    network: &Network,
    parameters: &FlatParameters,
    data: &TrainingData,
    rows: &[i64],
    collective: &dyn Collective,
    settings: &TrainingSettings,
) -> Result<f64> {
    let mut sum = 0.0;
    for batch in rows.chunks(rows_at_once(parameters.device())) {
        let (features, labels) = data.select(batch)?;
        let outputs = network.forward(parameters.parameters(), &features, None)?;
        sum += settings.loss.sum(&outputs, &labels)?.f_double_value(&[])?;
    }
    let mut sums = Tensor::f_from_slice(&[sum, rows.len() as f64])?;
    collective.all_reduce(&mut sums, ReduceOp::Sum)?;
    Ok(sums.f_double_value(&[0])? / sums.f_double_value(&[1])?)
}

/// The sums of some counts over all copies.
fn total<const N: usize>(counts: [usize; N], collective: &dyn Collective) -> Result<[usize; N]> {
    let mut sums = Tensor::f_from_slice(&counts.map(|count| count as i64))?;
    collective.all_reduce(&mut sums, ReduceOp::Sum)?;
    let mut totals = [0; N];
    for (index, total) in totals.iter_mut().enumerate() {
        *total = sums.f_int64_value(&[index as i64])? as usize;
    }
    Ok(totals)
}

/// Makes sure that all copies hold the same bits, as the whole scheme promises.
fn check_identical(parameters: &Tensor, collective: &dyn Collective) -> Result<()> {
    let bits = parameters.f_detach()?.f_view_dtype(Kind::Int)?;
    let (mut lowest, mut highest) = (bits.f_detach_copy()?, bits.f_detach_copy()?);
    collective.all_reduce(&mut lowest, ReduceOp::Min)?;
    collective.all_reduce(&mut highest, ReduceOp::Max)?;
    if lowest != highest {
        return Err(Error::CopiesDisagree {
            world_size: collective.world_size(),
        });
    }
    Ok(())
}
