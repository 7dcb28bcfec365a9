"""Documents of terms as HTML: each is rendered once, and kept as long as there is room."""

import hashlib
import sys
import threading
from collections import OrderedDict

from dsgctl.core import markdown

CAPACITY = 16 * 2**20  # bytes of all that is kept
_AROUND = 300  # bytes of a page's key and its place: a short document is mostly this


class Documents:
    """The rendered documents of one process, shared by its threads; bounded by bytes, the least recently used go first.

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
        # Under the lock, so that many who ask at once for a new document wait for one rendering.
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
                return self._pages[key]
            page = markdown.render(text, top)
            self.rendered += 1
            self._pages[key] = page
            self._bytes += sys.getsizeof(page) + _AROUND
            while self._bytes > self._capacity and len(self._pages) > 1:
                self._bytes -= sys.getsizeof(self._pages.popitem(last=False)[1]) + _AROUND
            return page
