//! The output of notebook cells: data frames as tables, and pictures.
//!
//! The evcxr kernel shows the last expression of a cell by calling its method `evcxr_display`. A
//! [`Picture`] has that method itself. For polars' `DataFrame`, the trait [`EvcxrDisplay`] provides
//! it, and the notebook has to import that.

mod axis;
mod confusion;
mod content;
mod curves;
mod digits;
mod html;
mod picture;
mod png;
mod table;
mod ticks;

pub use confusion::confusion_matrix;
pub use curves::loss_curves;
pub use digits::{misread_digits, reconstructed_digits, sample_digits};
pub use picture::Picture;
pub use table::EvcxrDisplay;
