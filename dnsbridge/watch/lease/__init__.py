"""The Lease that decides which of several companions drives a sink."""
