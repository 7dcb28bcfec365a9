"""Requests and responses: reading, routing, cookies, origins, redirects, headers and signatures."""
