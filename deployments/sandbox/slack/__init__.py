"""Slack, simulated: the Web API, OAuth v2, the Events API and interactivity.

https://docs.slack.dev/reference/methods
"""
