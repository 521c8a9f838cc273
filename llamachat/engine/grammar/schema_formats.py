"""The formats of JSON schemas as patterns, where llguidance's own admit more than the format.

Its `date` has 29 February in every year, its `time` the second 60 at any minute, its `hostname` and `email` no longest
length, its `uri` no host. Each format here admits a part of what its RFC does: no year 0000, no leap seconds, no
addresses in brackets, of URIs those with a host, `file:///`, `mailto:` and `urn:`. The others are llguidance's.
"""

from __future__ import annotations

D = "[0-9]"
FOURTH = "(?:0[48]|[2468][048]|[13579][26])"
"""Two digits that four divides, but 00."""

YEAR = f"(?:[1-9]{D}{{3}}|0[1-9]{D}{{2}}|00[1-9]{D}|000[1-9])"
LEAP_YEAR = f"(?:{D}{{2}}{FOURTH}|{FOURTH}00)"
LONG_MONTH = f"(?:0[13578]|1[02])-(?:0[1-9]|[12]{D}|3[01])"
SHORT_MONTH = f"(?:0[469]|11)-(?:0[1-9]|[12]{D}|30)"
FEBRUARY = f"02-(?:0[1-9]|1{D}|2[0-8])"
DATE = f"(?:{YEAR}-(?:{LONG_MONTH}|{SHORT_MONTH}|{FEBRUARY})|{LEAP_YEAR}-02-29)"

MINUTES = f"(?:[01]{D}|2[0-3]):[0-5]{D}"
TIME = rf"{MINUTES}:[0-5]{D}(?:\.{D}+)?(?:[zZ]|[+-]{MINUTES})"

A, L = "[a-zA-Z0-9]", "[a-zA-Z0-9-]"
LABEL = f"(?:{A}(?:{L}{{0,2}}{A})?|{A}{L}(?:{A}{L}|-{A}){L}{{0,58}}{A})"
"""Up to 63 characters (RFC 1123); not with `--` in the third place, which is for Punycode (RFC 5890)."""

HOST = rf"{LABEL}(?:\.{LABEL})*"
LOCAL = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]"
MAILBOX = rf"{LOCAL}+(?:\.{LOCAL}+)*@{HOST}"

PLAIN = r"(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})"
PATH = rf"(?:/{PLAIN}*)*"
PORT = f"(?::(?:[1-9]{D}{{0,3}}|[1-5]{D}{{4}}))?"
WITH_HOST = f"[a-zA-Z][a-zA-Z0-9+.-]*://{HOST}{PORT}{PATH}"
WITH_PATH = f"file:///(?:{PLAIN}+{PATH})?"
URN = f"[uU][rR][nN]:{A}{L}{{0,30}}{A}:{PLAIN}+"
MAIL = rf"mailto:[a-zA-Z0-9_-]+(?:\.[a-zA-Z0-9_-]+)*@{HOST}"
AFTER = rf"(?:\?(?:{PLAIN}|[/?])*)?(?:#(?:{PLAIN}|[/?])*)?"

FIRST = r"(?:[a-zA-Z0-9._~!$&'()*+,;=@-]|%[0-9a-fA-F]{2})"
"""What the first part of a relative path has: a colon in it would end a scheme."""

RELATIVE = rf"(?:/(?:{PLAIN}+{PATH})?|{FIRST}+{PATH})?{AFTER}"
POINTER = "(?:/(?:[^~/]|~[01])*)*"
URI = f"(?:(?:{WITH_HOST}|{WITH_PATH}){AFTER}|{URN}|{MAIL})"

PATTERNS = {
    "date": (f"^{DATE}$",),
    "date-time": (f"^{DATE}[tT]{TIME}$",),
    "time": (f"^{TIME}$",),
    "email": (f"^{MAILBOX}$", "^[^@]{1,64}@.*$", "^.{1,254}$"),
    "hostname": (f"^{HOST}$", "^.{1,253}$"),
    "uri": (f"^{URI}$",),
    "uri-reference": (f"^(?:{URI}|{RELATIVE})$",),
    "json-pointer": (f"^{POINTER}$",),
    "relative-json-pointer": (f"^(?:0|[1-9]{D}*)(?:#|{POINTER})$",),
}
"""What a format's text must match, all of it."""

FORMATS = (*PATTERNS, "duration", "ipv4", "ipv6", "uuid")
