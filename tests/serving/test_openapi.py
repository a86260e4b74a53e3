"""The OpenAPI description of what is live, and the page that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from browsers import listen, with_one_python
from openapi_spec_validator import OpenAPIV31SpecValidator
from playwright.sync_api import Browser, expect
from serving.protocol_server import ServedJobs, serving

from tg.common.delivery.serving.access import Access, Role

JOBS = '''
from decimal import Decimal
from typing import Annotated, Literal, Union

import numpy
import pandas
from pydantic import BaseModel, Field


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9
    weight: Decimal = Decimal(4)


class Dog(BaseModel):
    kind: Literal["dog"]
    friends: list["Dog"] = []


Pet = Annotated[Union[Cat, Dog], Field(discriminator="kind")]


class Keeper:
    """Keeps a pet.

    And gives it back.
    """

    def run(self, pet: Pet, name: str = "Rex") -> Dog:
        return Dog(kind="dog")


class Cage:
    def run(self, cat: Cat) -> Cat:
        """Keeps a cat."""
        return cat


class Late:
    def run(self, rows: pandas.DataFrame, values: numpy.ndarray) -> numpy.ndarray:
        return values


class Untyped:
    def run(self, model_config, **others):
        return model_config
'''
SERVED = {name.lower(): f"{name}()" for name in ("Keeper", "Cage", "Late", "Untyped")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedJobs]:
    with serving(tmp_path_factory.mktemp("described"), JOBS, SERVED) as served:
        yield served


def test_the_description_is_openapi_3_1(server: ServedJobs) -> None:
    described = server.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    assert set(described["paths"]) == {"/keeper", "/cage", "/late", "/untyped"}
    OpenAPIV31SpecValidator(described).validate()


def test_what_a_job_takes_and_gives_is_told_by_its_hints_and_its_documentation(server: ServedJobs) -> None:
    described = server.get("/openapi.json").json()
    operation = described["paths"]["/keeper"]["post"]
    assert (operation["summary"], operation["description"]) == ("Keeps a pet.", "And gives it back.")
    arguments = operation["requestBody"]["content"]["application/json"]["schema"]
    assert arguments["required"] == ["pet"]
    assert arguments["properties"]["name"]["default"] == "Rex"
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["$ref"].startswith("#/components/schemas/keeper.Dog")


def test_every_reference_is_to_a_definition_of_its_own_job(server: ServedJobs) -> None:
    described = server.get("/openapi.json").json()
    schemas = described["components"]["schemas"]
    mapping = described["paths"]["/keeper"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    choices = mapping["properties"]["pet"]["discriminator"]["mapping"]
    assert set(choices) == {"cat", "dog"}
    for reference in choices.values():
        assert reference.removeprefix("#/components/schemas/") in schemas
        assert reference.startswith("#/components/schemas/keeper.")
    assert any(name.startswith("cage.Cat") for name in schemas)


def test_what_is_taken_is_described_apart_from_what_is_given(server: ServedJobs) -> None:
    described = server.get("/openapi.json").json()
    operation = described["paths"]["/cage"]["post"]
    taken = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]["cat"]["$ref"]
    given = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    taken, given = (described["components"]["schemas"][one.rpartition("/")[2]] for one in (taken, given))
    assert {one["type"] for one in taken["properties"]["weight"]["anyOf"]} == {"number", "string"}
    assert given["properties"]["weight"]["type"] == "string"


def test_the_failures_that_can_come_are_described(server: ServedJobs) -> None:
    responses = server.get("/openapi.json").json()["paths"]["/cage"]["post"]["responses"]
    assert {"200", "404", "413", "422", "500", "503"} <= set(responses)
    invalid = server.ask("cage", {"cat": {}})
    assert invalid.status_code == 422
    assert {"error", "problems"} == set(invalid.json())


@with_one_python
def test_the_page_shows_it_and_asks_a_job(server: ServedJobs, browser: Browser) -> None:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    complaints, lost = listen(page), []
    page.on("requestfailed", lambda request: lost.append(request.url))
    page.goto(f"{server.address}/docs")
    operation = page.locator("#operations-cage-cage")
    operation.get_by_text("/cage").first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("textarea").fill('{"cat": {"kind": "cat", "lives": 3}}')
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    expect(operation.locator(".live-responses-table")).to_contain_text("x-tg-version: 1.0.0")
    page.close()
    assert (complaints, lost) == ([], [])


def test_with_tokens_the_description_says_so_and_models_are_shown_to_those_who_have_one(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    made = {role: Access.new_token(tokens, role.name, role) for role in (Role.READ, Role.INFER, Role.DEPLOY)}
    jobs = {"untyped": "Untyped()"}
    with serving(tmp_path / "secured", JOBS, jobs, "--tokens", str(tokens), token=made[Role.DEPLOY]) as server:
        described = server.get("/openapi.json").json()
        OpenAPIV31SpecValidator(described).validate()
        assert described["security"] == [{"token": []}]
        assert "401" in described["paths"]["/untyped"]["post"]["responses"]
        for path in ("/v2/models/untyped", "/v2/models/untyped/versions/1.0.0"):
            refused = server.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        reader = {"authorization": f"Bearer {made[Role.READ]}"}
        assert requests.get(f"{server.address}/v2/models/untyped", headers=reader, timeout=60).status_code == 200
        assert server.post("/v2/repository/index", **reader).status_code == 200
        assert server.post("/v2/repository/index").status_code == 401
        arguments = {"model_config": 1}
        assert server.ask("untyped", arguments).status_code == 401
        assert server.ask("untyped", arguments, **reader).status_code == 403
        assert server.ask("untyped", arguments, authorization=f"Bearer {made[Role.INFER]}").json() == 1
        assert server.get("/v2/health/live").json() == {"live": True}
