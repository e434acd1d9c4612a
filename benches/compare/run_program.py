"""Runs a program to its end: wall time, peak memory of it and its children, and the last JSON object it printed."""

import json
import resource
import subprocess
import sys
import time

start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
seconds = time.perf_counter() - start
if done.returncode != 0:
    sys.exit(f"{sys.argv[1]} ended with code {done.returncode}")
objects = [line for line in done.stdout.splitlines() if line.startswith("{")]
# Linux counts in KiB.
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
output = json.loads(objects[-1]) if objects else None
print(json.dumps(dict(seconds_total=seconds, peak_rss_mib=peak, output=output)))
