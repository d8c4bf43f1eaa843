//! The bridge to `native/program`, which runs a graph of ATen operators.

use std::{
    ffi::{CString, c_char},
    fmt, ptr,
};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::native::check;

#[repr(C)]
struct Handle {
    _opaque: [u8; 0],
}

/// `mnist_value` in program.h.
#[repr(C)]
struct RawValue {
    kind: i32,
    integer: i64,
    number: f64,
    text: *const c_char,
    items: *const RawValue,
    length: usize,
}

unsafe extern "C" {
    fn mnist_program_new(slots: usize, inputs: usize, program: *mut *mut Handle) -> *mut c_char;
    fn mnist_program_free(program: *mut Handle);
    fn mnist_program_constant(
        program: *mut Handle,
        slot: usize,
        value: *const C_tensor,
    ) -> *mut c_char;
    fn mnist_program_add(
        program: *mut Handle,
        name: *const c_char,
        overload: *const c_char,
        argument_names: *const *const c_char,
        arguments: *const RawValue,
        argument_count: usize,
        outputs: *const i64,
        output_count: usize,
        list: bool,
    ) -> *mut c_char;
    fn mnist_program_finish(
        program: *mut Handle,
        output: usize,
        sources: *const usize,
        targets: *const usize,
        mutation_count: usize,
    ) -> *mut c_char;
    fn mnist_program_input(
        program: *const Handle,
        slot: usize,
        used: *mut bool,
        changed: *mut bool,
        counted: *mut bool,
    );
    fn mnist_program_modes(program: *const Handle, training: *mut usize, evaluation: *mut usize);
    fn mnist_program_run(
        program: *const Handle,
        inputs: *const *const C_tensor,
        input_count: usize,
        training: bool,
        seed: u64,
        output: *mut *mut C_tensor,
        failed: *mut i64,
    ) -> *mut c_char;
}

/// An argument of an operator. Enums, such as dtypes, are integers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    /// The value of a slot.
    Slot(usize),
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    List(Vec<Value>),
    /// The device that the program runs on, wherever it was exported.
    Device,
}

/// The results of an operator: the slots that they are written to. `None` is one that nobody uses.
pub(super) enum Outputs {
    Values(Vec<Option<usize>>),
    /// The elements of a list, which is the operator's one result.
    List(Vec<usize>),
}

/// How a program treats one of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Treatment {
    /// Whether an operator reads it.
    pub(super) used: bool,
    pub(super) change: Change,
}

/// How training changes an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// By adding a constant, and in no other way.
    Counted,
    Other,
}

/// A graph that libtorch can run.
pub(super) struct Graph {
    handle: *mut Handle,
}

// SAFETY: a graph is changed by methods that take `&mut self` alone. A run reads it, and has all
// its values on its own stack; libtorch's tensors and schemas are counted atomically.
unsafe impl Send for Graph {}
unsafe impl Sync for Graph {}

impl Graph {
    /// A graph without operators. Its first `inputs` slots are its inputs.
    pub(super) fn new(slots: usize, inputs: usize) -> Result<Self, String> {
        let mut handle = ptr::null_mut();
        // SAFETY: `handle` is set whenever the call returns null.
        check(unsafe { mnist_program_new(slots, inputs, &mut handle) })?;
        Ok(Graph { handle })
    }

    /// Gives an input a value that never changes.
    pub(super) fn constant(&mut self, slot: usize, value: &Tensor) -> Result<(), String> {
        // SAFETY: the call takes its own reference to the tensor.
        check(unsafe { mnist_program_constant(self.handle, slot, value.as_ptr()) })
    }

