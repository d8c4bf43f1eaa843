//! One test suite for every collective: what [`Collective`] promises, whatever connects the ranks.

use tch::{Kind, Tensor};

use super::{Collective, ReduceOp};
use crate::{Error, Result, error::CollectiveError};

/// Values whose sum depends on the order of its terms.
pub(super) fn awkward(rank: usize, length: usize) -> Tensor {
    let values: Vec<f32> = (0..length)
        .map(|index| {
            let number = (index * 7 + rank * 13) as f32;
            (number * 0.7).sin() * 10_f32.powi((index + 3 * rank) as i32 % 13 - 6)
        })
        .collect();
    Tensor::from_slice(&values)
}

pub(super) fn bits(tensor: &Tensor) -> Vec<i32> {
    Vec::try_from(tensor.view_dtype(Kind::Int)).unwrap()
}

/// Creates one rank's handle. It is called on the rank's own thread.
///
/// The suite takes a function that returns one of these for each rank, in rank order.
pub(super) type Start<C> = Box<dyn FnOnce() -> C + Send>;

/// Runs `program` in `world_size` ranks, each on its own thread, and returns the results by rank.
pub(super) fn run<C: Collective, T: Send>(
    group: &impl Fn(usize) -> Vec<Start<C>>,
    world_size: usize,
    program: impl Fn(C) -> T + Sync,
) -> Vec<T> {
    std::thread::scope(|scope| {
        let ranks: Vec<_> = group(world_size)
            .into_iter()
            .map(|start| scope.spawn(|| program(start())))
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

pub(super) fn all_reduce_gives_every_rank_the_same_sum_minimum_and_maximum<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    for world_size in [1, 2, 3, 5] {
        let last = world_size as f64 - 1.0;
        for results in run(&group, world_size, |collective| {
            let mut results = Vec::new();
            for kind in [Kind::Float, Kind::Double, Kind::Int, Kind::Int64] {
                for operation in [ReduceOp::Sum, ReduceOp::Min, ReduceOp::Max] {
                    let mut tensor =
                        Tensor::full([2, 3], collective.rank() as f64, (kind, tch::Device::Cpu));
                    collective.all_reduce(&mut tensor, operation).unwrap();
                    assert_eq!((tensor.size(), tensor.kind()), (vec![2, 3], kind));
                    results.push((operation, Vec::<f64>::try_from(tensor.view([-1])).unwrap()));
                }
            }
            results
        }) {
            for (operation, values) in results {
                let expected = match operation {
                    ReduceOp::Sum => (0..world_size).sum::<usize>() as f64,
                    ReduceOp::Min => 0.0,
                    ReduceOp::Max => last,
                };
                assert_eq!(values, [expected; 6], "{operation:?} of {world_size}");
            }
        }
    }
}

pub(super) fn sums_are_added_in_the_order_of_the_ranks<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    for world_size in [2, 3, 4] {
        // Fewer values than ranks, odd numbers, the size of a small network's gradient, and more.
        for length in [0, 1, 3, 1001, 41_000, 300_001] {
            let mut expected = awkward(0, length);
            for rank in 1..world_size {
                expected += awkward(rank, length);
            }
            for result in run(&group, world_size, |collective| {
                let mut tensor = awkward(collective.rank(), length);
                collective.all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
                bits(&tensor)
            }) {
                assert!(
                    result == bits(&expected),
                    "{length} floats of {world_size} ranks"
                );
            }
        }
    }
}

pub(super) fn nan_is_the_minimum_and_maximum<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    for result in run(&group, 3, |collective| {
        let mut tensors = [ReduceOp::Min, ReduceOp::Max].map(|operation| {
            let value = if collective.rank() == 1 {
                f32::NAN
            } else {
                1.0
            };
            let mut tensor = Tensor::from_slice(&[value, 2.0]);
            collective.all_reduce(&mut tensor, operation).unwrap();
            tensor
        });
        tensors.each_mut().map(|tensor| {
            let values = Vec::<f32>::try_from(&*tensor).unwrap();
            values[0].is_nan() && values[1] == 2.0
        })
    }) {
        assert_eq!(result, [true, true]);
    }
}

pub(super) fn a_part_of_a_transposed_tensor_is_reduced_in_place<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    for result in run(&group, 3, |collective| {
        let whole = Tensor::ones([2, 2], tch::kind::FLOAT_CPU);
        let mut column = whole.transpose(0, 1).narrow(0, 1, 1);
        collective.all_reduce(&mut column, ReduceOp::Sum).unwrap();
        collective.broadcast(&mut column, 1).unwrap();
        Vec::<f32>::try_from(whole.view([-1])).unwrap()
    }) {
        assert_eq!(result, [1.0, 3.0, 1.0, 3.0]);
    }
}

pub(super) fn many_exchanges_in_a_row_do_not_mix<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    for result in run(&group, 4, |collective| {
        (0..500).all(|round| {
            let mut tensor = Tensor::from_slice(&[(collective.rank() * round) as f32]);
            collective.all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
            tensor.double_value(&[0]) == (6 * round) as f64
        })
    }) {
        assert!(result);
    }
}

