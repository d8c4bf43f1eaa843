//! The summary table of a network.

use std::fmt;

use super::data::{Body, Network};
use crate::text::grouped;

/// A table with one line for each layer: its settings, output shape and number of parameters.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![[
            "".to_owned(),
            "Input".to_owned(),
            rows(self.input_shape()),
            "0".to_owned(),
        ]];
        if let Body::Program(program) = &self.body {
            lines.extend(program.rows().iter().map(|row| {
                [
                    row.path.clone(),
                    row.class.clone(),
                    rows(&row.shape),
                    grouped(row.parameters.unsigned_abs()),
                ]
            }));
        }
        for (index, (layer, shape)) in self.layers().iter().zip(self.shapes()).enumerate() {
            let parameters = layer.parameter_shapes();
            let count: i64 = parameters
                .iter()
                .map(|shape| shape.iter().product::<i64>())
                .sum();
            lines.push([
                index.to_string(),
                layer.to_string(),
                rows(shape),
                grouped(count.unsigned_abs()),
            ]);
        }
        let header = ["", "Layer", "Output shape", "Parameters"].map(String::from);
        let width = |column: usize| {
            let cells = lines.iter().chain([&header]).map(|line| line[column].len());
            cells.max().unwrap_or_default()
        };
        let widths = [width(0), width(1), width(2), width(3)];
        let rule = "-".repeat(widths.iter().sum::<usize>() + 6);
        let text = |line: &[String; 4]| {
            let [index, layer, shape, count] = line;
            let [a, b, c, d] = widths;
            match self.body {
                Body::Layers(_) => format!("{index:>a$}  {layer:<b$}  {shape:<c$}  {count:>d$}"),
                Body::Program(_) => format!("{index:<a$}  {layer:<b$}  {shape:<c$}  {count:>d$}"),
            }
        };
        writeln!(f, "{}\n{rule}", text(&header))?;
        for line in &lines {
            writeln!(f, "{}", text(line))?;
        }
        writeln!(f, "{rule}")?;
        write!(
            f,
            "{} parameters",
            grouped(self.num_parameters().unsigned_abs())
        )
    }
}

fn rows(shape: &[i64]) -> String {
    if shape.is_empty() {
        return String::new();
    }
    let sizes: Vec<String> = shape.iter().map(i64::to_string).collect();
    format!("[rows, {}]", sizes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{CnnConfig, Layer};

    #[test]
    fn a_network_prints_as_a_table_of_its_layers() {
        let layers = vec![Layer::Flatten, Layer::linear(784, 1000), Layer::ReLU];
        let network = Network::new(&[1, 28, 28], layers).unwrap();
        let expected = "\
   Layer                                         Output shape         Parameters
--------------------------------------------------------------------------------
   Input                                         [rows, 1, 28, 28]             0
0  Flatten()                                     [rows, 784]                   0
1  Linear(in_features=784, out_features=1000)    [rows, 1000]            785,000
2  ReLU()                                        [rows, 1000]                  0
--------------------------------------------------------------------------------
785,000 parameters";
        let squeezed = |text: &str| -> Vec<Vec<String>> {
            let words = |line: &str| line.split_whitespace().map(String::from).collect();
            text.lines()
                .filter(|line| !line.starts_with("--"))
                .map(words)
                .collect()
        };
        assert_eq!(squeezed(&network.to_string()), squeezed(expected));
    }

    #[test]
    fn all_lines_of_the_table_have_the_same_length() {
        let text = CnnConfig::default().network().unwrap().to_string();
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.pop(), Some("40,994 parameters"));
        assert!(
            lines.iter().all(|line| line.len() == lines[0].len()),
            "{text}"
        );
    }

    #[test]
    fn thousands_are_separated() {
        let texts = [0, 10, 999, 1000, 40_994, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "10", "999", "1,000", "40,994", "1,234,567"]);
    }
}
