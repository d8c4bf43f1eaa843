//! Pickles a Python function for Spark's executors, without Python.

use super::types::SparkType;

/// The columns of a function's result.
pub(super) type Columns<'a> = [(&'a str, SparkType)];

/// Returns bytes that `pickle.loads` turns into `(function, type of its result)`, which Spark calls
/// a command.
///
/// `source` is compiled and executed on the executor, in a namespace of its own in which `JOB` is
/// the string `job`. The function is what `source` defines as `function`. The type is a
/// `StructType`, which PySpark itself makes from JSON: from Spark 4.2 on the executors ignore it,
/// older ones convert the result to it. The format is pickle protocol 2, whose opcodes are listed
/// in Python's `pickletools`.
pub(super) fn command(source: &str, function: &str, job: &str, result: &Columns) -> Vec<u8> {
    const NAMESPACE: u8 = 0; // the place in the unpickler's memory
    let mut pickle = Vec::with_capacity(source.len() + job.len() + 1024);
    pickle.extend(b"\x80\x02"); // PROTO 2
    pickle.extend([b'}', b'q', NAMESPACE]); // EMPTY_DICT, BINPUT
    text(&mut pickle, "JOB");
    text(&mut pickle, job);
    pickle.push(b's'); // SETITEM
    text(&mut pickle, "__name__");
    text(&mut pickle, "run_worker");
    pickle.extend(b"s0"); // SETITEM, POP
    // exec(compile(source, "run_worker.py", "exec"), namespace)
    pickle.extend(b"cbuiltins\nexec\n"); // GLOBAL
    pickle.extend(b"cbuiltins\ncompile\n");
    text(&mut pickle, source);
    text(&mut pickle, "run_worker.py");
    text(&mut pickle, "exec");
    pickle.extend(b"\x87R"); // TUPLE3, REDUCE
    pickle.extend([b'h', NAMESPACE, b'\x86', b'R', b'0']); // BINGET, TUPLE2, REDUCE, POP
    // namespace[function]
    pickle.extend(b"coperator\ngetitem\n");
    pickle.extend([b'h', NAMESPACE]);
    text(&mut pickle, function);
    pickle.extend(b"\x86R"); // TUPLE2, REDUCE
    // getattr(StructType, "fromJson")(json.loads(schema))
    pickle.extend(b"cbuiltins\ngetattr\ncpyspark.sql.types\nStructType\n");
    text(&mut pickle, "fromJson");
    pickle.extend(b"\x86R"); // TUPLE2, REDUCE
    pickle.extend(b"cjson\nloads\n");
    text(&mut pickle, &schema(result));
    pickle.extend(b"\x85R\x85R"); // TUPLE1, REDUCE, TUPLE1, REDUCE
    pickle.extend(b"\x86."); // TUPLE2, STOP
    pickle
}

/// Returns the JSON of Spark's `StructType` with these columns, which may be null.
fn schema(columns: &Columns) -> String {
    let fields = columns
        .iter()
        .map(|(name, dtype)| (name.to_string(), dtype.clone()));
    SparkType::Struct(fields.collect()).json().to_string()
}

/// BINUNICODE: the length as four little-endian bytes, then the text in UTF-8.
fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    // The text is never 4 GB or more: it is this crate's source, or a job that Spark takes whole.
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;

    /// Unpickles standard input where there is no PySpark, and shows what came of it.
    const UNPICKLE: &str = "\
import pickle, sys, types
class StructType:
    @classmethod
    def fromJson(cls, columns):
        return [(column['name'], column['type']) for column in columns['fields']]
for name in ['pyspark', 'pyspark.sql', 'pyspark.sql.types']:
    sys.modules[name] = types.ModuleType(name)
sys.modules['pyspark.sql.types'].StructType = StructType
function, result = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write((function('abc') + repr(result)).encode())
";

    #[test]
    fn python_unpickles_the_function_with_its_job_and_the_type_of_its_result() {
        let pickle = command(
            "def shout(text):\n    return JOB + text.upper() + '\\n'\n",
            "shout",
            "größe: \"1\"\n",
            &[
                ("rank", SparkType::named("integer")),
                ("data", SparkType::named("binary")),
            ],
        );
        let mut python = Command::new("python3")
            .args(["-c", UNPICKLE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(&pickle).unwrap();
        let output = python.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "größe: \"1\"\nABC\n[('rank', 'integer'), ('data', 'binary')]"
        );
    }
}
