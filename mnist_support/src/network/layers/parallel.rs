//! Branches on the same input.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::{Definition, Layer, Mode, Parallel};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::sequential;
use crate::network::state::StateTensor;

/// What becomes of the outputs of branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// They are added, and need the same shape.
    Add,
    /// They are concatenated along the first dimension after the rows: channels, or features.
    Concat,
}

impl Layer {
    /// A [`Layer::Parallel`] of branches, each a list of layers. One without layers passes its
    /// input on.
    pub fn parallel(branches: impl Into<Vec<Vec<Layer>>>, combine: Combine) -> Self {
        Self::Parallel {
            branches: branches.into(),
            combine,
        }
    }
}

impl Parallel {
    /// The branches with their names.
    fn named(&self) -> impl Iterator<Item = (String, &[Layer])> {
        let branches = self.branches.iter().enumerate();
        branches.map(|(index, branch)| (format!("branches.{index}"), branch.as_slice()))
    }
}

impl Definition for Parallel {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let shapes = self.named().map(|(name, branch)| match branch {
            [] => Ok(input.to_vec()),
            branch => sequential::output_shape(&name, branch, input),
        });
        let shapes = shapes.collect::<Result<Vec<_>, _>>()?;
        let Some((first, others)) = shapes.split_first() else {
            return Err("it has no branches".to_owned());
        };
        let concat = self.combine == Combine::Concat;
        let fits = |other: &Vec<i64>| match concat {
            true => !first.is_empty() && other.len() == first.len() && other[1..] == first[1..],
            false => other == first,
        };
        if first.is_empty() || !others.iter().all(fits) {
            let all: Vec<String> = shapes.iter().map(|shape| format!("{shape:?}")).collect();
            let need = if concat {
                "differ in the first size alone"
            } else {
                "be the same"
            };
            return Err(format!(
                "its branches make {} of it, which must {need}",
                all.join(", ")
            ));
        }
        let mut output = first.clone();
        if concat {
            output[0] = shapes
                .iter()
                .map(|shape| shape[0])
                .fold(0, i64::saturating_add);
        }
        Ok(output)
    }

    fn state(&self) -> Vec<StateTensor> {
        let branches = self.named();
        branches
            .flat_map(|(name, branch)| sequential::nested_state(&name, branch))
            .collect()
    }

    fn forward(
        &self,
        mut state: &[Tensor],
        input: &Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        let mut outputs = Vec::with_capacity(self.branches.len());
        for (name, branch) in self.named() {
            let (own, others) = state.split_at(sequential::state_count(branch));
            state = others;
            outputs.push(sequential::run(&name, branch, own, input, mode)?);
        }
        match self.combine {
            Combine::Concat => Tensor::f_cat(&outputs, 1),
            Combine::Add => {
                let mut outputs = outputs.into_iter();
                let first = outputs.next().expect("there is a branch");
                outputs.try_fold(first, |sum, output| sum.f_add(&output))
            }
        }
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        shape: &[i64],
    ) -> Result<String, String> {
        let (mut state, mut outputs) = (state, Vec::new());
        for (name, branch) in self.named() {
            let (own, others) = state.split_at(sequential::state_count(branch));
            state = others;
            outputs.push(graph.nested(&name, branch, own, input, shape)?);
        }
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        Ok(match self.combine {
            Combine::Concat => graph.node("Concat", &outputs, &[("axis", Attribute::Int(1))]),
            Combine::Add => graph.node("Sum", &outputs, &[]),
        })
    }

    fn extra_repr(&self) -> String {
        let how = match self.combine {
            Combine::Add => "added",
            Combine::Concat => "concatenated",
        };
        format!("{} branches, {how}", self.branches.len())
    }

    fn nested(&self) -> Vec<(String, Vec<Layer>)> {
        let branches = self.named();
        branches
            .map(|(name, branch)| (name, branch.to_vec()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    fn refusal(branches: Vec<Vec<Layer>>, combine: Combine) -> String {
        let layers = vec![Layer::parallel(branches, combine)];
        Network::new(&[4], layers).unwrap_err().to_string()
    }

    #[test]
    fn branches_of_other_shapes_are_all_shown() {
        let branches = || vec![vec![Layer::linear(4, 2)], vec![Layer::linear(4, 3)]];
        assert!(Network::new(&[4], vec![Layer::parallel(branches(), Combine::Concat)]).is_ok());
        assert_eq!(
            refusal(branches(), Combine::Add),
            "layer 0 (Parallel) on an input of shape [4]: its branches make [2], [3] of it, which \
             must be the same"
        );
        let other = vec![vec![Layer::unflatten([2, 2])], vec![]];
        let found = refusal(other, Combine::Concat);
        assert!(
            found.ends_with("make [2, 2], [4] of it, which must differ in the first size alone"),
            "{found}"
        );
        assert!(refusal(Vec::new(), Combine::Add).ends_with("it has no branches"));
    }

    #[test]
    fn a_layer_of_a_branch_that_does_not_fit_is_named() {
        let found = refusal(
            vec![vec![], vec![Layer::ReLU, Layer::linear(5, 4)]],
            Combine::Add,
        );
        assert!(
            found.contains("in its branches.1, layer 1 (Linear) on an input of shape [4]"),
            "{found}"
        );
    }
}
