//! The accuracy of predictions.

use crate::{Error, Result};

/// Returns the fraction of predictions that equal their label, like scikit-learn's function of the
/// same name.
///
/// ```
/// use mnist_support::evaluate::accuracy_score;
///
/// assert_eq!(accuracy_score(&[7, 2, 1, 0], &[7, 2, 1, 6])?, 0.75);
/// # Ok::<(), mnist_support::Error>(())
/// ```
///
/// # Errors
/// [`Error::ShapeMismatch`] if there are no labels, or the numbers of labels and predictions
/// differ.
pub fn accuracy_score(labels: &[i64], predictions: &[i64]) -> Result<f64> {
    check_lengths(labels, predictions)?;
    let right = labels
        .iter()
        .zip(predictions)
        .filter(|(label, prediction)| label == prediction);
    Ok(right.count() as f64 / labels.len() as f64)
}

/// Checks that there is at least one label, and one prediction for each.
pub(super) fn check_lengths(labels: &[i64], predictions: &[i64]) -> Result<()> {
    if labels.is_empty() {
        return Err(Error::ShapeMismatch {
            what: "the list of labels".to_owned(),
            found: vec![0],
            expected: "at least one label".to_owned(),
        });
    }
    if labels.len() != predictions.len() {
        return Err(Error::ShapeMismatch {
            what: "the list of predictions".to_owned(),
            found: vec![predictions.len() as i64],
            expected: format!("one prediction for each of the {} labels", labels.len()),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_the_share_of_right_predictions() {
        assert_eq!(accuracy_score(&[1, 2, 3, 4], &[1, 2, 3, 4]).unwrap(), 1.0);
        assert_eq!(accuracy_score(&[1, 2, 3, 4], &[4, 3, 2, 1]).unwrap(), 0.0);
        assert_eq!(
            accuracy_score(&[0, 0, 0, 1, 1], &[0, 0, 1, 1, 0]).unwrap(),
            0.6
        );
    }

    #[test]
    fn no_labels_and_lists_of_unequal_length_are_refused() {
        let empty = accuracy_score(&[], &[]).unwrap_err();
        assert!(matches!(empty, Error::ShapeMismatch { .. }), "{empty}");
        let unequal = accuracy_score(&[1, 2], &[1]).unwrap_err().to_string();
        assert!(
            unequal.contains("[1]") && unequal.contains("2 labels"),
            "{unequal}"
        );
    }
}
