"""`python -m deployments.sandbox [stripe …] --port N --seed FILE --faults FILE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deployments.sandbox import PROVIDERS
from deployments.sandbox.server import serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="sandbox", description="Simulated services on loopback.")
    parser.add_argument("providers", nargs="*", metavar="PROVIDER", help=", ".join(PROVIDERS))
    parser.add_argument("--host", default="127.0.0.1", help="loopback addresses only")
    parser.add_argument("--port", type=int, default=4010, help="0 takes any free port")
    parser.add_argument("--seed", type=Path, help="JSON: {provider: seed, …}")
    parser.add_argument("--faults", type=Path, help="JSON: [fault rule, …], or an options object")
    given = parser.parse_args()
    unknown = sorted(set(given.providers) - set(PROVIDERS))
    if unknown:
        parser.error(f"unknown provider: {', '.join(unknown)}")
    try:
        serve(given.providers, given.port, given.seed, given.faults, host=given.host)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
