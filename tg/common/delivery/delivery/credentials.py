"""Credentials that lie about in what is to be delivered: files and places in files that look like keys and tokens.

What has a form of its own is found: tokens that begin like no other text, private keys, addresses with a password in them.
A password that is a word is not: nothing tells it from other text.
"""

from __future__ import annotations

import re

__all__ = ["credential_file", "find_credentials"]

_NAMES = re.compile(
    r"\.env(?!\.(?:example|sample|template|dist)$)(?:\..*)?|.*\.env|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|[._]netrc|\.pgpass"
    r"|\.pypirc|\.git-credentials|\.dockercfg|\.htpasswd|.*\.(?:p12|pfx|jks|keystore|kdbx|ppk)|kubeconfig"
    r"|application_default_credentials\.json|(?:.*/)?(?:\.aws/credentials|\.docker/config\.json|\.kube/config|\.ssh/config)",
    re.IGNORECASE,
)

_FORMS = {
    rb"A(?:KIA|SIA|BIA|CCA|3T[A-Z0-9])[0-9A-Z]{16}": "a key of AWS",
    rb"aws(?i:.{0,20}?(?:key|pwd|pw|password|pass|token).{0,20}?)['\"][0-9a-zA-Z/+]{40}['\"]": "a secret key of AWS",
    rb"AWS(?i:.{0,20}?(?:key|pwd|pw|password|pass|token).{0,20}?)['\"][0-9a-zA-Z/+]{40}['\"]": "a secret key of AWS",
    rb"AccountKey=[a-zA-Z0-9+/=]{88}": "a storage key of Azure",
    rb"://[^:/?#\[\]@!$&'()*+,;=\s{}<>\"]+:(?!(?i:pass(?:word|wd|phrase)?|pw|secret|token|changeme|x+|postgres|prefix)@)[^:/?#\[\]@!$&'()*+,;=\s{}<>\"]+@": "an address with a password",
    rb"gh[opsur]_[A-Za-z0-9_]{36}": "a token of GitHub",
    rb"github_pat_[A-Za-z0-9_]{40}": "a token of GitHub",
    rb"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[A-Za-z0-9_-]{20}": "a token of GitLab",
    rb"eyJ[A-Za-z0-9_=-]{8,}\.eyJ[A-Za-z0-9_=-]{8,}\.[A-Za-z0-9_=-]+": "a JSON web token",
    rb":_authToken=\s*(?:npm_|[A-Fa-f0-9-]{36})": "a token of npm",
    rb"sk-[A-Za-z0-9_-]*[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}": "a key of OpenAI",
    rb"sk-ant-[A-Za-z0-9_-]{30}": "a key of Anthropic",
    rb"BEGIN [A-Z0-9 ]*PRIVATE KEY": "a private key",
    rb"PuTTY-User-Key-File-[0-9]": "a private key",
    rb"AGE-SECRET-KEY-1[A-Z0-9]{58}": "a private key",
    rb"pypi-Ag[EI][A-Za-z0-9_-]{80}": "a token of PyPI",
    rb"SG\.[a-zA-Z0-9_-]{22}\.[a-zA-Z0-9_-]{43}": "a key of SendGrid",
    rb"xox[abposr]-(?:\d+-)+[a-z0-9]": "a token of Slack",
    rb"hooks\.slack\.com/services/T[a-zA-Z0-9_]+/B[a-zA-Z0-9_]+/[a-zA-Z0-9_]": "a webhook of Slack",
    rb"sq0csp-[0-9A-Za-z\\_-]{43}": "a secret of Square",
    rb"k_live_[0-9a-zA-Z]{24}": "a key of Stripe",
    rb":AA[0-9A-Za-z_-]{33}(?![0-9A-Za-z_-])": "a token of Telegram",
    rb"hf_[A-Za-z]{34}(?![A-Za-z0-9_])": "a token of Hugging Face",
    rb"AIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])": "a key of Google",
}
_PATTERNS = {re.compile(form): what for form, what in _FORMS.items()}
"""Each begins with a text of its own, which is what makes the search quick."""

_ALLOWED = re.compile(rb"pragma: ?allowlist[ -]secret|gitleaks:allow")


def credential_file(path: str) -> bool:
    """Whether a file has the name of one that holds credentials; `path` is below the root, with `/`."""
    return _NAMES.fullmatch(path.rpartition("/")[2]) is not None or _NAMES.fullmatch(path) is not None


def find_credentials(data: bytes | memoryview) -> list[tuple[int, str]]:
    """Lines, from 1 on, and what stands there, in their order; without those whose line says `pragma: allowlist secret`."""
    found = []
    text = bytes(data)
    for pattern, what in _PATTERNS.items():
        for match in pattern.finditer(text):
            begin, end = text.rfind(b"\n", 0, match.start()) + 1, text.find(b"\n", match.end())
            if not _ALLOWED.search(text, begin, len(text) if end < 0 else end):
                found.append((text.count(b"\n", 0, match.start()) + 1, what))
    return sorted(set(found))
