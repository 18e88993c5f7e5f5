"""What the status page shows: GET /api/status, GET /api/events, GET /api/lookup."""
