"""ATLVS's words and memory: errors, events, records, settings, encryption and the database.

Nothing here knows Prefect, a provider's SDK or HTTP.
"""
