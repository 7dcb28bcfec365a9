"""GET /api/v1/user/cache, the hot path: responses are built once and cached as bytes."""
