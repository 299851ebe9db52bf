"""What we cost, measured beside the bare road on the same machine at the same time: `make bench`.

Ratios only: absolute numbers are the machine's. CPU is that of the process and of all of its
database's PostgreSQL processes, to the end of the last commit.
"""
