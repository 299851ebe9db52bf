"""Zapier's side of the platform: what Zaps may do here."""
