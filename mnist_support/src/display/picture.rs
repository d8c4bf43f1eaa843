//! A picture that a cell can show and a file can store.

use std::fmt;
use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::content::send;
use super::html::escape;
use crate::{Error, Result, error::Cause};

/// The font of all text in our pictures, as the reader's machine resolves it.
pub(super) const FONT: &str = "sans-serif";
/// The colour of text.
pub(super) const INK: RGBColor = RGBColor(45, 45, 45);
/// The colour of frames and grids.
pub(super) const FAINT: RGBColor = RGBColor(222, 222, 222);

/// The drawing area of our pictures.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Plotters rounds to whole units. With two units per pixel, lines look smooth.
const UNITS_PER_PIXEL: u32 = 2;

/// A picture drawn with plotters, as SVG.
///
/// A cell that ends in a picture shows it. Its background is white, even on dark pages.
///
/// ```
/// use mnist_support::display::Picture;
/// use plotters::prelude::*;
///
/// # fn main() -> mnist_support::Result<()> {
/// let picture = Picture::draw("a line", (300, 200), |area| {
///     let points = [(0, 0), (600, 400)];
///     area.draw(&PathElement::new(points, BLUE))?;
///     Ok(())
/// })?;
/// assert!(picture.svg().starts_with("<svg"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq)]
pub struct Picture {
    description: String,
    width: u32,
    height: u32,
    svg: String,
}

impl Picture {
    /// Draws a picture of this size, in pixels, on a white background. The drawing area has two
    /// units per pixel. `name` describes the picture in errors, and where pictures cannot be shown.
    ///
    /// # Errors
    /// [`Error::Drawing`] if `draw` fails.
    pub fn draw<F>(name: &'static str, (width, height): (u32, u32), draw: F) -> Result<Picture>
    where
        F: for<'a> FnOnce(&DrawingArea<SVGBackend<'a>, Shift>) -> Result<(), Cause>,
    {
        let units = (width * UNITS_PER_PIXEL, height * UNITS_PER_PIXEL);
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, units).into_drawing_area();
            area.fill(&WHITE)
                .map_err(Cause::from)
                .and_then(|()| draw(&area))
                .and_then(|()| Ok(area.present()?))
                .map_err(|reason| failed(name, reason))?;
        }
        let drawn_size = format!("<svg width=\"{}\" height=\"{}\"", units.0, units.1);
        let shown_size = format!("<svg width=\"{width}\" height=\"{height}\"");
        Ok(Picture {
            description: name.to_owned(),
            width,
            height,
            svg: svg
                .replacen(&drawn_size, &shown_size, 1)
                .trim_end()
                .to_owned(),
        })
    }

    /// Sets the description for readers who cannot see the picture.
    pub fn describe(self, description: impl Into<String>) -> Picture {
        Picture {
            description: description.into(),
            ..self
        }
    }

    /// Overlays a PNG image with sharp square pixels, positioned in units of the drawing area.
    pub(super) fn lay_image(
        &mut self,
        (left, top): (i32, i32),
        (width, height): (i32, i32),
        png: &[u8],
    ) {
        let end = self.svg.rfind("</svg>").unwrap_or(self.svg.len());
        let image = format!(
            "<image x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>\n",
            STANDARD.encode(png)
        );
        self.svg.insert_str(end, &image);
    }

    /// The picture's SVG document.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// Writes the picture to an SVG file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        std::fs::write(path, &self.svg).map_err(|source| Error::Io {
            operation: "writing the picture",
            path: path.to_owned(),
            source,
        })
    }

    /// Shows the picture as the result of a notebook cell.
    ///
    /// It is sent as an image within HTML, which JupyterLab, unlike SVG itself, shows even in a
    /// notebook that is not trusted.
    pub fn evcxr_display(&self) {
        send(&[
            ("text/html", &self.html()),
            ("text/plain", &format!("{self:?}")),
        ]);
    }

    fn html(&self) -> String {
        format!(
            "<img width=\"{}\" height=\"{}\" alt=\"{}\" src=\"data:image/svg+xml;base64,{}\">",
            self.width,
            self.height,
            escape(&self.description),
            STANDARD.encode(&self.svg)
        )
    }
}

/// Shows the description and the size, without the drawing.
impl fmt::Debug for Picture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Picture({}, {} x {})",
            self.description, self.width, self.height
        )
    }
}

/// Returns the error of a picture that cannot be drawn.
pub(super) fn failed(picture: &'static str, reason: impl Into<Cause>) -> Error {
    Error::Drawing {
        picture,
        reason: reason.into(),
    }
}

/// Returns the style of a text that is centred vertically, and anchored horizontally at `anchor`.
pub(super) fn text_style(size: i32, colour: &RGBColor, anchor: HPos) -> TextStyle<'_> {
    let style = (FONT, size).into_font().color(colour);
    style.pos(Pos::new(anchor, VPos::Center))
}

/// Returns the largest font size, up to `largest`, at which the text fits into `width`. A character
/// is assumed to be half as wide as the font size, which is about right for digits and words in
/// common fonts.
pub(super) fn fitting(text: &str, width: i32, largest: i32) -> i32 {
    let characters = text.chars().count().max(1) as f64;
    largest.min((f64::from(width) / (0.5 * characters)) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank() -> Picture {
        Picture::draw("a blank", (30, 20), |_| Ok(())).unwrap()
    }

    #[test]
    fn the_size_is_in_pixels_and_the_drawing_twice_as_fine() {
        let svg = blank().svg().to_owned();
        assert!(
            svg.starts_with("<svg width=\"30\" height=\"20\" viewBox=\"0 0 60 40\""),
            "{svg}"
        );
        assert!(svg.ends_with("</svg>"), "{svg}");
    }

    #[test]
    fn a_failed_drawing_names_the_picture_and_the_reason() {
        let error = Picture::draw("a graph", (30, 20), |_| Err("no ink".into())).unwrap_err();
        assert_eq!(error.to_string(), "drawing a graph failed: no ink");
    }

    #[test]
    fn cells_get_the_whole_svg_as_an_image() {
        let picture = blank().describe("nothing at \"all\"");
        let html = picture.html();
        let (_, data) = html.split_once("base64,").unwrap();
        let svg = STANDARD.decode(data.trim_end_matches("\">")).unwrap();
        assert_eq!(svg, picture.svg().as_bytes());
        assert!(
            html.contains("alt=\"nothing at &quot;all&quot;\""),
            "{html}"
        );
        assert_eq!(
            format!("{picture:?}"),
            "Picture(nothing at \"all\", 30 x 20)"
        );
    }

    #[test]
    fn images_lie_within_the_document() {
        let mut picture = blank();
        picture.lay_image((1, 2), (3, 4), &[0xff]);
        assert!(
            picture
                .svg()
                .ends_with("href=\"data:image/png;base64,/w==\"/>\n</svg>"),
            "{}",
            picture.svg()
        );
    }

    #[test]
    fn a_saved_picture_is_its_svg_and_a_bad_path_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.svg");
        blank().save(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), blank().svg());
        let absent = folder.path().join("absent").join("picture.svg");
        let error = blank().save(&absent).unwrap_err();
        assert!(
            matches!(&error, Error::Io { path, .. } if *path == absent),
            "{error}"
        );
    }
}
