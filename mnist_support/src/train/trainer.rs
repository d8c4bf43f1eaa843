//! The training loop that every copy runs.

use std::time::Instant;

use tch::{Kind, Tensor};

use super::{
    FitReport, LossPoint, Progress, ProgressEvent, TrainingData, TrainingSettings,
    batches::{Batches, split},
    flat::FlatParameters,
    stopping::BestSoFar,
};
use crate::{
    DropoutMasks, Error, Network, Result,
    collective::{Collective, ReduceOp},
};

/// How many validation rows go through the network at once. Small batches stay in the cache: 250 took half
/// the time of 3,000 on the digits.
const VALIDATION_BATCH: usize = 250;

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
/// With `validation_fraction` above 0 the weights of the lowest validation loss are kept, otherwise the last.
///
/// # Errors
/// [`Error::InvalidSetting`] for a setting outside its range or a mini-batch above the shard;
/// [`Error::Diverged`] when the loss is no longer a number; [`Error::ExchangeAborted`] when another copy
/// failed; [`Error::DeviceUnavailable`].
pub fn train(
    network: &Network,
    data: &TrainingData,
    collective: &dyn Collective,
    settings: &TrainingSettings,
    progress: &dyn Progress,
) -> Result<Trained> {
    settings.validate()?;
    let device = settings.device.open()?;
    let (rank, copies) = (collective.rank(), collective.world_size());
    let (training, validation) = split(
        settings.seed,
        rank,
        data.rows(),
        settings.validation_rows(data.rows()),
    );
    let mini_batch = settings.mini_batch_of(training.len())?;
    let [training_rows, validation_rows, global_batch] =
        total([training.len(), validation.len(), mini_batch], collective)?;
    if validation_rows == 0 && settings.validation_fraction > 0.0 {
        return Err(Error::InvalidSetting {
            setting: "validation_fraction",
            value: settings.validation_fraction.to_string(),
            reason: "is less than one row: raise it, or set it to 0".to_owned(),
        });
    }

    let data = data.to_device(device)?;
    let mut parameters = FlatParameters::new(&network.initialize(settings.seed), device)?;
    collective.broadcast(parameters.flat_mut(), 0)?;
    let mut optimizer = settings.optimizer.start(parameters.flat_mut())?;
    let mut batches = Batches::new(settings.seed, rank, training, mini_batch);
    let mut best = BestSoFar::new(settings.early_stop_patience);
    let mut history = Vec::with_capacity(settings.iterations);
    let mut stopped_early = false;
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
    let start = Instant::now();

    for iteration in 1..=settings.iterations {
        let (features, labels) = data.select(&batches.rows_of(iteration - 1))?;
        let mut masks = DropoutMasks::new(settings.seed, iteration as u64, rank as u64);
        let outputs = network.forward(parameters.parameters(), &features, Some(&mut masks))?;
        let loss = settings.loss.sum(&outputs, &labels)?;

        let mut sums = parameters.gradient(
            &loss,
            &[loss.f_double_value(&[])? as f32, mini_batch as f32],
        )?;
        collective.all_reduce(&mut sums, ReduceOp::Sum)?;
        let length = sums.size()[0];
        let (loss, rows) = (
            sums.f_double_value(&[length - 2])?,
            sums.f_double_value(&[length - 1])?,
        );
        let training_loss = loss / rows;
        if !training_loss.is_finite() {
            return Err(Error::Diverged {
                iteration,
                loss: training_loss,
            });
        }
        let gradient = sums.f_narrow(0, 0, length - 2)?.f_div_scalar_(rows)?;
        let learning_rate = settings.learning_rate
            * settings
                .learning_rate_schedule
                .factor(iteration, settings.iterations);
        tch::no_grad(|| optimizer.step(parameters.flat_mut(), &gradient, learning_rate))?;

        let mut validation_loss = None;
        if validation_rows > 0
            && (iteration % settings.validation_every == 0 || iteration == settings.iterations)
        {
            let loss = tch::no_grad(|| {
                validate(
                    network,
                    &parameters,
                    &data,
                    &validation,
                    collective,
                    settings,
                )
            })?;
            if !loss.is_finite() {
                return Err(Error::Diverged { iteration, loss });
            }
            let weights = best
                .is_improved_by(loss)
                .then(|| parameters.snapshot())
                .transpose()?;
            stopped_early =
                best.observe(iteration, loss, weights) && iteration < settings.iterations;
            validation_loss = Some(loss);
        }
        let losses = LossPoint {
            iteration,
            training_loss,
            validation_loss,
        };
        history.push(losses);
        report(&ProgressEvent::Iteration {
            losses,
            iterations: settings.iterations,
            rows_per_second: (iteration * global_batch) as f64 / start.elapsed().as_secs_f64(),
        });
        if stopped_early {
            break;
        }
    }

    let seconds = start.elapsed().as_secs_f64();
    let best = best.into_best();
    if let Some(best) = &best {
        parameters.restore(&best.weights)?;
    }
    check_identical(parameters.flat_mut(), collective)?;
    Ok(Trained {
        weights: parameters.to_weights()?,
        report: FitReport {
            copies,
            training_rows,
            validation_rows,
            global_batch,
            best_iteration: best.as_ref().map_or(history.len(), |best| best.iteration),
            best_validation_loss: best.map(|best| best.loss),
            history,
            stopped_early,
            seconds,
        },
    })
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
    for batch in rows.chunks(VALIDATION_BATCH) {
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
