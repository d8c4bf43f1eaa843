//! The summary table of a network.

use std::fmt;

use super::data::{Body, Network};
use super::sequential::Sequential;
use crate::text::grouped;

/// A line of the table: the index or path, the layer, the shape of its output, its parameters.
type Line = [String; 4];

/// A table with one line for each layer: its settings, output shape and number of parameters.
/// Layers within a layer are indented below it, and have the parameters.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<Line> = vec![[
            "".to_owned(),
            "Input".to_owned(),
            rows(self.input_shape()),
            "0".to_owned(),
        ]];
        match &self.body {
            Body::Program(program) => lines.extend(program.rows().iter().map(|row| {
                [
                    row.path.clone(),
                    row.class.clone(),
                    rows(&row.shape),
                    grouped(row.parameters.unsigned_abs()),
                ]
            })),
            Body::Layers(layers) => add_layers(&mut lines, layers, "", 0),
        }
        let header = ["", "Layer", "Output shape", "Parameters"].map(String::from);
        let width = |column: usize| {
            let cells = lines.iter().chain([&header]).map(|line| line[column].len());
            cells.max().unwrap_or_default()
        };
        let widths = [width(0), width(1), width(2), width(3)];
        let rule = "-".repeat(widths.iter().sum::<usize>() + 6);
        // Numbers end at the same place, paths start there.
        let paths = lines.iter().any(|line| line[0].contains('.'));
        let text = |line: &Line| {
            let [index, layer, shape, count] = line;
            let [a, b, c, d] = widths;
            match paths {
                false => format!("{index:>a$}  {layer:<b$}  {shape:<c$}  {count:>d$}"),
                true => format!("{index:<a$}  {layer:<b$}  {shape:<c$}  {count:>d$}"),
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

/// Adds a line for each layer, and below it for each layer within.
fn add_layers(lines: &mut Vec<Line>, layers: &Sequential, path: &str, depth: usize) {
    let mut input = layers.input_shape();
    for (index, (layer, shape)) in layers.layers().iter().zip(layers.shapes()).enumerate() {
        let path = format!("{path}{index}");
        let nested = layer.nested();
        let parameters: i64 = match nested.is_empty() {
            true => layer
                .parameter_shapes()
                .iter()
                .map(|shape| shape.iter().product::<i64>())
                .sum(),
            false => 0,
        };
        lines.push([
            path.clone(),
            format!("{:indent$}{layer}", "", indent = 2 * depth),
            rows(shape),
            grouped(parameters.unsigned_abs()),
        ]);
        for (name, within) in nested {
            // An empty list passes its input on.
            if let Ok(within) = Sequential::new(input, within) {
                add_layers(lines, &within, &format!("{path}.{name}."), depth + 1);
            }
        }
        input = shape;
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
    use crate::network::{CnnConfig, Combine, Conv2dConfig, Layer};

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
    fn branches_are_indented_and_have_the_parameters() {
        let conv = |channels| {
            let config = Conv2dConfig {
                padding: 1.into(),
                ..Default::default()
            };
            Layer::conv2d(4, channels, 3, config)
        };
        let block = Layer::residual(vec![conv(4), Layer::ReLU, conv(4)]);
        let branches = Layer::parallel(vec![vec![conv(2)], vec![block], vec![]], Combine::Concat);
        let layers = vec![branches, Layer::Flatten, Layer::linear(10 * 36, 3)];
        let network = Network::new(&[4, 6, 6], layers).unwrap();
        let text = network.to_string();
        let lines: Vec<&str> = text.lines().collect();
        let starts = [
            "0                        Parallel(3 branches, concatenated)",
            "0.branches.0.0             Conv2d(4, 2, kernel_size=3, stride=1, padding=1)",
            "0.branches.1.0             Residual(3 layers)",
            "0.branches.1.0.layers.0      Conv2d(4, 4, kernel_size=3, stride=1, padding=1)",
        ];
        for (line, start) in lines[3..].iter().zip(starts) {
            assert!(line.starts_with(start), "{text}");
        }
        assert_eq!(lines.last(), Some(&"1,453 parameters"), "{text}");
        assert_eq!(network.state_names()[2], "0.branches.1.0.layers.0.weight");
    }

    #[test]
    fn thousands_are_separated() {
        let texts = [0, 10, 999, 1000, 40_994, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "10", "999", "1,000", "40,994", "1,234,567"]);
    }
}
