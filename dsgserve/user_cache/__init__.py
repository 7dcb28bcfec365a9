"""GET /api/v1/user/cache, the hot path: responses are built once and kept as bytes."""
