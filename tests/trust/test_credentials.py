"""Nothing secret goes out: what looks like a key or a token stops a package from being made, with its file and line."""

from __future__ import annotations

import base64
import importlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import Project

from tg.common.delivery.delivery.credentials import credential_file, find_credentials

A = "Abc1defghiJklmnopqrstuvwxyz0123456789Abc1defghiJklmnopqrstuvwxyz0123456789Abc1defghiJklmnopqrst"
_JSON = [base64.urlsafe_b64encode(one).decode().rstrip("=") for one in (b'{"alg":"HS256"}', b'{"sub":"1234567890"}')]

# Put together here, so that no file of ours looks like one.
TOKENS = {
    "a key of AWS": "AKIA" + "Q3EGBNAAHOZ5DK7X",
    "a secret key of AWS": "aws_secret_key = '" + A[:40] + "'",
    "a storage key of Azure": "AccountKey=" + A[:88],
    "an address with a password": "postgresql://me:" + "correcthorse@db.example.org/x",
    "a token of GitHub": "ghp_" + A[:36],
    "a token of GitLab": "glpat-" + A[:20],
    "a JSON web token": ".".join([*_JSON, A[:43]]),
    "a token of npm": "//registry.npmjs.org/" + ":_authToken=npm_" + A[:36],
    "a key of OpenAI": "sk-" + A[:20] + "T3Blbk" + "FJ" + A[:20],
    "a key of Anthropic": "sk-ant-" + "api03-" + A[:40],
    "a private key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "a token of PyPI": "pypi-" + "AgEIcHlwaS5vcmc" + A[:80],
    "a key of SendGrid": "SG." + A[:22] + "." + A[:43],
    "a token of Slack": "xoxb-" + "34532454-e039d02840a0b9379c",
    "a webhook of Slack": "https://hooks.slack.com" + "/services/T0A1B2C3D/B0A1B2C3D/abcdefghijk",
    "a secret of Square": "sq0csp-" + A[:43],
    "a key of Stripe": "sk_live_" + A[:24],
    "a token of Telegram": "110201543" + ":AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawA"[:36],
    "a token of Hugging Face": "hf_" + "AbcdefghijklmnopqrstuvwxyzAbcdefgh",
    "a key of Google": "AIza" + A[:35],
}
DETECTORS = {
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "basic_auth": "BasicAuthDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "jwt": "JwtTokenDetector",
    "npm": "NpmDetector",
    "openai": "OpenAIDetector",
    "private_key": "PrivateKeyDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
}


def detector(module: str) -> object:
    return getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), DETECTORS[module])()


@pytest.mark.parametrize("what", TOKENS)
def test_a_token_is_found_where_it_stands(what: str) -> None:
    text = f'import os\n\nTOKEN = "{TOKENS[what]}"\n'
    assert find_credentials(text.encode()) == [(3, what)]
    assert find_credentials(text.replace("\n", "  # pragma: allowlist secret\n").encode()) == []


@pytest.mark.parametrize("module", DETECTORS)
def test_a_known_detector_finds_no_more_in_its_field(module: str) -> None:
    """Everything of ours that detect-secrets knows, it finds; and each of its detectors is tried with one."""
    found = [what for what, token in TOKENS.items() if list(detector(module).analyze_string(f'x = "{token}"'))]  # type: ignore[attr-defined]
    assert found
    for what in found:
        assert find_credentials(TOKENS[what].encode())


