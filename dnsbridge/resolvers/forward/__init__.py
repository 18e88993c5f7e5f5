"""Answers from upstreams: who is asked, how long and how often, and what of it is kept."""
