"""What a format is, in the words of the standard library: for jsonschema, which knows half of them."""

import ipaddress
import re
from datetime import date, time
from urllib.parse import urlsplit
from uuid import UUID

import jsonschema

CHECKER = jsonschema.FormatChecker(formats=())
DURATION = re.compile(r"P(?:(\d+Y)?(\d+M)?(\d+D)?(?:T(\d+H)?(\d+M)?(\d+S)?)?|\d+W)", re.ASCII)


@CHECKER.checks("date", ValueError)
def is_date(text):
    return not isinstance(text, str) or (len(text) == 10 and date.fromisoformat(text) is not None)


@CHECKER.checks("time", ValueError)
def is_time(text):
    if not isinstance(text, str):
        return True
    return bool(re.match(r"\d\d:\d\d:\d\d", text)) and time.fromisoformat(text.upper()).tzinfo is not None


@CHECKER.checks("date-time", ValueError)
def is_date_time(text):
    return not isinstance(text, str) or (text[10] in "tT" and is_date(text[:10]) and is_time(text[11:]))


@CHECKER.checks("duration")
def is_duration(text):
    return not isinstance(text, str) or (bool(DURATION.fullmatch(text)) and text[-1] not in "PT")


@CHECKER.checks("hostname")
def is_hostname(text):
    if not isinstance(text, str):
        return True
    label = re.compile(r"(?!-|..--)[a-zA-Z0-9-]{1,63}(?<!-)")
    return len(text) <= 253 and all(label.fullmatch(one) for one in text.split("."))


@CHECKER.checks("email")
def is_email(text):
    if not isinstance(text, str):
        return True
    local, _, domain = text.rpartition("@")
    words = local.split(".")
    return len(text) <= 254 and 0 < len(local) <= 64 and "@" not in local and all(words) and is_hostname(domain)


@CHECKER.checks("ipv4", ValueError)
def is_ipv4(text):
    return not isinstance(text, str) or ipaddress.IPv4Address(text) is not None


@CHECKER.checks("ipv6", ValueError)
def is_ipv6(text):
    return not isinstance(text, str) or (ipaddress.IPv6Address(text) is not None and "%" not in text)


@CHECKER.checks("uuid", ValueError)
def is_uuid(text):
    return not isinstance(text, str) or str(UUID(text)) == text.lower()


@CHECKER.checks("uri", ValueError)
def is_uri(text):
    if not isinstance(text, str):
        return True
    parts = urlsplit(text)
    if re.search(r"%(?![0-9a-fA-F]{2})|[^!-~]", text) or not parts.scheme:
        return False
    if parts.scheme in ("file", "urn", "mailto") and not parts.netloc:
        return len(parts.path) > 0
    return is_hostname(parts.hostname or "") and (parts.port is None or parts.port > 0)


@CHECKER.checks("uri-reference", ValueError)
def is_uri_reference(text):
    if not isinstance(text, str):
        return True
    if re.search(r"%(?![0-9a-fA-F]{2})|[^!-~]|\\\\", text):
        return False
    return is_uri(text) if re.match("[^/?#]*:", text) else True


@CHECKER.checks("json-pointer")
def is_pointer(text):
    return not isinstance(text, str) or text == "" or (text[0] == "/" and not re.search("~(?![01])", text))


@CHECKER.checks("relative-json-pointer")
def is_relative_pointer(text):
    found = re.fullmatch(r"(?:0|[1-9][0-9]*)(#|(?:/.*)?)", text, re.DOTALL) if isinstance(text, str) else None
    return not isinstance(text, str) or (found is not None and (found[1] == "#" or is_pointer(found[1])))