@given(st.sampled_from(sorted(DETECTORS)), st.data())
@settings(max_examples=300)
def test_what_a_known_detector_finds_is_found(module: str, data: st.DataObject) -> None:
    """Texts drawn from the detector's own patterns. Left out are patterns that take in other text as well."""
    plugin = detector(module)
    pattern = data.draw(st.sampled_from(list(plugin.denylist)))  # type: ignore[attr-defined]
    text = data.draw(st.from_regex(pattern, alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
    if (
        module in ("basic_auth", "jwt", "npm", "slack", "telegram_token")
        or "aws." in pattern.pattern
        or "GR1348941" in pattern.pattern
    ):
        return  # these patterns take in what is no token; the samples above stand for them
    assert find_credentials(text.encode()), text


@pytest.mark.parametrize(
    "text",
    [
        "https://user:password@example.org",
        "postgresql://{user}:{password}@{host}",
        "sk-learn, hf_hub, gh_pages, AKIA",
        "the header says BEGIN CERTIFICATE",
        "eyJhbGciOiJIUzI1NiJ9.short",
        "os.environ['AWS_SECRET_ACCESS_KEY']",
    ],
)
def test_what_is_no_token_is_left_alone(text: str) -> None:
    assert find_credentials(text.encode()) == []


@pytest.mark.parametrize("package", ["numpy", "pandas", "pip"])
def test_real_source_is_not_called_a_secret(package: str) -> None:
    """No more than three places in a whole library; with the known detector's general rules it would be many."""
    folder = Path(importlib.import_module(package).__file__ or "").parent
    found = [(file, place) for file in folder.rglob("*.py") for place in find_credentials(file.read_bytes())]
    assert len(found) <= 3, found


@pytest.mark.parametrize(
    "path",
    [".env", "a/.env", ".env.production", "prod.env", "id_rsa", ".ssh/id_ed25519", ".netrc", ".pypirc", ".aws/credentials",
     "x/.docker/config.json", "key.p12", "store.JKS", "kubeconfig"],
)  # fmt: skip
def test_a_file_is_known_by_its_name(path: str) -> None:
    assert credential_file(path)


@pytest.mark.parametrize(
    "path", [".env.example", "environment.py", "env.py", "credentials", "config.json", "id_rsa.pub", "keys.py"]
)
def test_other_files_are_left_alone(path: str) -> None:
    assert not credential_file(path)


def failed(project: Project, settings: str = "", job: str = "tg.my.job:Job()") -> str:
    module, _, expression = job.partition(":")
    return project.run(
        f"""
from {module} import *
from tg.common.delivery.delivery import Packaging
packaging = Packaging('my_job', '1.0.0', dict(job={expression}))
{settings}
packaging.make_package()
""",
        fails=True,
    )


def test_a_token_stops_the_build(project: Project) -> None:
    project.write("tg/my/settings.py", f'import os\nTOKEN = "{TOKENS["a token of GitHub"]}"\n')
    for _ in range(2):  # the second time from memory
        told = failed(project)
        assert f"{project.folder}/tg/my/settings.py:2 looks like a token of GitHub" in told
        assert TOKENS["a token of GitHub"] not in told
        assert not list(project.home.rglob("*.whl"))
    project.deliver(settings="packaging.allow_credentials = ['my/settings.py']")
    project.write("tg/my/settings.py", f'TOKEN = "{TOKENS["a token of GitHub"]}"  # pragma: allowlist secret\n')
    project.deliver()


def test_a_file_of_credentials_stops_the_build(project: Project) -> None:
    project.write("tg/my/.env", "PASSWORD=hunter2\n")
    told = failed(project)
    assert f"{project.folder}/tg/my/.env has the name of a file with credentials" in told
    assert "hunter2" not in told
    project.deliver(settings="packaging.allow_credentials = ['my/.env']")
    project.write("tg/.deliveryignore", ".env\n")
    project.deliver()


def test_a_token_in_the_payload_stops_the_build(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        """
        class Job:
            def __init__(self, token):
                self.token = token
            def run(self):
                return self.token
        """,
    )
    job = f"tg.my.job:Job({TOKENS['a token of Hugging Face']!r})"
    told = failed(project, job=job)
    assert "payload['job'] holds what looks like a token of Hugging Face" in told
    project.deliver(job=job, settings="""packaging.allow_credentials = ["payload['job']"]""")


def test_a_token_in_a_set_stops_the_build_and_is_told_once(project: Project) -> None:
    """Sets of plain values stand before the rest of a pickle, in an order of their own."""
    project.write(
        "tg/my/job.py",
        """
        class Job:
            def __init__(self, tokens):
                self.tokens = tokens
            def run(self):
                return self.tokens
        """,
    )
    token = TOKENS["a token of GitHub"]
    told = failed(project, job=f"tg.my.job:Job([{{{token!r}, 'other'}}, 'one\\n{token}', 'two\\n{token}'])")
    assert told.count("payload['job'] holds what looks like a token of GitHub") == 1
    told = failed(project, job=f"tg.my.job:Job({{{token!r}, 'other'}})")
    assert told.count("payload['job'] holds what looks like a token of GitHub") == 1


def test_what_is_allowed_has_to_be_there(project: Project) -> None:
    told = failed(project, "packaging.allow_credentials = ['my/nothing.pem']")
    assert "allow_credentials names 'my/nothing.pem', which is neither a file below tg/" in told
    assert "is one text" in failed(project, "packaging.allow_credentials = 'my/nothing.pem'")


def test_values_of_the_environment_are_in_nothing_that_is_made(project: Project) -> None:
    """Neither in the package, nor beside it, nor in what a run writes down, nor among the arguments of its processes."""
    secret = "v3ry-s3cret-value"
    project.write(
        "tg/my/job.py",
        """
        import os, subprocess
        class Job:
            def run(self):
                listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
                return os.environ["MY_TOKEN"] in listed, len(os.environ["MY_TOKEN"])
        """,
    )
    file = project.deliver(MY_TOKEN=secret)
    printed = project.run(
        f"""
        from tg.common.delivery.execution import ProcessExecutor
        run = ProcessExecutor(propagate=['MY_TOKEN']).start({str(file)!r})
        run.wait()
        print(*run.logs(), sep='\\n')
        print(run.result())
        """,
        MY_TOKEN=secret,
    )
    assert printed.splitlines()[-1] == f"(False, {len(secret)})"
    assert secret not in printed
    for place in project.home.rglob("*"):
        if place.is_file():
            assert secret.encode() not in place.read_bytes(), place


def test_a_missing_variable_is_told_by_its_name(project: Project) -> None:
    file = project.deliver()
    told = project.run(
        f"""
        from tg.common.delivery.execution import ProcessExecutor
        ProcessExecutor(propagate=['MY_TOKEN', 'OTHER']).start({str(file)!r})
        """,
        fails=True,
        OTHER="v3ry-s3cret-value",
    )
    assert "MY_TOKEN" in told
    assert "v3ry-s3cret-value" not in told
