//! Running an exported program.

use tch::{Kind, Tensor};

use super::{Program, invalid};
use crate::{Error, Result, error::NetworkError, memory, network::layers::Mode, text};

impl Program {
    /// Runs the program on rows of the input shape. `state` holds the tensors that
    /// [`Program::state`] lists.
    pub(in crate::network) fn forward(
        &self,
        state: &[Tensor],
        rows: &Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor> {
        let source = &self.source;
        let count = rows.size()[0];
        if let Some(most) = source.input.max_rows.filter(|&most| count > most) {
            let reason = format!(
                "it was exported for at most {most} rows in a batch, and this batch has {count}: \
                 export it with torch.export.Dim(\"batch\") without a max, or take smaller batches"
            );
            return Err(invalid("the input", reason));
        }
        if count == 0 {
            let shape: Vec<i64> = [0].iter().chain(&source.output.shape).copied().collect();
            return Ok(Tensor::f_zeros(&shape, (Kind::Float, rows.device()))?);
        }
        self.check_memory(count)?;
        let rows = self.input(rows)?;
        let mut inputs: Vec<&Tensor> = state.iter().collect();
        inputs.push(&rows);
        let (training, seed) = match mode {
            Mode::Evaluation => (false, 0),
            Mode::Training(Some(masks)) => (true, masks.seed()),
            // Drawn from libtorch's generator, which torch's manual_seed sets.
            Mode::Training(None) => {
                let drawn = Tensor::f_randint(i64::MAX, [1], (Kind::Int64, tch::Device::Cpu))?;
                (true, drawn.f_int64_value(&[0])?.unsigned_abs())
            }
        };
        let output = source.graph.run(&inputs, training, seed);
        let output = output.map_err(|(operator, reason)| {
            let place = operator.and_then(|index| source.places.get(index));
            invalid(
                place.map_or("the program".to_owned(), ToString::to_string),
                reason,
            )
        })?;
        self.output(output, count)
    }

    /// Checks that the largest result can fit into memory. Without this, the kernel may grant the
    /// memory and then kill the process.
    fn check_memory(&self, rows: i64) -> Result<()> {
        let Some((operator, bytes)) = self.source.largest else {
            return Ok(());
        };
        let (needed, total) = (bytes.saturating_mul(rows.unsigned_abs()), memory::total());
        if needed <= total {
            return Ok(());
        }
        let way_out = match bytes <= total {
            true => "take smaller batches",
            false => "no batch is small enough",
        };
        let reason = format!(
            "its result takes {} for {} rows, and this machine has {} of memory: {way_out}",
            text::bytes(needed),
            text::grouped(rows.unsigned_abs()),
            text::bytes(total)
        );
        Err(invalid(self.source.places[operator].to_string(), reason))
    }

    /// The rows in the type that the program takes. Whole numbers come as floats, like all
    /// features.
    fn input(&self, rows: &Tensor) -> Result<Tensor> {
        let kind = self.source.input.kind;
        if kind == Kind::Float || rows.f_kind()? == kind {
            return Ok(rows.shallow_clone());
        }
        let whole = rows.f_to_kind(kind)?;
        let differs = whole.f_to_kind(rows.f_kind()?)?.f_ne_tensor(rows)?;
        if differs.f_any()?.f_int64_value(&[])? != 0 {
            let flat = rows.f_reshape([rows.size()[0], -1])?;
            let places = differs.f_reshape(flat.size().as_slice())?.f_nonzero()?;
            let (row, column) = (
                places.f_int64_value(&[0, 0])?,
                places.f_int64_value(&[0, 1])?,
            );
            return Err(Error::Network(NetworkError::InvalidInput {
                row,
                column,
                value: flat.f_double_value(&[row, column])?,
                reason: "the network takes whole numbers".to_owned(),
            }));
        }
        Ok(whole)
    }

    /// The output, of shape [rows, *output shape].
    fn output(&self, output: Tensor, rows: i64) -> Result<Tensor> {
        let expected: Vec<i64> = [rows]
            .iter()
            .chain(&self.source.output.shape)
            .copied()
            .collect();
        let output = if self.source.output.flat {
            output.f_unsqueeze(-1)?
        } else {
            output
        };
        if output.size() != expected {
            return Err(Error::ShapeMismatch {
                what: "the exported program's output".to_owned(),
                found: output.size(),
                expected: format!("{expected:?}"),
            });
        }
        Ok(output)
    }
}
