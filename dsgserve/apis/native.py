"""The API native: DatasetGateway's own API, for neuPrint and Clio."""

from dsgserve.http.route import Route

ROUTES: tuple[Route, ...] = ()
