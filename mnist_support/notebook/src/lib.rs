pub use mnist_support::*;

/// Runs when the process of the cells loads this library: Stop then stops a fit and keeps the variables.
extern "C" fn on_load() {
    // Only a kernel starts its process so that it ignores the signal; any other keeps what it does with it.
    if let Err(error) = mnist_support::interrupt::install_if_ignored() {
        eprintln!("Stop will end the cell's process: {error}");
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;
