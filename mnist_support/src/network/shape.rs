//! Helpers for shape inference.

/// A larger tensor is a typing mistake rather than a network: 8 GB of `f32`.
const MAX_ELEMENTS: i64 = i32::MAX as i64;

/// Checks that settings that count something are positive.
pub(super) fn at_least_one(settings: &[(&str, i64)]) -> Result<(), String> {
    match settings.iter().find(|(_, value)| *value < 1) {
        Some((setting, value)) => Err(format!("{setting} is {value}, it must be at least 1")),
        None => Ok(()),
    }
}

/// The output shape of a pooling. Incomplete windows at the edges are dropped.
pub(super) fn pooled(
    input: &[i64],
    kernel_size: i64,
    stride: i64,
    padding: i64,
) -> Result<Vec<i64>, String> {
    at_least_one(&[("kernel_size", kernel_size), ("stride", stride)])?;
    let [channels, height, width] = image(input)?;
    let window = Window {
        verb: "pooling by",
        kernel_size,
        stride,
        padding: [padding; 2],
        dilation: 1,
    };
    Ok(vec![
        channels,
        window.slide(height, "height")?,
        window.slide(width, "width")?,
    ])
}

/// One side of a window that slides over an image or a sequence.
pub(super) struct Window {
    pub(super) verb: &'static str,
    pub(super) kernel_size: i64,
    pub(super) stride: i64,
    /// The zeros before the first value and after the last.
    pub(super) padding: [i64; 2],
    /// The distance between the values that the window takes.
    pub(super) dilation: i64,
}

impl Window {
    /// The number of positions of the window along a side: (length + padding - dilation (kernel -
    /// 1) - 1) / stride + 1.
    pub(super) fn slide(&self, length: i64, side: &str) -> Result<i64, String> {
        let Self {
            verb,
            kernel_size,
            stride,
            padding: [before, after],
            dilation,
        } = *self;
        let padded = before
            .checked_add(after)
            .and_then(|both| both.checked_add(length));
        let Some(padded) = padded else {
            return Err(format!("padding {before} is too large"));
        };
        let taken = dilation.checked_mul(kernel_size - 1);
        let Some(taken) = taken.filter(|&taken| taken < padded) else {
            let padding = if before > 0 {
                format!(" and padding {before}")
            } else {
                String::new()
            };
            return Err(format!(
                "{verb} {kernel_size} leaves nothing of {side} {length}{padding}"
            ));
        };
        Ok((padded - taken - 1) / stride + 1)
    }
}

/// The channels, height and width of an image, if the input is one.
pub(super) fn image(input: &[i64]) -> Result<[i64; 3], String> {
    <[i64; 3]>::try_from(input)
        .map_err(|_| "it needs an image of shape [channels, height, width]".to_owned())
}

/// The number of elements of a shape.
pub(super) fn elements(shape: &[i64]) -> Result<i64, String> {
    shape
        .iter()
        .try_fold(1_i64, |product, &size| product.checked_mul(size))
        .filter(|&product| product <= MAX_ELEMENTS)
        .ok_or_else(|| format!("a tensor of shape {shape:?} is too large"))
}
