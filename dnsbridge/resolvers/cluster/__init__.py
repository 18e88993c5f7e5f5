"""Answers for a cluster's names: from its index, or from its CoreDNS."""
