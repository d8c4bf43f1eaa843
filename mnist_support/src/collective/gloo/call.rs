//! The header that ranks exchange before each collective call, so that mismatched calls are
//! detected.

use tch::{Kind, Tensor};

use crate::{Error, Result, collective::ReduceOp, error::CollectiveError};

/// The most dimensions that a header can describe.
const MAX_DIMS: usize = 8;

/// The length of a header.
pub(super) const HEADER: usize = 4 + MAX_DIMS;

/// A call of one of the collective's methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    AllReduce(ReduceOp),
    Broadcast { root: usize },
    Barrier,
}

impl Call {
    /// Encodes the call and the tensor's kind and shape as integers.
    pub(super) fn header(self, tensor: Option<&Tensor>) -> Result<[i64; HEADER]> {
        let (operation, detail) = match self {
            Call::AllReduce(ReduceOp::Sum) => (0, 0),
            Call::AllReduce(ReduceOp::Min) => (0, 1),
            Call::AllReduce(ReduceOp::Max) => (0, 2),
            Call::Broadcast { root } => (1, root as i64),
            Call::Barrier => (2, 0),
        };
        let mut header = [0; HEADER];
        header[0] = operation;
        header[1] = detail;
        if let Some(tensor) = tensor {
            let sizes = tensor.size();
            if sizes.len() > MAX_DIMS {
                return Err(Error::ShapeMismatch {
                    what: format!("the tensor for {}", name(&header)),
                    found: sizes,
                    expected: format!("a shape of at most {MAX_DIMS} dimensions"),
                });
            }
            header[2] = kind_number(tensor.kind());
            header[3] = sizes.len() as i64;
            header[4..4 + sizes.len()].copy_from_slice(&sizes);
        }
        Ok(header)
    }
}

/// Checks that every rank makes the same call. All ranks reach the same verdict, since each
/// compares every header with rank 0's.
pub(super) fn check_headers(headers: &[[i64; HEADER]]) -> Result<()> {
    let Some((first, others)) = headers.split_first() else {
        return Ok(());
    };
    for (rank, other) in (1..).zip(others) {
        if other[..2] != first[..2] {
            return Err(Error::Collective(CollectiveError::ExchangeAborted {
                world_size: headers.len(),
                reason: format!(
                    "rank {rank} called {} where rank 0 called {}",
                    name(other),
                    name(first)
                ),
            }));
        }
        if other != first {
            return Err(Error::ShapeMismatch {
                what: format!("the tensor that rank {rank} passed to {}", name(other)),
                found: sizes(other),
                expected: if other[2] == first[2] {
                    format!("{:?}, as rank 0's,", sizes(first))
                } else {
                    format!("{:?} of rank 0's kind", sizes(first))
                },
            });
        }
    }
    Ok(())
}

fn sizes(header: &[i64; HEADER]) -> Vec<i64> {
    let length = usize::try_from(header[3]).unwrap_or(0).min(MAX_DIMS);
    header[4..4 + length].to_vec()
}

fn name(header: &[i64; HEADER]) -> String {
    match (header[0], header[1]) {
        (0, 0) => "all_reduce(Sum)".to_owned(),
        (0, 1) => "all_reduce(Min)".to_owned(),
        (0, 2) => "all_reduce(Max)".to_owned(),
        (1, root) => format!("broadcast from rank {root}"),
        (2, _) => "barrier".to_owned(),
        (other, _) => format!("operation {other}, which this version does not know"),
    }
}

fn kind_number(kind: Kind) -> i64 {
    // The values of `c10::ScalarType`.
    match kind {
        Kind::Uint8 => 0,
        Kind::Int8 => 1,
        Kind::Int16 => 2,
        Kind::Int => 3,
        Kind::Int64 => 4,
        Kind::Half => 5,
        Kind::Float => 6,
        Kind::Double => 7,
        Kind::ComplexHalf => 8,
        Kind::ComplexFloat => 9,
        Kind::ComplexDouble => 10,
        Kind::Bool => 11,
        Kind::QInt8 => 12,
        Kind::QUInt8 => 13,
        Kind::QInt32 => 14,
        Kind::BFloat16 => 15,
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use tch::kind::{DOUBLE_CPU, FLOAT_CPU};

    use super::*;

    fn all_reduce(tensor: &Tensor) -> [i64; HEADER] {
        Call::AllReduce(ReduceOp::Sum).header(Some(tensor)).unwrap()
    }

    #[test]
    fn ranks_that_call_the_same_agree() {
        let header = all_reduce(&Tensor::zeros([2, 3], FLOAT_CPU));
        check_headers(&[header; 3]).unwrap();
    }

    #[test]
    fn another_shape_or_kind_is_named_with_its_rank() {
        let first = all_reduce(&Tensor::zeros([2, 3], FLOAT_CPU));
        let shape = all_reduce(&Tensor::zeros([3, 2], FLOAT_CPU));
        let error = check_headers(&[first, first, shape]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tensor that rank 2 passed to all_reduce(Sum) has shape [3, 2], where [2, 3], as rank \
             0's, is needed"
        );
        let kind = all_reduce(&Tensor::zeros([2, 3], DOUBLE_CPU));
        let error = check_headers(&[first, kind]).unwrap_err().to_string();
        assert!(error.contains("of rank 0's kind"), "{error}");
    }

    #[test]
    fn another_call_is_named_with_its_rank() {
        let first = Call::Broadcast { root: 1 }.header(None).unwrap();
        let other = Call::Barrier.header(None).unwrap();
        let error = check_headers(&[first, other]).unwrap_err().to_string();
        assert!(
            error.contains("rank 1 called barrier where rank 0 called broadcast from rank 1"),
            "{error}"
        );
    }
}