    /// Appends a call of an operator. Slots that it names must be below the graph's.
    pub(super) fn add(
        &mut self,
        name: &str,
        overload: &str,
        arguments: &[(&str, Value)],
        outputs: &Outputs,
    ) -> Result<(), String> {
        let text = |text: &str| CString::new(text).map_err(|_| "a name has a zero byte".to_owned());
        let (name, overload) = (text(name)?, text(overload)?);
        let names = arguments.iter().map(|(name, _)| text(name));
        let names = names.collect::<Result<Vec<CString>, _>>()?;
        let name_pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let mut lists = Vec::new();
        let values: Vec<RawValue> = arguments
            .iter()
            .map(|(_, value)| raw(value, &mut lists))
            .collect();
        let (outputs, list): (Vec<i64>, bool) = match outputs {
            Outputs::Values(slots) => {
                let slots = slots.iter();
                let slots = slots.map(|slot| slot.map_or(-1, |slot| slot as i64));
                (slots.collect(), false)
            }
            Outputs::List(slots) => (slots.iter().map(|&slot| slot as i64).collect(), true),
        };
        // SAFETY: everything that the pointers point to lives until after the call, which copies
        // what it keeps.
        check(unsafe {
            mnist_program_add(
                self.handle,
                name.as_ptr(),
                overload.as_ptr(),
                name_pointers.as_ptr(),
                values.as_ptr(),
                values.len(),
                outputs.as_ptr(),
                outputs.len(),
                list,
            )
        })
    }

    /// Completes the graph. In training, each of the `mutations` is the slot of a value that is
    /// copied to an input's slot at the end.
    pub(super) fn finish(
        &mut self,
        output: usize,
        mutations: &[(usize, usize)],
    ) -> Result<(), String> {
        let (sources, targets): (Vec<usize>, Vec<usize>) = mutations.iter().copied().unzip();
        // SAFETY: both lists live until after the call, and have the length that it is told.
        check(unsafe {
            mnist_program_finish(
                self.handle,
                output,
                sources.as_ptr(),
                targets.as_ptr(),
                mutations.len(),
            )
        })
    }

    /// How the graph treats the input in `slot`.
    pub(super) fn treatment(&self, slot: usize) -> Treatment {
        let [mut used, mut changed, mut counted] = [false; 3];
        // SAFETY: the call writes three values; `slot` is an input's.
        unsafe {
            mnist_program_input(self.handle, slot, &mut used, &mut changed, &mut counted);
        }
        let change = match (changed, counted) {
            (false, _) => Change::None,
            (true, true) => Change::Counted,
            (true, false) => Change::Other,
        };
        Treatment { used, change }
    }

    /// The number of operators that know training from evaluation, and were exported in training,
    /// and in evaluation.
    pub(super) fn modes(&self) -> (usize, usize) {
        let [mut training, mut evaluation] = [0; 2];
        // SAFETY: the call writes two values.
        unsafe { mnist_program_modes(self.handle, &mut training, &mut evaluation) };
        (training, evaluation)
    }

