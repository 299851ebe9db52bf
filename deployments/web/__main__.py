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
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        server = uvicorn.Server(configuration())
    except Misconfigured as error:
        sys.stderr.write(f"web: {error}\n")
        return 2

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn has handlers of its own while it serves, and raises the signal again when it is done.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.run()
    return 0 if server.started else 1


def configuration() -> uvicorn.Config:
    """The application and how it is served."""
    from deployments.web.app import create_app

    return uvicorn.Config(
        create_app(),
        host=settings().listen_host,
        port=settings().listen_port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )


if __name__ == "__main__":
    sys.exit(main())
