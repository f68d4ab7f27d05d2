"""`make bench`: measure the figures of the service and write them to docs/benchmarks.md. `ARGS=quick` takes two minutes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.main import main

if __name__ == "__main__":
    main()
