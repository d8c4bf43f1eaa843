"""A kernel that runs nothing: every cell shows one sentence that says why the Rust kernel can't start.

start.sh starts it in the Rust kernel's place, because what a kernel writes to its standard error is
seen in the server's log only, where nobody looks.

Usage: explain.py CONNECTION_FILE SENTENCE
"""

import sys

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class ExplainKernel(Kernel):
    implementation = "rust"
    implementation_version = "0"
    language_info = {"name": "rust", "mimetype": "text/rust", "file_extension": ".rs"}
    banner = sys.argv[2]

    def do_execute(self, code, silent, *_, **__):
        error = {"ename": "KernelNotReady", "evalue": self.banner, "traceback": [self.banner]}
        if not silent:
            self.send_response(self.iopub_socket, "error", error)
        return {"status": "error", "execution_count": self.execution_count, **error}


IPKernelApp.launch_instance(argv=["-f", sys.argv[1]], kernel_class=ExplainKernel)
