"""Routes announced over BGP by a child process, ExaBGP."""
