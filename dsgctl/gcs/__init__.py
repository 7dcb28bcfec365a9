"""Requests to Google Cloud Storage: credentials, bucket policies, and the transport of google.auth."""