    /// Runs the graph on the inputs that are not constant. Random numbers depend on `seed` alone.
    ///
    /// # Errors
    /// The index of the operator that failed, if it was one, and libtorch's message.
    pub(super) fn run(
        &self,
        inputs: &[&Tensor],
        training: bool,
        seed: u64,
    ) -> Result<Tensor, (Option<usize>, String)> {
        let inputs: Vec<*const C_tensor> = inputs.iter().map(|input| input.as_ptr()).collect();
        let (mut output, mut failed) = (ptr::null_mut(), -1);
        // SAFETY: the inputs are borrowed for longer than the call. `output` is set whenever the
        // call returns null.
        let message = unsafe {
            mnist_program_run(
                self.handle,
                inputs.as_ptr(),
                inputs.len(),
                training,
                seed,
                &mut output,
                &mut failed,
            )
        };
        check(message).map_err(|message| (usize::try_from(failed).ok(), message))?;
        // SAFETY: a new tensor that nothing else frees.
        Ok(unsafe { Tensor::from_ptr(output) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the handle came from `mnist_program_new`, and is freed once.
        unsafe { mnist_program_free(self.handle) };
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Graph")
    }
}

/// Converts a value. What it points to is in `lists`, or in the value itself.
fn raw(value: &Value, lists: &mut Vec<Vec<RawValue>>) -> RawValue {
    let mut raw_value = RawValue {
        kind: 0,
        integer: 0,
        number: 0.0,
        text: ptr::null(),
        items: ptr::null(),
        length: 0,
    };
    raw_value.kind = match value {
        Value::None => 0,
        Value::Slot(slot) => {
            raw_value.integer = *slot as i64;
            1
        }
        Value::Int(integer) => {
            raw_value.integer = *integer;
            2
        }
        Value::Float(number) => {
            raw_value.number = *number;
            3
        }
        Value::Bool(truth) => {
            raw_value.integer = i64::from(*truth);
            4
        }
        Value::Text(text) => {
            raw_value.text = text.as_ptr().cast();
            raw_value.length = text.len();
            5
        }
        Value::List(items) => {
            let items: Vec<RawValue> = items.iter().map(|item| raw(item, lists)).collect();
            // The vector may move, its elements stay where they are.
            raw_value.items = items.as_ptr();
            raw_value.length = items.len();
            lists.push(items);
            6
        }
        Value::Device => 7,
    };
    raw_value
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn int(value: i64) -> Value {
        Value::Int(value)
    }

    /// The result of Python's function on these numbers.
    fn number(function: &str, arguments: &[Value]) -> Result<f64, String> {
        let mut graph = Graph::new(3, 1)?;
        let arguments: Vec<(&str, Value)> =
            arguments.iter().map(|value| ("a", value.clone())).collect();
        graph.add(function, "", &arguments, &Outputs::Values(vec![Some(1)]))?;
        let sum = [("self", Value::Slot(0)), ("other", Value::Slot(1))];
        graph.add("aten::add", "Tensor", &sum, &Outputs::Values(vec![Some(2)]))?;
        graph.finish(2, &[])?;
        let zero = Tensor::zeros([1], (Kind::Double, Device::Cpu));
        let output = graph
            .run(&[&zero], false, 0)
            .map_err(|(_, message)| message)?;
        Ok(output.double_value(&[0]))
    }

    #[test]
    fn numbers_are_computed_as_in_python() {
        let cases = [
            ("_operator.floordiv", [int(-7), int(2)], -4.0),
            ("_operator.mod", [int(-7), int(2)], 1.0),
            ("_operator.mod", [int(7), int(-2)], -1.0),
            ("_operator.floordiv", [int(7), Value::Float(2.0)], 3.0),
            ("_operator.truediv", [int(7), int(2)], 3.5),
            ("_operator.pow", [int(-2), int(5)], -32.0),
            ("_operator.pow", [int(2), int(-1)], 0.5),
            ("_operator.pow", [int(0), int(0)], 1.0),
            ("torch.sym_max", [int(3), int(5)], 5.0),
        ];
        for (function, arguments, expected) in cases {
            assert_eq!(
                number(function, &arguments).unwrap(),
                expected,
                "{function} {arguments:?}"
            );
        }
    }

    #[test]
    fn numbers_that_cannot_be_computed_are_errors() {
        let (most, least) = (int(i64::MAX), int(i64::MIN));
        for (function, arguments) in [
            ("_operator.floordiv", [int(1), int(0)]),
            ("_operator.floordiv", [least.clone(), int(-1)]),
            ("_operator.mod", [int(1), int(0)]),
            ("_operator.add", [most.clone(), int(1)]),
            ("_operator.mul", [most.clone(), int(2)]),
            ("_operator.sub", [least, int(1)]),
            ("_operator.pow", [int(3), int(50)]),
            ("_operator.pow", [int(3), most]),
        ] {
            assert!(
                number(function, &arguments).is_err(),
                "{function} {arguments:?}"
            );
        }
        assert_eq!(
            number("_operator.mod", &[int(i64::MIN), int(-1)]).unwrap(),
            0.0
        );
    }

    #[test]
    fn an_operator_with_unsuitable_arguments_is_refused() {
        let mut graph = Graph::new(2, 1).unwrap();
        let mut refusal = |name: &str, arguments: &[(&str, Value)]| {
            let outputs = Outputs::Values(vec![Some(1)]);
            graph.add(name, "", arguments, &outputs).unwrap_err()
        };
        let input = ("self", Value::Slot(0));
        assert!(refusal("aten::no_such", &[]).contains("does not have the operator"));
        assert!(refusal("aten::relu", &[]).contains("the argument self is missing"));
        let found = refusal("aten::relu", &[input.clone(), ("slope", int(1))]);
        assert!(found.contains("no argument slope"), "{found}");
        let found = refusal("aten::gelu", &[input.clone(), ("approximate", int(1))]);
        assert!(found.contains("not of the type str"), "{found}");
        let found = refusal("aten::transpose", &[input]);
        assert!(!found.is_empty());
    }
}
