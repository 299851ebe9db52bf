"""Alembic migrations of the integration tables. Run them with `atlvs bootstrap`."""
