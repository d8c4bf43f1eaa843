//! Pickles a Python function for Spark's executors, without Python.

/// Returns bytes that `pickle.loads` turns into `(function, None)`, which Spark calls a command.
///
/// `source` is compiled and executed on the executor, in a namespace of its own in which `JOB` is
/// the string `job`. The function is what `source` defines as `function`. The format is pickle
/// protocol 2, whose opcodes are listed in Python's `pickletools`.
pub(super) fn command(source: &str, function: &str, job: &str) -> Vec<u8> {
    const NAMESPACE: u8 = 0; // the place in the unpickler's memory
    let mut pickle = Vec::with_capacity(source.len() + job.len() + 256);
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
    // (namespace[function], None)
    pickle.extend(b"coperator\ngetitem\n");
    pickle.extend([b'h', NAMESPACE]);
    text(&mut pickle, function);
    pickle.extend(b"\x86R"); // TUPLE2, REDUCE
    pickle.extend(b"N\x86."); // NONE, TUPLE2, STOP
    pickle
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

    #[test]
    fn python_unpickles_the_function_with_its_job() {
        let pickle = command(
            "def shout(text):\n    return JOB + text.upper() + '\\n'\n",
            "shout",
            "größe: \"1\"\n",
        );
        let mut python = Command::new("python3")
            .args(["-c", "import pickle, sys; function, none = pickle.load(sys.stdin.buffer); sys.stdout.buffer.write((function('abc') + repr(none)).encode())"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(&pickle).unwrap();
        let output = python.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "größe: \"1\"\nABC\nNone"
        );
    }
}
