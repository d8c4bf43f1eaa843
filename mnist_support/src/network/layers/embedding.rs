//! A table of vectors.

use tch::{Kind, TchError, Tensor};

use super::{Definition, Embedding, Layer, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::at_least_one;
use crate::network::state::{Init, Role, StateTensor};

impl Layer {
    /// A [`Layer::Embedding`] of `num_embeddings` vectors. The features are whole numbers, from 0
    /// to `num_embeddings` - 1, each of which becomes the vector with that index.
    pub fn embedding(num_embeddings: i64, embedding_dim: i64) -> Self {
        Self::Embedding {
            num_embeddings,
            embedding_dim,
        }
    }
}

impl Definition for Embedding {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        at_least_one(&[
            ("num_embeddings", self.num_embeddings),
            ("embedding_dim", self.embedding_dim),
        ])?;
        Ok(input.iter().copied().chain([self.embedding_dim]).collect())
    }

    fn state(&self) -> Vec<StateTensor> {
        vec![StateTensor {
            name: "weight".into(),
            shape: vec![self.num_embeddings, self.embedding_dim],
            role: Role::Parameter,
            init: Init::Normal,
        }]
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        _: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        let indices = input.f_to_kind(Kind::Int64)?;
        let outside = indices
            .f_lt(0)?
            .f_logical_or(&indices.f_ge(self.num_embeddings)?)?
            .f_logical_or(&indices.f_to_kind(input.f_kind()?)?.f_ne_tensor(input)?)?;
        if outside.f_any()?.f_int64_value(&[])? != 0 {
            return Err(TchError::Shape(self.outside(input, &outside)?));
        }
        Tensor::f_embedding(&state[0], &indices, -1, false, false)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        let table = graph.state(state)?.remove(0);
        // 7 is ONNX's number of 64-bit integers.
        let indices = graph.node("Cast", &[input], &[("to", Attribute::Int(7))]);
        Ok(graph.node("Gather", &[&table, &indices], &[]))
    }

    fn extra_repr(&self) -> String {
        format!("{}, {}", self.num_embeddings, self.embedding_dim)
    }
}

impl Embedding {
    /// Names the first value that is no index.
    fn outside(&self, input: &Tensor, outside: &Tensor) -> Result<String, TchError> {
        let rows = input.size().first().copied().unwrap_or(1);
        let flat = input.f_reshape([rows, -1])?;
        let place = outside.f_reshape([rows, -1])?.f_nonzero()?.f_get(0)?;
        let (row, column) = (place.f_int64_value(&[0])?, place.f_int64_value(&[1])?);
        let value = flat.f_double_value(&[row, column])?;
        Ok(format!(
            "row {row}, column {column} of the batch is {value}, which is no index of the table: \
             they are the whole numbers from 0 to {}",
            self.num_embeddings - 1
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    #[test]
    fn a_value_that_is_no_index_names_its_row_and_column() {
        let network = Network::new(&[2], vec![Layer::embedding(5, 3)]).unwrap();
        assert_eq!(network.output_shape(), [2, 3]);
        let state = network.initialize(1);
        for (value, shown) in [(5.0, "5"), (-1.0, "-1"), (0.5, "0.5"), (f32::NAN, "NaN")] {
            let rows = Tensor::from_slice(&[0.0, 1.0, 4.0, value]).view([2, 2]);
            let error = network
                .forward(&state, &rows, None)
                .unwrap_err()
                .to_string();
            let expected = format!(
                "row 1, column 1 of the batch is {shown}, which is no index of the table: \
                 they are the whole numbers from 0 to 4"
            );
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn vectors_start_with_standard_normal_values() {
        let network = Network::new(&[1], vec![Layer::embedding(200, 50)]).unwrap();
        let weight = network.initialize(3).remove(0);
        let (mean, deviation) = (weight.mean(Kind::Double), weight.std(true));
        assert!(mean.double_value(&[]).abs() < 0.03, "{mean}");
        assert!(
            (deviation.double_value(&[]) - 1.0).abs() < 0.03,
            "{deviation}"
        );
    }
}
