"""The fleet benchmarks: `python -m benchmarks` measures psv and its peers in one run, on one machine, with the same programs."""
