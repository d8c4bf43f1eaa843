"""Ends the process of a notebook's cells at the second press of Stop within 3 seconds.

It leaves a process alone that listens for Stop itself, as it does once it has loaded the crate.
start.sh starts this beside the kernel, in whose process group every press arrives as SIGINT:
    interrupt_watch.py KERNEL_PROCESS
"""
import os
import signal
import sys
import time

PATIENCE = 3
WARNING = ("This code cannot be stopped halfway: press Stop again within 3 seconds to end the cell's process; "
           "all variables of the notebook are lost then.")
ENDED = ("The cell's process was ended on request, and all variables of the notebook are lost: run its cells "
         "again from the top.")

kernel = int(sys.argv[1])
warned = float("-inf")


def fields(process):
    """What the system says of a process, by name."""
    with open("/proc/%s/status" % process) as status:
        return dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)


def cells():
    """The processes of cells: the kernel starts its own program once more for them."""
    program = os.readlink("/proc/%d/exe" % kernel)
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = fields(process)
            if status["PPid"] == str(kernel) and os.readlink("/proc/%s/exe" % process) == program:
                yield int(process), status
        except OSError:
            continue  # It has ended meanwhile, or is somebody else's.


def say(process, text):
    """Writes a line where the process writes its errors, which the notebook shows."""
    with open("/proc/%d/fd/2" % process, "w") as stream:
        stream.write(text + "\n")


def press(_signal, _frame):
    global warned
    again = time.monotonic() - warned < PATIENCE
    # First of all: the next press may interrupt this function.
    warned = float("-inf") if again else time.monotonic()
    for process, status in cells():
        if int(status["SigCgt"], 16) >> (signal.SIGINT - 1) & 1:
            continue
        try:
            say(process, ENDED if again else WARNING)
            if again:
                os.kill(process, signal.SIGKILL)
        except OSError as error:
            print("Stop: %s" % error, file=sys.stderr)


signal.signal(signal.SIGINT, press)
while os.getppid() == kernel:
    time.sleep(1)
