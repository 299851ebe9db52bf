"""The `atlvs` command: `deployments.commands.line`, from the first moment of which Ctrl-C is polite."""

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    try:
        from deployments.commands.line import run  # takes a second; Ctrl-C may come within it

        code = run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
