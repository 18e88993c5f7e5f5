"""The Lease by which one of several companions drives a sink."""
