"""The web process: the webhook receiver, the service door, readiness and metrics.

It imports no flow, starts none, and asks the Prefect server nothing on the way of a request.
"""
