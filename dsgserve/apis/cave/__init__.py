"""The API cave: what CAVE's services and clients ask beyond user/cache (contract-services.md, "CAVE")."""

from dsgserve.apis.cave import people, tables, tokens

ROUTES = (*tables.ROUTES, *people.ROUTES, *tokens.ROUTES)
