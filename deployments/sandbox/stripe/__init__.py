"""Stripe, simulated from its description: API 2026-10-28.endive.

https://docs.stripe.com/api
"""
