"""Twilio: messages, calls, numbers and messaging services of simulated accounts, and the phones.

https://www.twilio.com/docs/messaging/api
"""
