"""The facts that the doctor judges, gathered on this host; nothing here changes anything."""
