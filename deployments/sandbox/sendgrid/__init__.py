"""SendGrid, simulated from its description: Web API v3.

https://www.twilio.com/docs/sendgrid/api-reference
"""
