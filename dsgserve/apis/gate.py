"""The API gate: who may read a dataset, for reverse proxies."""

from dsgserve.http.route import Route

ROUTES: tuple[Route, ...] = ()
