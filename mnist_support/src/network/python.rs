//! A network as a PyTorch module.

use super::data::{Body, Network};
use super::layers::{Layer, RecurrentOutput};

const RESIDUAL: &str = r#"
class Residual(nn.Module):
    def __init__(self, layers, shortcut):
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x):
        return self.layers(x) + self.shortcut(x)
"#;

const PARALLEL: &str = r#"
class Parallel(nn.Module):
    def __init__(self, branches, combine):
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*branch) for branch in branches)
        self.combine = combine

    def forward(self, x):
        outputs = [branch(x) for branch in self.branches]
        return torch.cat(outputs, 1) if self.combine == "concat" else sum(outputs)
"#;

impl Network {
    /// Prints the network as a Python program: the PyTorch module, and the lines that load its
    /// weights from `model.safetensors`, which [`write_safetensors`](super::write_safetensors)
    /// writes.
    ///
    /// ```
    /// use mnist_support::{Layer, Network};
    ///
    /// let network = Network::new(&[2], vec![Layer::linear(2, 16), Layer::ReLU])?;
    /// let program = network.to_python();
    /// assert!(program.contains("    nn.Linear(in_features=2, out_features=16),"));
    /// assert!(program.contains("load_state_dict(load_file(\"model.safetensors\"))"));
    /// # Ok::<(), mnist_support::Error>(())
    /// ```
    ///
    /// For an exported program, it prints the lines that load `model.pt2`, which
    /// [`Network::to_pt2`] writes.
    pub fn to_python(&self) -> String {
        let layers = match &self.body {
            Body::Layers(layers) => layers.layers(),
            Body::Program(_) => {
                return "import torch\n\nnetwork = torch.export.load(\"model.pt2\").module()\n"
                    .to_owned();
            }
        };
        let mut classes = Vec::new();
        let mut body = String::new();
        for layer in layers {
            body += &format!("    {},\n", expression(layer, 1, &mut classes));
        }
        let sizes: Vec<String> = self.input_shape().iter().map(i64::to_string).collect();
        let mut program =
            "import torch\nfrom safetensors.torch import load_file\nfrom torch import nn\n\n"
                .to_owned();
        for class in classes {
            program += &class;
            program += "\n";
        }
        program += &format!(
            "\n# The input has the shape [rows, {}].\nnetwork = nn.Sequential(\n{body})\n\
             network.load_state_dict(load_file(\"model.safetensors\"))\nnetwork.eval()\n",
            sizes.join(", ")
        );
        program
    }
}

/// The expression that makes a layer. Adds the classes that it needs.
fn expression(layer: &Layer, depth: usize, classes: &mut Vec<String>) -> String {
    let mut list = |layers: &[Layer]| {
        if layers.is_empty() {
            return "[]".to_owned();
        }
        let indent = "    ".repeat(depth + 2);
        let layers = layers.iter();
        let lines: String = layers
            .map(|layer| format!("{indent}{},\n", expression(layer, depth + 2, classes)))
            .collect();
        format!("[\n{lines}{}]", "    ".repeat(depth + 1))
    };
    let (outer, inner) = ("    ".repeat(depth), "    ".repeat(depth + 1));
    match layer {
        Layer::Residual { layers, shortcut } => {
            let (layers, shortcut) = (list(layers), list(shortcut));
            add(classes, RESIDUAL.to_owned());
            format!("Residual(\n{inner}{layers},\n{inner}{shortcut},\n{outer})")
        }
        Layer::Parallel { branches, combine } => {
            let branches: Vec<String> = branches.iter().map(|branch| list(branch)).collect();
            add(classes, PARALLEL.to_owned());
            let combine = serde_json::to_string(combine).expect("a name is text");
            format!(
                "Parallel(\n{inner}[{}],\n{inner}{combine},\n{outer})",
                branches.join(", ")
            )
        }
        Layer::LSTM { output, .. } | Layer::GRU { output, .. } => {
            let (name, class) = recurrent(layer.kind(), *output);
            add(classes, class);
            layer.to_string().replacen(layer.kind(), &name, 1)
        }
        layer => format!("nn.{layer}"),
    }
}

fn add(classes: &mut Vec<String>, class: String) {
    if !classes.contains(&class) {
        classes.push(class);
    }
}

/// A subclass of a recurrent module that returns what the layer passes on: its name and its code.
fn recurrent(kind: &str, output: RecurrentOutput) -> (String, String) {
    let hidden = if kind == "LSTM" {
        "(hidden, _)"
    } else {
        "hidden"
    };
    let (name, result) = match output {
        RecurrentOutput::All => (format!("All{kind}"), "outputs".to_owned()),
        RecurrentOutput::Last => (
            format!("Last{kind}"),
            "torch.cat(list(hidden[-2 if self.bidirectional else -1 :]), 1)".to_owned(),
        ),
    };
    let class = format!(
        "\nclass {name}(nn.{kind}):\n    def forward(self, x):\n        \
         outputs, {hidden} = super().forward(x)\n        return {result}\n"
    );
    (name, class)
}
