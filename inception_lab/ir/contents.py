"""The bytes of a storage as text, packed, and back."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode


def packed(content: bytes) -> str:
    """Return bytes as text that JSON can hold; masks and indices pack well.

    Example:
        >>> len(packed(bytes(1 << 20))), unpacked(packed(b"mask"), 4)
        (1388, b'mask')
    """
    return b64encode(zlib.compress(content)).decode("ascii")


def unpacked(data: str, size: int) -> bytes:
    """Return the bytes that `packed` packed.

    Args:
        data: The text.
        size: Bytes that it must hold.

    Raises:
        ValueError: It is damaged, or holds more or fewer bytes.
    """
    if not isinstance(data, str):
        raise ValueError(f"{data!r} is not text")
    # damaged text must not unpack to more than the storage holds
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(b64decode(data, validate=True), size + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(content) != size:
        raise ValueError(f"they do not have {size} bytes")
    return content
