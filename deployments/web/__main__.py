"""`python -m deployments.web`: serve until SIGTERM, then finish what was accepted."""

import logging
import signal
import sys

import uvicorn

from atlvs.errors import Misconfigured
from atlvs.settings import settings

KEEP_ALIVE = 75  # seconds; providers reuse their connections
GRACE = 30  # seconds for accepted requests; the longest service call takes 25


def main() -> int:
    """Serve on the address of the settings."""
    # uvicorn finishes what it accepted, then raises the signal again: that is a clean end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        host, port = settings().listen_host, settings().listen_port
        from deployments.web.app import create_app

        app = create_app()
    except Misconfigured as error:
        sys.stderr.write(f"web: {error}\n")
        return 2
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
