"""Signing in and out: the OpenID provider, the state of a sign-in under way, and the login of a request."""
