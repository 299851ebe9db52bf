"""Zapier, simulated as others see it: hook targets, Zaps that run, receivers of signed webhooks.

https://docs.zapier.com/platform/build/hook-trigger
"""
