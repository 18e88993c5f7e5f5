"""Keeps answers prepared as the responder does: once their question has come before."""

from dnsbridge.resolvers.prepared import Prepared
from dnsbridge.resolvers.resolver import Answer


def offer(prepared: Prepared, question: bytes, answer: Answer) -> None:
    """Keep the answer to a canonical question, if the question has come before."""
    if prepared.wants(question):
        prepared.put(question, answer)
