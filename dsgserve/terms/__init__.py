"""Pages on which people read and accept terms of service, and the landing page."""
