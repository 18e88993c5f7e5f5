"""The error of what HTTP cannot show at this moment."""


class NotNow(Exception):
    """Something cannot be shown or done at this moment; the message says why, in one line."""
