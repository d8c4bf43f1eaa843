//! Decodes images into a vector column.

use serde::{Deserialize, Serialize};

use super::{
    FitContext, HandleInvalid, StageModel,
    columns::conversions,
    stage::{PipelineStage, Transformer},
    table::{Table, Vector},
};
use crate::{
    Error, Result,
    collective::Collective,
    data::{ImageOptions, images_from_frame},
};

/// The number of pixels from which Pillow warns of a decompression bomb.
const MAX_PIXELS: u64 = 89_478_485;

/// Decodes the PNG and JPEG images of a column into a vector column of [channels, height, width]
/// bytes: torchvision's `decode_image` and `Resize` in one stage.
///
/// The column holds the bytes of files, as [`Lake::images`](crate::lake::Lake::images) reads them
/// from a folder; or structs of `bytes` and `path`, in which Hugging Face keeps images in Parquet
/// files; or the structs of Spark's image source (`spark.read.format("image")`), which has decoded
/// them.
///
/// ```
/// use mnist_support::prelude::*;
///
/// // A PNG of 3 x 2 grey values.
/// let mut file = Vec::new();
/// let mut encoder = png::Encoder::new(&mut file, 3, 2);
/// encoder.set_color(png::ColorType::Grayscale);
/// encoder.write_header()?.write_image_data(&[0, 50, 100, 150, 200, 250])?;
///
/// let frame = df!("image" => [&file[..]])?;
/// let decoder = ImageDecoder::new().channels(1).output_col("features");
/// let row = decoder.transform(&frame)?.column("features")?.list()?.get_as_series(0).unwrap();
/// let values: Vec<u8> = row.u8()?.iter().flatten().collect();
/// assert_eq!(values, [0, 50, 100, 150, 200, 250]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What becomes of
/// - **colours**: with 1 channel, they become the luma of ITU-R BT.601, as in Pillow's
///   `convert("L")`; a JPEG has it in its file, as torchvision reads it. With 3 channels, grey
///   values are repeated. Palettes are looked up. Colour profiles and gamma values are ignored, as
///   in Pillow and torchvision.
/// - **alpha**: it is dropped, as in both. A transparent pixel has the colour that its file stores
///   beside the alpha.
/// - **16-bit PNGs**: the upper 8 bits of each value remain.
/// - **EXIF orientation**: it is ignored, as by torchvision's default, unless
///   [`apply_exif_orientation`](Self::apply_exif_orientation) is set.
/// - **animated PNGs**: the still image remains.
/// - **a damaged file**: it is an error, also if only its end is missing. Nothing is made up for
///   what is missing.
///
/// The values are bytes, and stay bytes throughout a fit: a scaler after the decoder scales each
/// mini-batch on its way into the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageDecoder {
    input_col: String,
    output_col: String,
    channels: usize,
    size: Option<[usize; 2]>,
    apply_exif_orientation: bool,
    max_pixels: u64,
    handle_invalid: HandleInvalid,
}

impl Default for ImageDecoder {
    fn default() -> Self {
        ImageDecoder {
            input_col: "image".to_owned(),
            output_col: "features".to_owned(),
            channels: 3,
            size: None,
            apply_exif_orientation: false,
            max_pixels: MAX_PIXELS,
            handle_invalid: HandleInvalid::Error,
        }
    }
}

impl ImageDecoder {
    /// Creates a stage from `image` to `features`, of 3 channels.
    pub fn new() -> Self {
        Self::default()
    }

    /// The column of images to read. Default: `image`.
    pub fn input_col(mut self, name: impl Into<String>) -> Self {
        self.input_col = name.into();
        self
    }

    /// The vector column to add, of channels x height x width values, channel by channel: what a
    /// network of this input shape takes. Default: `features`.
    pub fn output_col(mut self, name: impl Into<String>) -> Self {
        self.output_col = name.into();
        self
    }

    /// 1 for grey values, or 3 for red, green and blue, whatever a file has: torchvision's
    /// `ImageReadMode.GRAY` and `RGB`. Default: 3.
    pub fn channels(mut self, channels: usize) -> Self {
        self.channels = channels;
        self
    }

    /// The height and the width to resize all images to, with torchvision's `Resize((height,
    /// width))`: bilinear with antialiasing, by the same function of libtorch. Default: none are
    /// resized, and all have to have the same size.
    pub fn size(mut self, height: usize, width: usize) -> Self {
        self.size = Some([height, width]);
        self
    }

    /// Whether to turn and mirror an image as its EXIF metadata say how the camera was held, before
    /// it is resized: torchvision's setting of this name. Default: `false`.
    pub fn apply_exif_orientation(mut self, apply: bool) -> Self {
        self.apply_exif_orientation = apply;
        self
    }

    /// The largest width x height of an image. A file of a few kilobytes can claim to be larger
    /// than the memory: one that claims more than this is invalid, and is not decoded. Default:
    /// 89,478,485, from which Pillow warns.
    pub fn max_pixels(mut self, pixels: u64) -> Self {
        self.max_pixels = pixels;
        self
    }

