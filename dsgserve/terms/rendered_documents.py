"""Caches the HTML of terms: each document is rendered once, and stays cached while there is room."""

import hashlib
import sys
import threading
from collections import OrderedDict

from dsgctl.core import markdown

CAPACITY = 16 * 2**20  # bytes of all cached HTML
_OVERHEAD = 300  # bytes of an entry besides its HTML


class Documents:
    """The HTML of one process, shared by its threads; the least recently used is dropped first.

    Attributes:
        rendered: how many times a document was rendered.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.rendered = 0
        self._capacity = capacity
        self._bytes = 0
        self._pages: OrderedDict[tuple[bytes, int], str] = OrderedDict()
        self._lock = threading.Lock()

    def html(self, text: str, top: int) -> str:
        """A document as HTML.

        Args:
            text: Markdown.
            top: the level of its highest heading.
        """
        key = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(), top)
        # Under the lock, so that simultaneous requests for a new document wait for one rendering.
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
                return self._pages[key]
            html = markdown.render(text, top)
            self.rendered += 1
            self._pages[key] = html
            self._bytes += sys.getsizeof(html) + _OVERHEAD
            while self._bytes > self._capacity and len(self._pages) > 1:
                self._bytes -= sys.getsizeof(self._pages.popitem(last=False)[1]) + _OVERHEAD
            return html
