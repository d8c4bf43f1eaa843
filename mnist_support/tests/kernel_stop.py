"""Presses Stop in a notebook kernel, as Jupyter does. Run by tests/kernel_stop.rs.

    kernel_stop.py NOTEBOOK_CRATE
"""
import queue
import sys
import time

from jupyter_client.manager import KernelManager

# The time limit for compilation. No assertion depends on it.
LONG = 900
SOON = 2


class Kernel:
    def __enter__(self):
        self.manager = KernelManager(kernel_name="rust")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=LONG)
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def begin(self, code):
        self.cell, self.said = self.client.execute(code), ""

    def listen(self, until, limit):
        """Collects the output up to `until`, or to the end if that is None, and returns how long it took."""
        start, begin = time.monotonic(), len(self.said)
        while until is None or until not in self.said[begin:]:
            left = start + limit - time.monotonic()
            assert left > 0, "after %s s: no %r in %r" % (limit, until, self.said)
            try:
                message = self.client.get_iopub_msg(timeout=left)
            except queue.Empty:
                continue
            content = message["content"]
            if message["parent_header"].get("msg_id") != self.cell:
                continue
            if content.get("execution_state") == "idle":
                assert until is None, "it ended without saying %r: %r" % (until, self.said)
                break
            parts = [content.get("text"), content.get("data", {}).get("text/plain"), content.get("evalue")]
            self.said += "".join(filter(None, parts))
        return time.monotonic() - start

    def run(self, code):
        self.begin(code)
        self.listen(None, LONG)
        return self.said

    def press(self):
        self.manager.interrupt_kernel()


def code_that_does_not_listen(kernel):
    kernel.begin('println!("running");\nloop { std::thread::sleep(std::time::Duration::from_millis(10)); }')
    kernel.listen("running", LONG)
    kernel.press()
    kernel.listen("press Stop again within 3 seconds", SOON)
    # After this time, a press counts as a first one again.
    time.sleep(3.5)
    kernel.press()
    kernel.listen("press Stop again within 3 seconds", SOON)
    kernel.press()
    took = kernel.listen(None, SOON)
    assert "all variables of the notebook are lost" in kernel.said, kernel.said
    assert "terminated" in kernel.said, kernel.said
    assert "cannot find value `kept`" in kernel.run("kept"), kernel.said
    return took


FIT = """
let model: PipelineModel = Pipeline::new()
    .stage(VectorAssembler::new().input_cols(["x", "y"]).output_col("features"))
    .stage(TorchEstimator::new(network.clone()).iterations(1_000_000).validation_fraction(0.5).partitions(2))
    .fit(&frame)?;
"""


def a_fit(kernel):
    kernel.begin(FIT)
    kernel.listen("2 ranks train on", LONG)
    time.sleep(1)
    start = time.monotonic()
    kernel.press()
    # Further presses do no harm.
    kernel.press()
    kernel.listen(None, SOON)
    took = time.monotonic() - start
    assert "stopped on request after iteration" in kernel.said, kernel.said
    said = kernel.run("(kept, model.report()?.interrupted, model.transform(&frame)?.height())")
    assert "(7, true, 20000)" in said, said
    return took


def a_loop(kernel):
    kernel.begin("""
let mut passes: usize = 0;
for _ in mnist_support::interrupt::until_interrupted(0..1_000_000) {
    println!("pass");
    std::thread::sleep(std::time::Duration::from_millis(20));
    passes += 1;
}
""")
    kernel.listen("pass", LONG)
    kernel.press()
    took = kernel.listen(None, SOON)
    said = kernel.run("(kept, passes > 0 && passes < 1_000_000)")
    assert "(7, true)" in said, said
    return took


with Kernel() as kernel:
    kernel.run("let kept: i32 = 7;")
    print("before the crate is loaded: other code ended %.2f s after the second press" % code_that_does_not_listen(kernel))

    said = kernel.run(':dep mnist_support = { package = "mnist_support_notebook", path = "%s" }\n'
                      "use mnist_support::prelude::*;\nlet kept: i32 = 7;" % sys.argv[1])
    said += kernel.run("""
let frame: DataFrame = df!(
    "x" => (0..20_000).map(|row| (row % 7) as f32).collect::<Vec<f32>>(),
    "y" => (0..20_000).map(|row| (row % 5) as f32).collect::<Vec<f32>>(),
    "label" => (0..20_000).map(|row| row % 2).collect::<Vec<i32>>(),
)?;
let network: Network = Network::new(&[2], vec![Layer::linear(2, 64), Layer::ReLU, Layer::linear(64, 2)])?;
""")
    assert said == "", said
    print("a fit ended %.2f s after the press" % a_fit(kernel))
    print("a loop ended %.2f s after the press" % a_loop(kernel))
    # A press within 3 seconds of the previous one would count as the second.
    time.sleep(3)
    print("other code ended %.2f s after the second press" % code_that_does_not_listen(kernel))
