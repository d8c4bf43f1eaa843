//! Stop in a notebook kernel: a fit keeps the variables, other code ends at the second press.

#[path = "common/kernel.rs"]
mod kernel;

use std::process::Command;

#[test]
fn stop_keeps_the_variables_of_a_fit_and_ends_other_code_at_the_second_press() {
    if let Some(path) = kernel::missing() {
        let why = format!("{} is missing, `make setup` makes it", path.display());
        return kernel::leave_out("Stop in a notebook's kernel", &why);
    }
    let root = kernel::root();
    kernel::run(
        Command::new(kernel::python())
            .arg(root.join("mnist_support/tests/kernel_stop.py"))
            .arg(root.join("mnist_support/notebook"))
            .current_dir(root.join("notebooks"))
            .env("JUPYTER_PATH", root.join(".tools/share/jupyter")),
    );
}
