"""The keys of a WSGI environ that this server adds: what wire.py and the pipeline note about a request."""

TARGET = "dsgserve.target"  # the routing.Target that the request line names
REFUSAL = "dsgserve.refusal"  # the status with which to refuse a request that could not be read
ARRIVED = "dsgserve.arrived"  # when the request was complete, of time.monotonic(); on routes that wait only
MAX_BODY = "dsgserve.max_body"  # the bytes that its route reads of the body, if not those of requests.py
BODY = "dsgserve.body"  # the body, once it is read
PREFIX = "dsgserve.prefix"  # the beginning of the path that the proxy took away
FORM = "dsgserve.form"  # the fields of a form, once they are parsed
