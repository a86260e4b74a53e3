"""What a registry answers with besides what it was asked for: reasons, addresses, times to wait."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

if TYPE_CHECKING:
    from requests import Response

__all__ = ["json_of", "location_in", "reasons_in", "seconds_to_wait"]


def json_of(response: Response) -> Mapping[str, Any]:
    """The object of JSON that it is, or an empty one."""
    try:
        value = json.loads(response.content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def reasons_in(response: Response) -> str:
    """What a registry gives as reasons (distribution-spec 1.1, error codes)."""
    errors = json_of(response).get("errors")
    reasons = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return "; ".join(": ".join(str(one[key]) for key in ("code", "message") if one.get(key)) for one in reasons)[:500]


def location_in(response: Response) -> str:
    """Where it says to go on, in full."""
    return urljoin(response.url, response.headers.get("Location", ""))


def seconds_to_wait(response: Response) -> float:
    """Seconds by the header `Retry-After`, which has them or a date (RFC 9110, 10.2.3)."""
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time()) if text else 0.0
    except ValueError:
        return 0.0
