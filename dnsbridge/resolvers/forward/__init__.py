"""Answers from upstreams: which upstream is asked, how long and how often, and which answers are kept."""
