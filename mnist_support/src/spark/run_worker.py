"""Runs one rank of a worker inside a Spark task. `WorkerCommand` describes what a worker is given.

Spark's Python worker executes this source on an executor. JOB, a JSON string, is already defined.
It needs only the standard library, pyarrow and pyspark, which every executor that runs Python has.
"""
import contextlib
import ctypes
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import pyarrow
from pyspark import BarrierTaskContext, SparkFiles, TaskContext

STDERR_LINES = 100
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Rank:
    """This task's rank in the job."""

    def __init__(self, job):
        self.world_size = job["world_size"]
        if job["barrier"]:
            self.context = BarrierTaskContext.get()
            # host:port, with an IPv6 host in brackets.
            self.addresses = [task.address.rsplit(":", 1)[0].strip("[]") for task in self.context.getTaskInfos()]
            self.rank = self.context.partitionId()
            if len(self.addresses) != self.world_size:
                raise self.failed("Spark runs %d ranks instead" % len(self.addresses))
        else:
            self.context, self.addresses = TaskContext.get(), None
            self.rank = self.context.partitionId()

    def failed(self, reason, **more):
        """Returns an exception that the client recognises, whatever Spark wraps it in."""
        report = {"rank": self.rank, "world_size": self.world_size, "reason": "on %s, %s" % (socket.gethostname(), reason)}
        report.update(more)
        return RuntimeError("mnist-worker-failed " + json.dumps(report))

    def rendezvous(self):
        """Returns the rendezvous address: a free port of rank 0's machine, shared with all ranks."""
        port = ""
        if self.rank == 0:
            family = socket.AF_INET6 if ":" in self.addresses[0] else socket.AF_INET
            with socket.socket(family) as listener:
                listener.bind((self.addresses[0], 0))
                port = str(listener.getsockname()[1])
        return {
            "MASTER_ADDR": self.addresses[0],
            "MASTER_PORT": self.context.allGather(port)[0],
            "MNIST_WORKER_ADDR": self.addresses[self.rank],
            "LOCAL_WORLD_SIZE": str(self.addresses.count(self.addresses[self.rank])),
        }


def libtorch_version(folder):
    """Returns the version of the libtorch in a folder: what its package, its archive or its headers say, or None."""
    above = os.path.dirname(os.path.realpath(folder))
    for file, pattern in [
        ("version.py", r"__version__ = '([^']+)'"),
        ("build-version", r"(\S+)"),
        ("include/torch/headeronly/version.h", r'define TORCH_VERSION[ \\\s]+"([^"]+)"'),
        ("include/torch/csrc/api/include/torch/version.h", r'define TORCH_VERSION[ \\\s]+"([^"]+)"'),
    ]:
        try:
            with open(os.path.join(above, file)) as text:
                found = re.search(pattern, text.read())
        except (OSError, UnicodeDecodeError):
            continue
        if found:
            return found.group(1)
    return None


def usable_libtorch(job, rank):
    """Returns the folder of a libtorch of the version that the worker was built for."""
    folder, needed = libtorch_folder(job, rank), job["libtorch_version"]
    found = libtorch_version(folder)
    # One that does not tell its version is given a try.
    if found and found.split("+")[0].split(".")[:2] != needed.split("."):
        raise rank.failed(
            "libtorch %s is in %s, and the worker needs %s" % (found, folder, needed),
            libtorch={"host": socket.gethostname(), "folder": folder, "found": found, "needed": needed})
    return folder


def libtorch_folder(job, rank):
    """Returns the folder of libtorch_cpu.so: the job's, the executor's setting, or its torch package's."""
    named = job["libtorch"] or os.environ.get("MNIST_LIBTORCH")
    if named:
        for folder in (named, os.path.join(named, "lib")):
            if os.path.exists(os.path.join(folder, "libtorch_cpu.so")):
                return folder
        raise rank.failed("libtorch should be in %s, but there is no libtorch_cpu.so" % named)
    package = importlib.util.find_spec("torch")
    if package is None:
        raise rank.failed(
            "there is no libtorch: install the torch package for %s, or set MNIST_LIBTORCH in the executors' "
            "environment to a folder that holds libtorch_cpu.so" % sys.executable)
    return os.path.join(package.submodule_search_locations[0], "lib")


def link_files(job, folder):
    """Links the job's files under their original names in the worker's own folder."""
    for name, artifact in job["files"].items():
        file = SparkFiles.get(artifact)
        if not os.access(file, os.X_OK):
            os.chmod(file, 0o755)
        os.symlink(file, os.path.join(folder, name))


def die_with(parent):
    """Runs in the child: a killed task must not leave its worker behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def feed(batches, worker, errors):
    """Streams the task's rows into the worker, which may exit without reading them."""
    writer = None
    try:
        for batch in batches:
            writer = writer or pyarrow.ipc.new_stream(worker.stdin, batch.schema)
            writer.write_batch(batch)
        if writer:
            writer.close()
    except OSError:
        pass  # The worker has closed its input. Its exit status shows whether that is an error.
    except BaseException as error:
        errors.append(error)
        worker.kill()
    finally:
        try:
            worker.stdin.close()
        except OSError:
            pass


