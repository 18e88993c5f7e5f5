"""HTTP for people and Prometheus: metrics, health, states as JSON."""
