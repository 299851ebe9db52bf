"""What happens, as short paragraphs. Docstrings are shown to analysts in the Prefect UI."""