def drain(rank, worker, lines):
    """Copies the worker's standard error to the executor's log and keeps the last lines."""
    for line in worker.stderr:
        line = line.decode("utf-8", "replace")
        sys.stderr.write("[rank %d] %s" % (rank.rank, line))
        lines.append(line[:4000])
        del lines[:-STDERR_LINES]


def with_schema(batch, schema):
    """Returns a batch's columns of these names as these types. pyarrow's own cast of a batch is new in its version 16."""
    columns = [batch.column(batch.schema.names.index(field.name)).cast(field.type) for field in schema]
    return pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def ending(status):
    if status >= 0:
        return "exit status %d" % status
    return "signal %d (%s)" % (-status, signal.strsignal(-status))


def check_loadable(job, rank, libtorch):
    """Asks the machine's dynamic linker what it lacks for the worker, as ldd does, without running it."""
    folder = tempfile.mkdtemp(prefix="worker-", dir=SparkFiles.getRootDirectory())
    try:
        link_files(job, folder)
        executable = os.path.join(folder, job["executable"])
        with open(executable, "rb") as file:
            if file.read(4) != b"\x7fELF":
                return
        libraries = filter(None, [folder, libtorch, os.environ.get("LD_LIBRARY_PATH", "")])
        environment = dict(os.environ, LD_TRACE_LOADED_OBJECTS="1", LD_LIBRARY_PATH=":".join(libraries))
        try:
            linker = subprocess.run(
                [executable], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            said = linker.stdout.decode("utf-8", "replace")
            needed = re.findall(r"version [`']([^']+)' not found", said) + re.findall(r"(\S+) => not found", said)
        except OSError as error:
            # Another processor, or a Linux with another C library.
            needed = ["glibc on the processor that it was built for (%s)" % error.strerror]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if needed:
        needed = ", ".join(sorted(set(needed)))
        found = " ".join(filter(None, platform.libc_ver())) or "another C library than glibc"
        found += " on " + platform.machine()
        raise rank.failed(
            "the worker needs %s, and there is %s" % (needed, found),
            system={"host": socket.gethostname(), "found": found, "needed": needed})


def check(batches):
    """Called by Spark: looks for what a worker needs, before a barrier holds cores for it."""
    job = json.loads(JOB)
    rank = Rank(job)
    check_loadable(job, rank, usable_libtorch(job, rank))
    return batches


@contextlib.contextmanager
def worker_folder(job):
    """A folder for the worker alone, with the job's files."""
    folder = tempfile.mkdtemp(prefix="worker-", dir=SparkFiles.getRootDirectory())
    try:
        link_files(job, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answers(job, rank, folder, batches):
    """Runs the worker on a task's rows and yields its answer."""
    answer = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in job["answer"]])
    libraries = [folder, os.environ.get("LD_LIBRARY_PATH", "")]
    if job["libtorch"] is not None:
        libraries.insert(1, usable_libtorch(job, rank))
    environment = dict(
        os.environ,
        LD_LIBRARY_PATH=":".join(filter(None, libraries)),
        RANK=str(rank.rank),
        WORLD_SIZE=str(rank.world_size),
        **(rank.rendezvous() if job["barrier"] else {}),
    )
    environment.update(job["environment"])
    parent = os.getpid()
    worker = subprocess.Popen(
        [os.path.join(folder, job["executable"])] + job["arguments"], cwd=folder, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: die_with(parent))
    errors, lines, answer_error = [], [], None
    threads = [
        threading.Thread(target=feed, args=(batches, worker, errors), daemon=True),
        threading.Thread(target=drain, args=(rank, worker, lines), daemon=True),
    ]
    try:
        for thread in threads:
            thread.start()
        try:
            for batch in pyarrow.ipc.open_stream(worker.stdout):
                yield with_schema(batch, answer)
        except (pyarrow.ArrowException, OSError, KeyError, ValueError) as error:
            answer_error = error
        while worker.stdout.read(1 << 16):
            pass  # A worker that writes more than its answer must not block.
        status = worker.wait()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        if status or answer_error:
            what = "the worker ended with " + ending(status)
            if not status:
                what += ", and its answer could not be read: %s" % answer_error
            raise rank.failed("%s. The end of its standard error:\n%s" % (what, "".join(lines) or "(nothing)"))
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def run(batches):
    """Called by Spark: takes a task's rows and yields the worker's answer."""
    job = json.loads(JOB)
    rank = Rank(job)
    with worker_folder(job) as folder:
        yield from answers(job, rank, folder, batches)


def transform(batches):
    """Called by Spark: takes a task's rows and yields those that the worker writes to Parquet files."""
    # Only here: a fit need not wait for it.
    import base64
    import pyarrow.parquet

    job = json.loads(JOB)
    rank = Rank(job)
    schema = pyarrow.ipc.open_stream(base64.b64decode(job["rows"]["schema"])).schema
    with worker_folder(job) as folder:
        for answer in answers(job, rank, folder, batches):
            for row in answer.to_pylist():
                if row["kind"] == "error":
                    message = json.loads(row["json"])["message"]
                    raise rank.failed(message, message=message)
        rows = os.path.join(folder, job["rows"]["folder"])
        # A task without rows has none.
        for name in sorted(os.listdir(rows)) if os.path.isdir(rows) else []:
            for batch in pyarrow.parquet.ParquetFile(os.path.join(rows, name)).iter_batches():
                yield with_schema(batch, schema)
