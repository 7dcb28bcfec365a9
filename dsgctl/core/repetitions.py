"""Finds the texts that occur more than once among millions, in the memory that a few of them take."""

from collections.abc import Iterable

_BITS = 64  # for each text: about one in a hundred shares its bit with another text
_MOST = 2**29  # 64 MB; beyond 8 million texts, more of them share one


class PossibleRepetitions:
    """The texts that occur more than once, and a few of those that do not.

    It keeps 8 bytes for each text, where a set would keep over a hundred. A caller examines closely only the texts that
    are ``in`` it, and so finds all repetitions.
    """

    def __init__(self, texts: Iterable[str], count: int) -> None:
        """
        Args:
            texts: read once.
            count: about how many they are.
        """
        self._size = min(_BITS * max(count, 1), _MOST)
        self._bits: set[int] = set()  # of more than one text
        bits = bytearray(self._size // 8)
        for text in texts:
            bit = hash(text) % self._size
            index, mask = bit >> 3, 1 << (bit & 7)
            if bits[index] & mask:
                self._bits.add(bit)
            else:
                bits[index] |= mask

    def __contains__(self, text: str) -> bool:
        return hash(text) % self._size in self._bits
