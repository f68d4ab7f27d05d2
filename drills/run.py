"""`make drill`: break a real cluster under load, check what was seen, and write docs/drills.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from drills.main import main

if __name__ == "__main__":
    main()
