"""Routes as static routes of FRR, by vtysh."""
