"""Routes announced over BGP by ExaBGP, a child process."""
