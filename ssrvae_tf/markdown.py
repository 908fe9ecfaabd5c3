"""Markdown, which reports are written in."""

from __future__ import annotations


def cell(text: str) -> str:
    """A name as a cell of a table holds it."""
    return text.replace("|", r"\|")