pub(super) fn broadcast_sends_the_roots_tensor<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    for result in run(&group, 3, |collective| {
        [0, 2].map(|root| {
            let mut tensor = Tensor::from_slice(&[collective.rank() as i64, 7]);
            collective.broadcast(&mut tensor, root).unwrap();
            Vec::<i64>::try_from(tensor).unwrap()
        })
    }) {
        assert_eq!(result, [[0, 7], [2, 7]]);
    }
}

pub(super) fn bytes_of_different_lengths_are_gathered_in_the_order_of_the_ranks<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    for world_size in [1, 3] {
        let expected: Vec<Vec<u8>> = (0..world_size).map(|rank| vec![200; 5 * rank]).collect();
        for gathered in run(&group, world_size, |collective| {
            super::all_gather(&vec![200; 5 * collective.rank()], &collective).unwrap()
        }) {
            assert_eq!(gathered, expected);
        }
    }
}

pub(super) fn a_root_outside_the_group_is_an_error<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    for result in run(&group, 2, |collective| {
        collective.broadcast(&mut Tensor::from(0.0), 2)
    }) {
        assert!(matches!(
            result,
            Err(Error::InvalidSetting {
                setting: "root",
                ..
            })
        ));
    }
}

pub(super) fn no_rank_passes_a_barrier_before_all_have_arrived<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let arrived = AtomicUsize::new(0);
    for seen in run(&group, 3, |collective| {
        std::thread::sleep(std::time::Duration::from_millis(
            30 * collective.rank() as u64,
        ));
        arrived.fetch_add(1, Ordering::SeqCst);
        collective.barrier().unwrap();
        arrived.load(Ordering::SeqCst)
    }) {
        assert_eq!(seen, 3);
    }
}

pub(super) fn a_rank_that_leaves_ends_the_others_exchange_with_an_error<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    let results: Vec<Result<()>> = run(&group, 3, |collective| {
        if collective.rank() == 1 {
            return Ok(());
        }
        collective.all_reduce(&mut Tensor::from(1.0), ReduceOp::Sum)
    });
    assert!(results[1].is_ok());
    for rank in [0, 2] {
        let error = results[rank].as_ref().unwrap_err();
        assert!(
            matches!(
                error,
                Error::Collective(CollectiveError::ExchangeAborted { .. })
            ),
            "{error}"
        );
        assert!(error.to_string().contains("is gone"), "{error}");
    }
}

pub(super) fn a_rank_that_failed_keeps_failing<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    let results = run(&group, 2, |collective| {
        (collective.rank() == 1).then(|| [collective.barrier(), collective.barrier()])
    });
    assert!(results[1].is_some());
    for result in results.into_iter().flatten().flatten() {
        assert!(matches!(
            result,
            Err(Error::Collective(CollectiveError::ExchangeAborted { .. }))
        ));
    }
}

pub(super) fn a_rank_that_panics_does_not_leave_the_others_waiting<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    let results = run(&group, 2, |collective| {
        if collective.rank() == 1 {
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _end = collective;
                panic!("on purpose");
            }));
            assert!(panicked.is_err());
            return None;
        }
        Some(collective.barrier())
    });
    assert!(matches!(
        results[0],
        Some(Err(Error::Collective(
            CollectiveError::ExchangeAborted { .. }
        )))
    ));
}

pub(super) fn mismatched_shapes_are_an_error_in_every_rank<C: Collective>(
    group: impl Fn(usize) -> Vec<Start<C>>,
) {
    for result in run(&group, 3, |collective| {
        let mut tensor = Tensor::zeros([collective.rank() as i64 + 1], tch::kind::FLOAT_CPU);
        let failed = collective.all_reduce(&mut tensor, ReduceOp::Sum);
        // Nothing was exchanged: the ranks are still in sync.
        collective.barrier().unwrap();
        failed
    }) {
        assert!(matches!(result, Err(Error::ShapeMismatch { .. })));
    }
}

/// Generates a test from each function of the suite, in the calling module.
macro_rules! suite {
    ($group:expr) => {
        $crate::collective::suite::suite!($group;
            all_reduce_gives_every_rank_the_same_sum_minimum_and_maximum,
            sums_are_added_in_the_order_of_the_ranks,
            nan_is_the_minimum_and_maximum,
            a_part_of_a_transposed_tensor_is_reduced_in_place,
            many_exchanges_in_a_row_do_not_mix,
            broadcast_sends_the_roots_tensor,
            bytes_of_different_lengths_are_gathered_in_the_order_of_the_ranks,
            a_root_outside_the_group_is_an_error,
            no_rank_passes_a_barrier_before_all_have_arrived,
            a_rank_that_leaves_ends_the_others_exchange_with_an_error,
            a_rank_that_failed_keeps_failing,
            a_rank_that_panics_does_not_leave_the_others_waiting,
            mismatched_shapes_are_an_error_in_every_rank,
        );
    };
    ($group:expr; $($name:ident,)+) => {
        $(
            #[test]
            fn $name() {
                $crate::collective::suite::$name($group);
            }
        )+
    };
}
pub(super) use suite;
