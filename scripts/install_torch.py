"""Install the pinned torch, saying its size first where pip would bring the one for CUDA.

    python scripts/install_torch.py REQUIREMENT_OR_WHEEL [--index ADDRESS]

pip decides which file fits this machine; a dry run asks it before anything large is fetched.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from urllib.request import Request, urlopen

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
PATIENCE_S = 10.0


def planned_files(request: list[str]) -> list[tuple[str, str]]:
    """Ask pip what it would install; return (package, address) pairs."""
    command = [*PIP, "install", "-qq", "--dry-run", "--report", "-", *request]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return [(item["metadata"]["name"], item["download_info"]["url"]) for item in report["install"]]


def download_bytes(address: str) -> int | None:
    """Ask for the size of one file of pip's plan; `None` if it cannot be told."""
    try:
        with urlopen(Request(address, method="HEAD"), timeout=PATIENCE_S) as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, TypeError, ValueError):
        return None


def size_notice(plan: list[tuple[str, str]]) -> str | None:
    """Say how large the CUDA packages of the plan are; `None` if there are none."""
    if not any(name.startswith(("nvidia-", "cuda-")) for name, _ in plan):
        return None
    sizes = [download_bytes(address) for _, address in plan if not address.startswith("file:")]
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        amount = f"{sum(known) / 1e9:.1f} GB"
    else:
        amount = f"at least {sum(known) / 1e9:.1f} GB" if known else "several GB"
    return (
        f"torch for this machine comes with CUDA: {amount} to download, twice that on disk.\n"
        "hint: stop now (Ctrl-C) and give a CPU build instead: "
        "make ... TORCH=path/to/torch.whl, or TORCH_INDEX=address of an index of CPU builds"
    )


def main() -> None:
    """Install torch unless a version that satisfies the request is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("torch", help="a requirement such as torch==2.13.0, or a wheel file")
    parser.add_argument("--index", default="", help="an index to look in, instead of pip's own")
    arguments = parser.parse_args()
    request = [arguments.torch]
    if arguments.index:
        request += ["--index-url", arguments.index]
    plan = planned_files(request)
    notice = size_notice(plan)
    if notice is not None:
        print(notice, file=sys.stderr, flush=True)
    if plan:
        print(f"installing {arguments.torch}", flush=True)
        subprocess.run([*PIP, "install", "-qq", *request], check=True)
    try:
        print(f"torch {version('torch')}")
    except PackageNotFoundError:
        sys.exit(f"{arguments.torch!r} was installed but is not torch; hint: check TORCH=")


if __name__ == "__main__":
    main()
