"""Plain values: what of Python itself holds a value, or rebuilds one, and does nothing else when a pickle calls it."""

from __future__ import annotations

import builtins

__all__ = ["PLAIN_VALUES"]

_ENUMERATIONS = ("Enum", "Flag", "IntEnum", "IntFlag", "StrEnum")
_PATHS = ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath")

PLAIN_VALUES = {
    "builtins": {
        *("object", "bool", "int", "float", "complex", "str", "bytes", "bytearray"),
        *("list", "tuple", "dict", "set", "frozenset", "range", "slice", "Ellipsis", "NotImplemented"),
        *(
            name
            for name, value in vars(builtins).items()
            if isinstance(value, type) and issubclass(value, BaseException) and not name.startswith("_")
        ),
    },
    "_io": {"BytesIO", "StringIO"},
    "array": {"_array_reconstructor", "array"},
    "collections": {
        *("ChainMap", "Counter", "OrderedDict", "UserDict", "UserList", "UserString", "defaultdict", "deque"),
    },
    "copyreg": {"_reconstructor"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal", "DecimalTuple"},
    "enum": set(_ENUMERATIONS),
    "fractions": {"Fraction"},
    "http": {"HTTPMethod", "HTTPStatus"},
    "ipaddress": {
        *("IPv4Address", "IPv4Interface", "IPv4Network", "IPv6Address", "IPv6Interface", "IPv6Network"),
    },
    "pathlib": set(_PATHS),
    "pathlib._local": set(_PATHS),  # where Python 3.13 has them
    "re": {"RegexFlag", "_compile"},
    "time": {"struct_time"},
    "types": {"SimpleNamespace"},
    "uuid": {"SafeUUID", "UUID"},
    "zoneinfo": {"ZoneInfo"},
}
"""By module, the names in it. `getattr` is none of them: with it, a pickle gets at anything."""
