pub use mnist_support::*;

/// Runs when the cells' process loads this library, so that Stop ends a fit and keeps variables.
extern "C" fn on_load() {
    // Only a kernel starts its process with the signal ignored. Others keep their own handling.
    if let Err(error) = mnist_support::interrupt::install_if_ignored() {
        eprintln!("Stop will end the cell's process: {error}");
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;
