//! A data frame as an HTML table.

use polars::prelude::*;

use super::content::send;
use super::html::escape;

/// The number of columns shown at the start and at the end of a frame that has more.
const FIRST_COLUMNS: usize = 6;
const LAST_COLUMNS: usize = 5;
/// The number of rows shown at the start and at the end of a frame that has more.
const FIRST_ROWS: usize = 8;
const LAST_ROWS: usize = 4;
/// The number of characters of a value that are shown.
const CHARACTERS: usize = 60;

/// Shows a value as the result of a notebook cell.
///
/// ```
/// use mnist_support::display::EvcxrDisplay;
/// use polars::prelude::*;
///
/// # fn main() -> PolarsResult<()> {
/// let frame = df!("pixel1" => [0u8, 255], "label" => [5i64, 0])?;
/// frame.evcxr_display(); // what the kernel calls for a cell that ends in `frame`
/// # Ok(())
/// # }
/// ```
pub trait EvcxrDisplay {
    /// Prints the value in the form that the evcxr kernel turns into a cell's result.
    fn evcxr_display(&self);
}

/// Shows an HTML table: names, types, the first and last rows and columns, and the shape below.
/// Front ends without HTML show polars' own text.
impl EvcxrDisplay for DataFrame {
    fn evcxr_display(&self) {
        send(&[
            ("text/html", &html_table(self)),
            ("text/plain", &self.to_string()),
        ]);
    }
}

/// Renders the table. Colours and borders are those of the page, light or dark.
fn html_table(frame: &DataFrame) -> String {
    let columns = shown(frame.width(), FIRST_COLUMNS, LAST_COLUMNS);
    let rows = shown(frame.height(), FIRST_ROWS, LAST_ROWS);
    let series: Vec<Option<&Column>> = columns
        .iter()
        .map(|index| index.and_then(|index| frame.select_at_idx(index)))
        .collect();
    let header = series
        .iter()
        .map(|column| match column {
            Some(column) => format!(
                "<th style=\"text-align:{}\">{}<br><small style=\"opacity:.6;font-weight:normal\">{}</small></th>",
                alignment(column),
                escape(column.name()),
                escape(&column.dtype().to_string())
            ),
            None => ellipsis("th"),
        })
        .collect::<String>();
    let body = rows
        .iter()
        .map(|&row| {
            let cells = series
                .iter()
                .map(|column| match (column, row) {
                    (Some(column), Some(row)) => cell(column, row),
                    _ => ellipsis("td"),
                })
                .collect::<String>();
            format!("<tr>{cells}</tr>\n")
        })
        .collect::<String>();
    format!(
        "<table class=\"dataframe\">\n<thead><tr>{header}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n\
         <p><small style=\"opacity:.6\">{}, {}</small></p>",
        counted(frame.height(), "row"),
        counted(frame.width(), "column")
    )
}

/// Returns the indices to show out of `count`, with `None` for those left out.
fn shown(count: usize, first: usize, last: usize) -> Vec<Option<usize>> {
    if count <= first + last + 1 {
        return (0..count).map(Some).collect();
    }
    let start = (0..first).map(Some);
    let end = (count - last..count).map(Some);
    start.chain([None]).chain(end).collect()
}

fn cell(column: &Column, row: usize) -> String {
    let style = format!("text-align:{}", alignment(column));
    match column.get(row) {
        Ok(AnyValue::Null) | Err(_) => format!("<td style=\"{style};opacity:.5\">null</td>"),
        Ok(value) => {
            let text = value.str_value();
            let short = match text.char_indices().nth(CHARACTERS) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text.into_owned(),
            };
            format!("<td style=\"{style}\">{}</td>", escape(&short))
        }
    }
}

fn alignment(column: &Column) -> &'static str {
    if column.dtype().is_primitive_numeric() {
        "right"
    } else {
        "left"
    }
}

fn ellipsis(tag: &str) -> String {
    format!("<{tag} style=\"text-align:center;opacity:.6\">…</{tag}>")
}

/// "1 row", "60,000 rows".
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", crate::text::grouped(count as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_frame_shows_every_value_with_its_name_and_type() {
        let frame = df!("pixel1" => [0u8, 255], "name" => ["zero", "nine"]).unwrap();
        let html = html_table(&frame);
        for part in [
            "pixel1", "u8", "name", "str", ">0<", ">255<", ">zero<", ">nine<",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(html.contains("2 rows, 2 columns"), "{html}");
        assert!(!html.contains('…'), "{html}");
        assert_eq!(html.matches("<tr>").count(), 3);
    }

    #[test]
    fn a_wide_frame_shows_its_first_and_last_columns() {
        let mut columns: Vec<Column> = (1..=784)
            .map(|pixel| Column::new(format!("pixel{pixel}").into(), [0u8, 1, 2]))
            .collect();
        columns.push(Column::new("label".into(), [5i64, 0, 4]));
        let html = html_table(&DataFrame::new(3, columns).unwrap());
        assert_eq!(
            html.matches("<th ").count(),
            FIRST_COLUMNS + 1 + LAST_COLUMNS
        );
        for part in [
            ">pixel1<",
            ">pixel6<",
            ">pixel781<",
            ">label<",
            "785 columns",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains(">pixel7<"), "{html}");
    }

    #[test]
    fn a_long_frame_shows_its_first_and_last_rows() {
        let values: Vec<i64> = (0..60_000).collect();
        let html = html_table(&df!("row" => values).unwrap());
        assert_eq!(html.matches("<tr>").count(), 1 + FIRST_ROWS + 1 + LAST_ROWS);
        assert!(html.contains(">59999<") && html.contains(">7<"), "{html}");
        assert!(!html.contains(">8<"), "{html}");
        assert!(html.contains("60,000 rows, 1 column<"), "{html}");
    }

    #[test]
    fn one_row_more_than_the_ellipsis_would_replace_is_shown_itself() {
        assert_eq!(shown(4, 2, 1), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(shown(5, 2, 1), [Some(0), Some(1), None, Some(4)]);
        assert_eq!(shown(0, 2, 1), []);
    }

    #[test]
    fn names_and_values_are_escaped_and_long_ones_cut() {
        let frame =
            df!("<b>" => ["<script>alert(1)</script>".to_owned(), "é".repeat(100)]).unwrap();
        let html = html_table(&frame);
        assert!(
            !html.contains("<script>") && !html.contains("<b>"),
            "{html}"
        );
        assert!(
            html.contains(&format!(">{}…<", "é".repeat(CHARACTERS))),
            "{html}"
        );
    }

    #[test]
    fn nulls_and_frames_without_rows_are_shown() {
        let html = html_table(&df!("a" => [None, Some(1.5f64)]).unwrap());
        assert!(html.contains(">null<") && html.contains(">1.5<"), "{html}");
        let html = html_table(&df!("a" => Vec::<i64>::new()).unwrap());
        assert!(html.contains("0 rows, 1 column"), "{html}");
    }
}
