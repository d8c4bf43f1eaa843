//! A constant learning rate.

use super::rule::{Moment, Schedule};
use crate::Result;

pub(super) struct Constant;

impl Schedule for Constant {
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    fn learning_rate(&self, moment: &Moment) -> f64 {
        moment.initial
    }
}
