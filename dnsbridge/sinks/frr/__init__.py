"""Routes as static routes of FRR, set through vtysh."""
