"""One retriable step: a call, a chunk, a write."""
