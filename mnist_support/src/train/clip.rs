//! Gradient clipping.

use tch::Tensor;

use crate::Result;

/// Clips a flat gradient: each value to `[-value, value]`, as `torch.nn.utils.clip_grad_value_`,
/// then the norm to `norm`, as `torch.nn.utils.clip_grad_norm_`.
pub(super) fn clip(gradient: Tensor, norm: Option<f64>, value: Option<f64>) -> Result<Tensor> {
    let gradient = match value {
        None => gradient,
        Some(value) => gradient.f_clamp(-value, value)?,
    };
    let Some(norm) = norm else {
        return Ok(gradient);
    };
    // Like PyTorch, without reading the norm, for which a GPU would have to be waited for.
    let total = gradient.f_norm()?.f_add_scalar(1e-6)?;
    let factor = total.f_reciprocal()?.f_mul_scalar(norm)?.f_clamp_max(1.0)?;
    Ok(gradient.f_mul(&factor)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::fixture;

    #[test]
    fn clipped_gradients_are_those_of_pytorch() {
        for case in fixture::read().clipping {
            let clipped = clip(Tensor::from_slice(&case.gradient), case.norm, case.value).unwrap();
            let found = Vec::<f64>::try_from(&clipped.to_kind(tch::Kind::Double)).unwrap();
            let expected: Vec<f64> = case.clipped.iter().map(|value| f64::from(*value)).collect();
            let what = format!("norm {:?}, value {:?}", case.norm, case.value);
            fixture::assert_close(&found, &expected, &what);
        }
    }
}
