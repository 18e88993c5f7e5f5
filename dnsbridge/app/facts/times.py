"""Times as the documents for people and programs have them."""

from datetime import UTC, datetime


def utc(unix: float) -> str:
    """A time in Unix seconds as UTC text (RFC 3339)."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
