"""Telling people: who is told, on which channel, once."""
