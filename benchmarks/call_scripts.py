"""Hold random voice calls, many of them broken off, and see that none leaves anything behind.

    python benchmarks/call_scripts.py [--scripts 500]

The scripts are those of tests/protocol/test_realtime_scripts.py, more of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEST = "tests/protocol/test_realtime_scripts.py"


def main() -> int:
    """Run the test with another count, and print the figure last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scripts", type=int, default=500)
    count = parser.parse_args().scripts
    environment = {**os.environ, "MYNA_TEST_CALL_SCRIPTS": str(count), "MYNA_REQUIRE": "all"}
    command = [sys.executable, "-m", "pytest", "-q", TEST, "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode == 0:
        print(f"{count} random calls: no task, request or descriptor left, no error logged")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
