"""The protocol between a peer and the benchmark: lines of JSON.

The peer reports once that it is ready and which variants it supports. Then it measures once for each line on
its standard input, and answers with a line. It exits at the end of the input.
"""

import json
import os
import sys
import traceback

# Libraries may print. Only answers go to the real standard output.
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def say(**message):
    print(json.dumps(message), file=_answers, flush=True)


def serve(variants, measure):
    """Answers each request with the result of `measure(request)` or with its error."""
    say(variants=list(variants))
    for line in sys.stdin:
        try:
            answer = measure(json.loads(line))
        except Exception as error:
            traceback.print_exc()
            first = str(error).partition("\n")[0]
            say(error=f"{type(error).__name__}: {first}")
        else:
            say(**answer)
