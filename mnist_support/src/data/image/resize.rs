//! Resizing.

use tch::{Kind, Tensor};

use super::pixels::Pixels;
use crate::error::ImageError;

/// Resizes an image to a height and a width, by libtorch's bilinear interpolation with
/// antialiasing: that of torchvision's `Resize`.
pub(super) fn resized(pixels: Pixels, size: [usize; 2]) -> Result<Pixels, ImageError> {
    if pixels.size() == size {
        return Ok(pixels);
    }
    let values = interpolated(&pixels, size).map_err(|error| ImageError::Damaged {
        format: "decoded image",
        reason: error.into(),
    })?;
    Ok(Pixels {
        height: size[0],
        width: size[1],
        values,
        ..pixels
    })
}

fn interpolated(pixels: &Pixels, size: [usize; 2]) -> Result<Vec<u8>, tch::TchError> {
    let shape = [pixels.height, pixels.width, pixels.channels].map(|length| length as i64);
    let image = Tensor::f_from_data_size(&pixels.values, &shape, Kind::Uint8)?;
    let image = image.f_permute([2, 0, 1])?.f_unsqueeze(0)?;
    let size = size.map(|length| length as i64);
    let resized = image.f_internal_upsample_bilinear2d_aa(size, false, None, None)?;
    let resized = resized.f_squeeze_dim(0)?.f_permute([1, 2, 0])?;
    let mut values = vec![0; resized.numel()];
    let length = values.len();
    resized.f_contiguous()?.f_copy_data(&mut values, length)?;
    Ok(values)
}
