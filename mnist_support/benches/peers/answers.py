"""How a peer talks with the benchmark: lines of JSON.

It says once that it is ready, and which variants it has; then it measures once for each line that it gets on
its standard input, and answers with a line. At the end of the input it ends.
"""

import json
import os
import sys
import traceback

# Libraries print what they like: only answers go to the real standard output.
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def say(**message):
    print(json.dumps(message), file=_answers, flush=True)


def serve(variants, measure):
    """Answers each request with what `measure(request)` returns, or with its error."""
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
