"""The `atlvs` command: `deployments.commands.line`, from the first moment of which Ctrl-C is polite."""

import os
import sys


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    try:
        from deployments.commands.line import run  # takes a second; Ctrl-C may come within it

        code = run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.stderr.flush()
        os._exit(1)  # an interrupted import marks the interpreter: it would end by the signal
    sys.exit(code)


if __name__ == "__main__":
    main()
