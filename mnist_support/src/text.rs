//! Formatting numbers for people.

/// Formats a count with thousands separators: 60,000.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Lists the columns of a table, shortened in the middle if there are many.
pub(crate) fn columns<S: AsRef<str>>(names: &[S]) -> String {
    match names {
        [] => "no columns".to_owned(),
        names if names.len() <= 8 => {
            let quoted: Vec<String> = names
                .iter()
                .map(|name| format!("{:?}", name.as_ref()))
                .collect();
            quoted.join(", ")
        }
        [first, second, .., last] => format!(
            "{} columns: {:?}, {:?}, ..., {:?}",
            names.len(),
            first.as_ref(),
            second.as_ref(),
            last.as_ref()
        ),
        [..] => format!("{} columns", names.len()),
    }
}

/// Formats a number of bytes in the largest unit that fits: 110 MB. Below 10 MB, GB or TB it has
/// one decimal: 1.2 GB.
pub(crate) fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count as f64, "bytes");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    if value < 9.95 && unit != "bytes" && unit != "kB" {
        let tenths = format!("{value:.1}");
        return format!("{} {unit}", tenths.trim_end_matches(".0"));
    }
    format!("{value:.0} {unit}")
}

/// Formats the time left, no more precisely than an estimate can be: 7 s left, 45 s left, 12 min
/// left.
pub(crate) fn time_left(seconds: f64) -> String {
    let minutes = seconds / 60.0;
    if seconds < 1.0 {
        "1 s left".to_owned()
    } else if seconds < 60.0 {
        format!("{seconds:.0} s left")
    } else if seconds < 117.5 {
        format!("{:.0} s left", (seconds / 5.0).round() * 5.0)
    } else if minutes < 99.5 {
        format!("{minutes:.0} min left")
    } else {
        format!("{:.0} h left", minutes / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_counts_have_a_readable_unit() {
        let written = [
            0,
            999,
            15_400,
            999_700,
            1_234_567,
            109_640_239,
            9_960_000_000,
        ]
        .map(bytes);
        let expected = [
            "0 bytes",
            "999 bytes",
            "15 kB",
            "1 MB",
            "1.2 MB",
            "110 MB",
            "10 GB",
        ];
        assert_eq!(written, expected);
    }

    #[test]
    fn the_time_left_is_no_more_precise_than_an_estimate_can_be() {
        let written = [0.2, 6.8, 42.0, 59.9, 83.0, 119.0, 700.0, 5950.0, 9000.0].map(time_left);
        let expected = [
            "1 s left",
            "7 s left",
            "42 s left",
            "60 s left",
            "85 s left",
            "2 min left",
            "12 min left",
            "99 min left",
            "2 h left",
        ];
        assert_eq!(written, expected);
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(60_000), "60,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