    /// What becomes of a null, and of an image that cannot be decoded. [`HandleInvalid::Skip`]
    /// leaves the row out. There is nothing to keep, so [`HandleInvalid::Keep`] is refused. An
    /// image of another size, where all have to have the same, is an error in any case. Default:
    /// [`HandleInvalid::Error`].
    pub fn handle_invalid(mut self, handle_invalid: HandleInvalid) -> Self {
        self.handle_invalid = handle_invalid;
        self
    }

    fn check(&self) -> Result<()> {
        let invalid = |setting, value: String, reason: &str| {
            Err(Error::InvalidSetting {
                setting,
                value,
                reason: reason.to_owned(),
            })
        };
        if !matches!(self.channels, 1 | 3) {
            let reason = "must be 1 for grey values, or 3 for red, green and blue";
            return invalid("channels", self.channels.to_string(), reason);
        }
        if let Some(size) = self.size {
            let pixels = (size[0] as u64).checked_mul(size[1] as u64);
            if !pixels.is_some_and(|pixels| (1..=self.max_pixels).contains(&pixels)) {
                let reason = "must have at least one pixel, and at most max_pixels";
                return invalid("size", format!("{size:?}"), reason);
            }
        }
        if self.handle_invalid == HandleInvalid::Keep {
            let reason = "is not possible: there are no pixels to keep; use Skip";
            return invalid("handle_invalid", "Keep".to_owned(), reason);
        }
        Ok(())
    }
}

conversions!(ImageDecoder);

impl PipelineStage for ImageDecoder {
    fn kind(&self) -> &'static str {
        "ImageDecoder"
    }

    fn input_cols(&self) -> Vec<&str> {
        vec![&self.input_col]
    }

    fn output_cols(&self) -> Vec<&str> {
        vec![&self.output_col]
    }

    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn learns(&self) -> bool {
        false
    }

    fn leaves_rows_out(&self) -> bool {
        self.handle_invalid == HandleInvalid::Skip
    }

    fn fit_shard(
        &self,
        _table: &Table,
        _collective: &dyn Collective,
        _context: FitContext<'_>,
    ) -> Result<StageModel> {
        Ok(self.clone().into())
    }
}

impl Transformer for ImageDecoder {
    fn stage(&self) -> &dyn PipelineStage {
        self
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        // On its own, nothing has checked it before.
        self.check()?;
        let options = ImageOptions {
            channels: self.channels,
            size: self.size,
            apply_exif_orientation: self.apply_exif_orientation,
            max_pixels: self.max_pixels,
            skip_invalid: self.handle_invalid == HandleInvalid::Skip,
        };
        let images = images_from_frame(table.frame(), &self.input_col, &options, table.rows())?;
        table.keep(&images.valid)?;
        table.set_vector(&self.output_col, Vector::new(images.features));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;
    use crate::{
        error::{ImageError, TableError},
        stages::{
            MinMaxScaler, StageModel,
            testing::{fit, rows, table, transform},
        },
    };

    /// A PNG of grey values.
    fn png(grey: &[u8], width: u32) -> Vec<u8> {
        let mut file = Vec::new();
        let height = grey.len() as u32 / width;
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(grey).unwrap();
        drop(writer);
        file
    }

    fn decoder() -> ImageDecoder {
        ImageDecoder::new().channels(1)
    }

    /// A column of files.
    fn files(images: &[Vec<u8>]) -> DataFrame {
        let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
        df!("image" => images).unwrap()
    }

    /// Hugging Face's structs.
    fn structs(images: &[(Option<&[u8]>, Option<&str>)]) -> DataFrame {
        let (bytes, paths): (Vec<_>, Vec<_>) = images.iter().copied().unzip();
        let fields = [
            Series::new("bytes".into(), bytes),
            Series::new("path".into(), paths),
        ];
        let column = StructChunked::from_series("image".into(), images.len(), fields.iter());
        let column = column.unwrap().into_series().into_column();
        DataFrame::new(images.len(), vec![column]).unwrap()
    }

    fn reason(error: &Error) -> &ImageError {
        match error {
            Error::Table(TableError::InvalidImage { reason, .. }) => reason,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn colours_are_written_channel_by_channel_and_stay_bytes() {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 1);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[1, 2, 3, 4, 5, 6]).unwrap();
        drop(writer);
        let frame = files(&[file, png(&[7, 8], 2)]);
        let decoded = transform(ImageDecoder::new(), &frame).unwrap();
        assert_eq!(
            rows(&decoded, "features"),
            [
                [1.0, 4.0, 2.0, 5.0, 3.0, 6.0],
                [7.0, 8.0, 7.0, 8.0, 7.0, 8.0]
            ]
        );
        let features = decoded.column("features").unwrap();
        assert_eq!(features.dtype().to_string(), "list[u8]");
    }

    #[test]
    fn hugging_faces_structs_and_sparks_are_decoded_like_files() {
        let file = png(&[1, 2, 3, 4, 5, 6], 3);
        let frame = structs(&[(Some(&file), None), (Some(&file), Some("a.png"))]);
        let decoded = transform(decoder(), &frame).unwrap();
        let expected = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; 2];
        assert_eq!(rows(&decoded, "features"), expected);

        // Spark's are blue, green, red.
        let fields = [
            Series::new("origin".into(), ["file:/a.jpg", "file:/b.jpg"]),
            Series::new("height".into(), [1, 1]),
            Series::new("width".into(), [2, 2]),
            Series::new("nChannels".into(), [3, 1]),
            Series::new("mode".into(), [16, 0]),
            Series::new("data".into(), [&[3_u8, 2, 1, 6, 5, 4][..], &[7, 8]]),
        ];
        let column = StructChunked::from_series("image".into(), 2, fields.iter()).unwrap();
        let frame = DataFrame::new(2, vec![column.into_series().into_column()]).unwrap();
        let decoded = transform(ImageDecoder::new(), &frame).unwrap();
        assert_eq!(
            rows(&decoded, "features"),
            [
                [1.0, 4.0, 2.0, 5.0, 3.0, 6.0],
                [7.0, 8.0, 7.0, 8.0, 7.0, 8.0]
            ]
        );
    }

