"""The API cave: what CAVE's services and clients ask beyond user/cache."""

from dsgserve.http.route import Route

ROUTES: tuple[Route, ...] = ()
