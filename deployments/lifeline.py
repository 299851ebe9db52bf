"""Ends what a product has started when the product itself dies, however it dies.

It holds one end of a pipe whose other end is the product: end of file means that it is gone.
(PR_SET_PDEATHSIG would do this on Linux only, and for the first generation only.)
"""

import sys

from atlvs.errors import Misconfigured
from atlvs.settings import settings
from deployments.leftovers import Record, end_all


def main() -> None:
    if sys.stdin.buffer.read():  # the product has ended everything itself
        return
    record = Record(settings().data_dir)
    try:
        record.take(wait=5)  # the pipe may close a moment before the lock
    except Misconfigured:  # the next product is here, and ends them itself
        return
    record.tell(ending=True)
    end_all(record.data_dir, record.told)


if __name__ == "__main__":
    main()