    #[test]
    fn a_row_without_an_image_is_an_error_that_names_it_or_left_out() {
        let (good, other) = (png(&[1, 2], 2), png(&[3, 4], 2));
        let frame = structs(&[
            (Some(&good), Some("1.png")),
            (Some(b"GIF89a"), Some("2.png")),
            (None, Some("3.png")),
            (None, None),
            (Some(&good[..40]), Some("5.png")),
            (Some(&other), None),
        ]);
        for (row, expected) in [
            (
                1,
                "rows.csv, row 102, column \"image\" (path \"2.png\"): its bytes are a GIF",
            ),
            (
                2,
                "rows.csv, row 103, column \"image\" (path \"3.png\"): it has no bytes, only the path",
            ),
            (
                3,
                "rows.csv, row 104, column \"image\": the value is missing",
            ),
            (
                4,
                "rows.csv, row 105, column \"image\" (path \"5.png\"): the PNG is damaged: ",
            ),
        ] {
            let mut one = table(&frame.slice(row, 1), 100 + row as usize);
            let error = StageModel::from(decoder()).apply(&mut one).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        let skipping = decoder().handle_invalid(HandleInvalid::Skip);
        let left = transform(skipping.clone(), &frame).unwrap();
        assert_eq!(rows(&left, "features"), [[1.0, 2.0], [3.0, 4.0]]);
        let none = transform(skipping.clone(), &frame.slice(1, 3)).unwrap();
        assert_eq!(none.height(), 0);
        let none = transform(skipping, &frame.slice(0, 0)).unwrap();
        assert_eq!(none.height(), 0);
    }

    #[test]
    fn images_of_other_sizes_are_resized_or_refused_even_where_rows_are_left_out() {
        let frame = files(&[png(&[0, 200], 2), png(&[90; 6], 3)]);
        for decoder in [decoder(), decoder().handle_invalid(HandleInvalid::Skip)] {
            let error = transform(decoder, &frame).unwrap_err();
            assert!(
                matches!(
                    reason(&error),
                    ImageError::Size {
                        width: 3,
                        height: 2,
                        first_width: 2,
                        first_height: 1
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().contains("ImageDecoder::size"), "{error}");
        }
        let resized = transform(decoder().size(1, 1), &frame).unwrap();
        assert_eq!(rows(&resized, "features"), [[100.0], [90.0]]);
    }

    #[test]
    fn settings_out_of_range_and_columns_of_something_else_are_refused() {
        let file = png(&[0], 1);
        let frame = df!("image" => [&file[..]], "text" => ["a.png"]).unwrap();
        for (decoder, setting) in [
            (decoder().channels(2), "channels"),
            (decoder().channels(0), "channels"),
            (decoder().size(0, 3), "size"),
            (decoder().size(usize::MAX, 2), "size"),
            (decoder().size(10, 10).max_pixels(99), "size"),
            (
                decoder().handle_invalid(HandleInvalid::Keep),
                "handle_invalid",
            ),
        ] {
            let error = transform(decoder.clone(), &frame).unwrap_err();
            assert!(
                matches!(&error, Error::InvalidSetting { setting: found, .. } if *found == setting),
                "{error}"
            );
            assert!(decoder.validate().is_err());
        }
        let error = transform(decoder().input_col("text"), &frame).unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::ColumnType { column, .. }) if column == "text"),
            "{error}"
        );
    }

    #[test]
    fn a_scaler_learns_from_images_in_ranks_that_have_none() {
        let frame = files(&[png(&[0, 100], 2), png(&[50, 200], 2)]);
        let decoded = transform(decoder(), &frame).unwrap();
        let scaler = fit(&MinMaxScaler::new(), &decoded);
        let scaled = transform(scaler, &decoded).unwrap();
        assert_eq!(rows(&scaled, "scaledFeatures"), [[0.0, 0.0], [1.0, 1.0]]);
    }
}
