//! Formats the rows as a table.

use crate::results::Entry;

/// Returns the rows as a table, with their notes below.
pub(crate) fn table(rows: &[Entry]) -> String {
    let mut lines = vec![["row", "ours", "theirs", "ratio", "must be", ""].map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        [
            row.name.clone(),
            amount(row.ours, &row.unit),
            amount(row.peer, &row.unit),
            format!(
                "{} ({} to {})",
                ratio(row.ratio),
                ratio(row.ratio_range[0]),
                ratio(row.ratio_range[1])
            ),
            row.target.map_or_else(String::new, ratio),
            match row.reached {
                None => "",
                Some(true) => "reached",
                Some(false) => "missed",
            }
            .to_owned(),
        ]
    }));
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text.push('\n');
    for row in rows {
        text += &format!(
            "{}: {} pairs against {}; other processes took at most {:.2} of a core",
            row.name, row.runs, row.against, row.other_load
        );
        for note in &row.notes {
            text += &format!("; {note}");
        }
        text.push('\n');
    }
    text
}

/// Formats a value with its unit: `27,300 images/s`, `3.42 s`.
pub(crate) fn amount(value: f64, unit: &str) -> String {
    if value < 100.0 {
        return format!("{value:.2} {unit}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {unit}")
}

fn ratio(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.2}")
    } else {
        format!("{ratio:.1}")
    }
}
