"""The Open Inference Protocol V2 over HTTP, with its binary data and its model repository, as third-party clients speak it."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterator

import ml_dtypes
import numpy
import pytest
import requests
import tritonclient.http as triton
from serving.protocol_server import ServedJobs, packages_of, serving
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

JOBS = '''
from dataclasses import dataclass
from typing import Optional, TypedDict

import numpy
import pandas
from numpy.typing import NDArray
from pydantic import BaseModel


class Echo:
    def run(self, values):
        return values


class Sum:
    input_tensors = {"left": ("FP32", [-1, 2]), "right": ("FP32", [-1, 2])}
    output_tensors = {"sum": ("FP32", [-1, 2]), "largest": ("FP64", [1])}

    def run(self, left, right, scale: float = 1.0):
        return {"sum": (left + right) * scale, "largest": float((left + right).max())}


class Two(TypedDict):
    doubled: list[int]
    names: list[str]


class Typed:
    """Doubles counts."""

    def run(self, counts: list[int], name: str, factor: Optional[float] = None) -> Two:
        return {"doubled": [2 * one for one in counts], "names": [name, str(factor)]}


class Kinds:
    def run(self, values: NDArray[numpy.float32], matrix: "numpy.ndarray[tuple[int, int], numpy.dtype[numpy.int64]]") -> NDArray[numpy.float64]:
        assert (values.dtype, matrix.dtype) == (numpy.float32, numpy.int64)
        values += 1  # they can be written to
        return values.astype(numpy.float64) * matrix.sum()


class Bytes:
    def run(self, blobs: list[bytes]) -> list[bytes]:
        return [blob[::-1] for blob in blobs]


class Table:
    def run(self, rows: pandas.DataFrame) -> pandas.DataFrame:
        return rows.assign(total=rows.sum(axis=1))


class Flight(BaseModel):
    origin: str
    hour: int


class Objects:
    def run(self, flight: Flight) -> str:
        return f"{type(flight).__name__} {flight.origin} {flight.hour}"


class Pair:
    output_tensors = {"label": ("BYTES", [1]), "score": ("BF16", [-1])}

    def run(self, score: float):
        return "late", [score]


class Strange:
    def run(self, what: str):
        return {"nothing": None, "object": {"a": object()}, "ragged": [[1], [2, 3]], "nan": [float("nan")], "raw": b"\\xff", "big": [0.5] * 1000}[what]


class Fails:
    def run(self, value: int) -> int:
        raise RuntimeError(f"no {value}")


class NotDeclared:
    input_tensors = {"rows": ("FP32", [-1])}

    def run(self, columns):
        return columns
'''
NUMBERS = "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64".split()
SERVED = {name.lower(): f"{name}()" for name in "Echo Sum Typed Kinds Bytes Table Objects Pair Strange Fails".split()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedJobs]:
    with serving(tmp_path_factory.mktemp("inference"), JOBS, SERVED) as served:
        yield served


@pytest.fixture
def client(server: ServedJobs) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.host) as made:
        yield made


def tensor(name: str, array: numpy.ndarray, *, binary: bool = True, datatype: str = "") -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array, binary_data=binary)
    return made


# Health and metadata


def test_the_server_is_live_and_ready_and_says_what_it_is(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    told = client.get_server_metadata()
    assert set(told["extensions"]) == {"binary_tensor_data", "model_repository", "parameters"}
    assert told["name"]
    assert told["version"]


def test_a_model_is_ready_when_it_is_served_under_its_version_as_well(client: triton.InferenceServerClient) -> None:
    assert client.is_model_ready("echo")
    assert client.is_model_ready("echo", "1.0.0")
    assert not client.is_model_ready("echo", "9.9.9")
    assert not client.is_model_ready("nobody")


def test_metadata_is_made_from_type_hints(client: triton.InferenceServerClient) -> None:
    assert client.get_model_metadata("typed") == {
        "name": "typed",
        "versions": ["1.0.0"],
        "platform": "python",
        "inputs": [
            {"name": "counts", "datatype": "INT64", "shape": [-1]},
            {"name": "name", "datatype": "BYTES", "shape": [1]},
            {"name": "factor", "datatype": "FP64", "shape": [1]},
        ],
        "outputs": [
            {"name": "doubled", "datatype": "INT64", "shape": [-1]},
            {"name": "names", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def test_metadata_of_arrays_has_the_types_and_dimensions_of_their_hints(client: triton.InferenceServerClient) -> None:
    told = client.get_model_metadata("kinds", "1.0.0")
    assert told["inputs"] == [
        {"name": "values", "datatype": "FP32", "shape": [-1]},
        {"name": "matrix", "datatype": "INT64", "shape": [-1, -1]},
    ]
    assert told["outputs"] == [{"name": "output", "datatype": "FP64", "shape": [-1]}]


def test_a_job_can_declare_its_tensors(client: triton.InferenceServerClient) -> None:
    told = client.get_model_metadata("sum")
    assert told["inputs"] == [
        {"name": "left", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "right", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "scale", "datatype": "FP64", "shape": [1]},
    ]
    assert told["outputs"] == [
        {"name": "sum", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "largest", "datatype": "FP64", "shape": [1]},
    ]


def test_a_job_that_declares_an_input_it_has_no_parameter_for_is_not_deployed(server: ServedJobs) -> None:
    (file,) = packages_of(server.project, JOBS, {"wrong": "NotDeclared()"})
    answer = server.deploy(file)
    assert answer.status_code == 422
    assert "input_tensors names rows, and the job has no such parameter" in answer.json()["error"]


# Inference


def dtype_of(datatype: str) -> numpy.dtype:
    return numpy.dtype(triton_to_np_dtype(datatype))


@pytest.mark.parametrize("binary_out", [True, False], ids=["binary out", "JSON out"])
@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "JSON in"])
@pytest.mark.parametrize("datatype", NUMBERS)
def test_numbers_of_every_datatype_come_back_as_they_were_sent(
    server: ServedJobs, client: triton.InferenceServerClient, datatype: str, binary_in: bool, binary_out: bool
) -> None:
    dtype = dtype_of(datatype)
    if datatype == "BOOL":
        ends = [False, True]
    else:
        known = numpy.finfo(dtype) if dtype.kind == "f" else numpy.iinfo(dtype)
        ends = [known.min, known.max]
    sent = numpy.array([[*ends, 1], [0, 1, 1]], dtype)
    if datatype == "FP16" and not binary_in:  # which the client refuses to send
        body = {"name": "values", "shape": [2, 3], "datatype": "FP16", "data": sent.tolist()}
        asked = {"name": "output", "parameters": {"binary_data": binary_out}}
        raw = server.infer("echo", inputs=[body], outputs=[asked])
        length = raw.headers.get("inference-header-content-length")
        answer = triton.InferResult.from_response_body(raw.content, header_length=length)
    else:
        wanted = triton.InferRequestedOutput("output", binary_data=binary_out)
        answer = client.infer("echo", [tensor("values", sent, binary=binary_in)], outputs=[wanted])
    received = answer.as_numpy("output")
    assert received.dtype == dtype
    assert numpy.array_equal(received, sent)
    assert ("data" in answer.get_output("output")) is not binary_out


def test_bf16_is_fp32_to_the_job_and_can_be_declared_for_its_answer(client: triton.InferenceServerClient) -> None:
    sent = numpy.array([1.0, -2.5, 3.0e38, 0.0], ml_dtypes.bfloat16)
    answer = client.infer("echo", [tensor("values", sent)])
    assert answer.get_output("output")["datatype"] == "FP32"
    assert answer.as_numpy("output").tolist() == sent.astype(numpy.float32).tolist()
    answer = client.infer("pair", [tensor("score", numpy.array([1 / 3]))])
    assert answer.get_output("score")["datatype"] == "BF16"
    assert answer.as_numpy("score") == numpy.array([1 / 3]).astype(ml_dtypes.bfloat16)


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_texts_are_bytes(client: triton.InferenceServerClient, binary: bool) -> None:
    sent = numpy.array([["late", ""], ["pünktlich", "a\nb"]], object)
    wanted = triton.InferRequestedOutput("output", binary_data=binary)
    answer = client.infer("echo", [tensor("values", sent, binary=binary)], outputs=[wanted])
    received = answer.as_numpy("output")
    assert [one.decode() if binary else one for one in received.reshape(-1)] == sent.reshape(-1).tolist()
    assert received.shape == (2, 2)


def test_bytes_that_are_no_text_travel_as_binary_data_alone(
    server: ServedJobs, client: triton.InferenceServerClient
) -> None:
    sent = numpy.array([b"\xff\x00", b""], object)
    assert client.infer("bytes", [tensor("blobs", sent)]).as_numpy("output").tolist() == [b"\x00\xff", b""]
    asked = [triton.InferRequestedOutput("output", binary_data=False)]
    with pytest.raises(InferenceServerException, match="no UTF-8, so JSON cannot have them; ask for binary data"):
        client.infer("bytes", [tensor("blobs", sent)], outputs=asked)


def test_several_inputs_and_outputs_mixed_as_json_and_binary(client: triton.InferenceServerClient) -> None:
    left = numpy.array([[1, 2], [3, 4]], numpy.float32)
    asked = [
        triton.InferRequestedOutput("largest", binary_data=False),
        triton.InferRequestedOutput("sum", binary_data=True),
    ]
    answer = client.infer("sum", [tensor("left", left, binary=False), tensor("right", left)], outputs=asked)
    assert answer.as_numpy("sum").tolist() == [[2, 4], [6, 8]]
    assert answer.as_numpy("sum").dtype == numpy.float32
    assert answer.as_numpy("largest").tolist() == [8.0]


def test_only_the_outputs_that_are_asked_for_are_sent(client: triton.InferenceServerClient) -> None:
    left = numpy.zeros((1, 2), numpy.float32)
    inputs = [tensor("left", left), tensor("right", left)]
    answer = client.infer("sum", inputs, outputs=[triton.InferRequestedOutput("largest")])
    assert [one["name"] for one in answer.get_response()["outputs"]] == ["largest"]
    with pytest.raises(InferenceServerException, match="the job gives no median; it gives sum, largest"):
        client.infer("sum", inputs, outputs=[triton.InferRequestedOutput("median")])


def test_without_any_asked_for_all_outputs_are_json(server: ServedJobs) -> None:
    inputs = [{"name": name, "shape": [1, 2], "datatype": "FP32", "data": [[0.5, 1]]} for name in ("left", "right")]
    answer = server.infer("sum", inputs=inputs)
    assert answer.headers["content-type"] == "application/json"
    assert "inference-header-content-length" not in answer.headers
    assert answer.headers["x-tg-version"] == "1.0.0"
    assert answer.json() == {
        "model_name": "sum",
        "model_version": "1.0.0",
        "outputs": [
            {"name": "sum", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]},
            {"name": "largest", "datatype": "FP64", "shape": [1], "data": [2.0]},
        ],
    }


def test_binary_answers_say_their_type_and_the_length_of_their_json(server: ServedJobs) -> None:
    given = {"name": "values", "shape": [3], "datatype": "UINT8", "parameters": {"binary_data_size": 3}}
    head = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    answer = server.post("/v2/models/echo/infer", head + b"abc", inference_header_content_length=str(len(head)))
    length = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content[length:] == b"abc"
    assert json.loads(answer.content[:length])["outputs"] == [
        {"name": "output", "datatype": "UINT8", "shape": [3], "parameters": {"binary_data_size": 3}}
    ]


def test_an_output_can_override_that_all_are_binary(server: ServedJobs) -> None:
    given = {"name": "values", "shape": [1], "datatype": "INT8", "data": [-1]}
    asked = {"name": "output", "parameters": {"binary_data": False}}
    answer = server.infer("echo", inputs=[given], outputs=[asked], parameters={"binary_data_output": True})
    assert answer.json()["outputs"][0]["data"] == [-1]


def test_a_request_keeps_its_id(client: triton.InferenceServerClient) -> None:
    inputs = [tensor("values", numpy.arange(3))]
    assert client.infer("echo", inputs, request_id="request 7").get_response()["id"] == "request 7"
    assert "id" not in client.infer("echo", inputs).get_response()


def test_a_version_can_be_named(client: triton.InferenceServerClient) -> None:
    inputs = [tensor("values", numpy.arange(3))]
    assert client.infer("echo", inputs, model_version="1.0.0").get_response()["model_version"] == "1.0.0"
    with pytest.raises(
        InferenceServerException, match=r"version 9 of echo is not ready; these are: 1\.0\.0"
    ) as refused:
        client.infer("echo", inputs, model_version="9")
    assert refused.value.status() == "404"


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_requests_and_answers_can_be_compressed(client: triton.InferenceServerClient, algorithm: str) -> None:
    sent = numpy.arange(10_000).reshape(100, 100)
    answer = client.infer(
        "echo",
        [tensor("values", sent)],
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    assert numpy.array_equal(answer.as_numpy("output"), sent)


@pytest.mark.parametrize(
    ("accepted", "used"), [("gzip", "gzip"), ("deflate;q=0.5, gzip;q=0.1", "deflate"), ("br", None)]
)
def test_answers_are_compressed_as_the_client_asks(server: ServedJobs, accepted: str, used: str | None) -> None:
    given = {"name": "what", "shape": [1], "datatype": "BYTES", "data": ["big"]}
    answer = server.post("/v2/models/strange/infer", json.dumps({"inputs": [given]}), accept_encoding=accepted)
    assert answer.headers.get("content-encoding") == used
    assert answer.json()["outputs"][0]["data"] == [0.5] * 1000
    assert (int(answer.headers["content-length"]) < 200) is (used is not None)


def test_typed_parameters_get_pythons_own_values(client: triton.InferenceServerClient) -> None:
    inputs = [tensor("counts", numpy.array([1, 2])), tensor("name", numpy.array(["x"], object))]
    answer = client.infer("typed", inputs)
    assert answer.as_numpy("doubled").tolist() == [2, 4]
    assert answer.as_numpy("names").tolist() == [b"x", b"None"]


def test_parameters_of_a_request_are_arguments_where_the_job_has_such(client: triton.InferenceServerClient) -> None:
    ones = numpy.ones((1, 2), numpy.float32)
    inputs = [tensor("left", ones), tensor("right", ones)]
    answer = client.infer("sum", inputs, parameters={"scale": 10, "for_somebody_else": 1})
    assert answer.as_numpy("sum").tolist() == [[20, 20]]


def test_arrays_are_of_the_type_that_their_hint_says_and_can_be_written_to(
    client: triton.InferenceServerClient,
) -> None:
    inputs = [
        tensor("values", numpy.array([1.5, 2.5], numpy.float32)),
        tensor("matrix", numpy.array([[1], [2]], numpy.uint8)),
    ]
    assert client.infer("kinds", inputs).as_numpy("output").tolist() == [7.5, 10.5]


def test_an_empty_tensor_is_one(client: triton.InferenceServerClient) -> None:
    answer = client.infer("echo", [tensor("values", numpy.zeros((0, 4), numpy.float32))])
    assert answer.as_numpy("output").shape == (0, 4)


def test_the_columns_of_a_table_are_tensors_by_their_names(client: triton.InferenceServerClient) -> None:
    inputs = [tensor("a", numpy.array([1, 2])), tensor("b", numpy.array([[0.5], [1.5]]))]
    answer = client.infer("table", inputs)
    assert {name: answer.as_numpy(name).tolist() for name in ("a", "b", "total")} == {
        "a": [1, 2],
        "b": [0.5, 1.5],
        "total": [1.5, 3.5],
    }


def test_an_object_is_one_text_of_json(client: triton.InferenceServerClient) -> None:
    sent = numpy.array(['{"origin": "JFK", "hour": 20}'], object)
    assert client.infer("objects", [tensor("flight", sent)]).as_numpy("output").tolist() == [b"Flight JFK 20"]


def test_a_single_parameter_takes_a_tensor_of_any_name(client: triton.InferenceServerClient) -> None:
    assert client.infer("echo", [tensor("INPUT__0", numpy.array([3]))]).as_numpy("output").tolist() == [3]


def test_a_pair_is_the_declared_outputs_in_their_order(client: triton.InferenceServerClient) -> None:
    answer = client.infer("pair", [tensor("score", numpy.array([0.5]))])
    assert answer.as_numpy("label").tolist() == [b"late"]
    assert answer.as_numpy("score").tolist() == [0.5]


def test_what_is_no_number_is_null_in_json(server: ServedJobs) -> None:
    given = {"name": "what", "shape": [1], "datatype": "BYTES", "data": ["nan"]}
    assert server.infer("strange", inputs=[given]).json()["outputs"][0]["data"] == [None]


# Refusals, in the protocol's form


GOOD = {"name": "values", "shape": [2], "datatype": "INT32", "data": [1, 2]}


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([{**GOOD, "datatype": "INT128"}], "'INT128' is no datatype; these are: BYTES, BOOL"),
        ([{**GOOD, "shape": [3]}], "inputs.values: shape [3] has 3 elements, and 2 are given"),
        ([{**GOOD, "shape": [-1]}], "inputs.values: [-1] is no shape of a tensor that is there"),
        ([{**GOOD, "shape": "2"}], "is no shape"),
        ([{**GOOD, "data": ["a", "b"]}], "inputs.values: these are no numbers"),
        ([{**GOOD, "data": [1.5, 2]}], "inputs.values: not all of these are int32"),
        ([{**GOOD, "data": [1 << 40, 2]}], "inputs.values: "),
        ([{**GOOD, "datatype": "BYTES"}], "the elements of BYTES are texts in JSON"),
        ([{name: GOOD[name] for name in ("name", "shape", "datatype")}], "inputs.values: it has no data"),
        ([GOOD, GOOD], "inputs.values: it is given twice"),
        (["values"], "an input is an object with name, shape, datatype and data"),
        ([], "values: Field required"),
        ([GOOD, {**GOOD, "name": "more"}], "more: Extra inputs are not permitted"),
        ([{**GOOD, "parameters": {"binary_data_size": 8}}], "binary_data_size is 8, and 0 bytes are left in the body"),
        ([{**GOOD, "parameters": {"shared_memory_region": "x"}}], "shared memory is not served here"),
        ([{**GOOD, "parameters": []}, GOOD], "twice"),
        ([{**GOOD, "parameters": [1]}], "parameters are an object"),
    ],
)
def test_inputs_that_are_not_right_are_refused_with_their_place(
    server: ServedJobs, inputs: list[object], reason: str
) -> None:
    answer = server.infer("echo", inputs=inputs)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


def test_a_tensor_that_is_not_as_declared_is_refused(client: triton.InferenceServerClient) -> None:
    wrong = tensor("left", numpy.zeros((1, 3), numpy.float32))
    with pytest.raises(InferenceServerException, match=r"it is FP32 \[1, 3\], and FP32 \[-1, 2\] is declared"):
        client.infer("sum", [wrong, wrong])


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (
            {"outputs": [{"name": "output", "parameters": {"classification": 2}}]},
            "classification extension is not served",
        ),
        ({"parameters": {"sequence_id": 3}}, "sequences of requests are not served here"),
        ({"outputs": ["output"]}, "an output that is asked for is an object with a name"),
        ({"outputs": "output"}, "an output that is asked for is an object with a name"),
    ],
)
def test_what_is_not_served_is_said_plainly(server: ServedJobs, request_: dict[str, object], reason: str) -> None:
    answer = server.infer("echo", inputs=[GOOD], **request_)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is no JSON"),
        (b"[]", "the body is no inference request"),
        (b'{"inputs": {}}', "the body is no inference request"),
        (b"\xff\xfe", "the body is no JSON"),
        (b'{"inputs": []}abc', "where bytes follow it, inference-header-content-length says its length"),
    ],
)
def test_a_body_that_is_no_request_is_refused(server: ServedJobs, body: bytes, reason: str) -> None:
    answer = server.post("/v2/models/echo/infer", body)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        ("1000", "inference-header-content-length is 1000, and the body has"),
        ("many", "inference-header-content-length is not a number of bytes"),
        ("-1", "inference-header-content-length is not a number of bytes"),
        (None, "4 bytes are left in the body that belong to no input"),
    ],
)
def test_a_wrong_length_of_the_json_is_refused(server: ServedJobs, length: str | None, reason: str) -> None:
    head = json.dumps({"inputs": [GOOD]}).encode()
    answer = server.post(
        "/v2/models/echo/infer", head + b"more", inference_header_content_length=length or str(len(head))
    )
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


def test_elements_of_bytes_that_end_early_are_refused(server: ServedJobs) -> None:
    raw = struct.pack("<I", 10) + b"short"
    given = {"name": "values", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [given]}).encode()
    answer = server.post("/v2/models/echo/infer", head + raw, inference_header_content_length=str(len(head)))
    assert answer.status_code == 400
    assert "its bytes end in the middle of an element" in answer.json()["error"]


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [("gzip", b"no gzip", 400), ("deflate", zlib.compress(b"{}")[:-3], 400), ("br", b"{}", 415)],
)
def test_a_body_that_is_not_compressed_as_it_says_is_refused(
    server: ServedJobs, encoding: str, body: bytes, status: int
) -> None:
    answer = server.post("/v2/models/echo/infer", body, content_encoding=encoding)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_compressed_body_of_json_alone_is_read(server: ServedJobs) -> None:
    body = gzip.compress(json.dumps({"inputs": [GOOD]}).encode())
    assert server.post("/v2/models/echo/infer", body, content_encoding="gzip").status_code == 200


@pytest.mark.parametrize("what", ["nothing", "object", "ragged"])
def test_an_answer_that_is_no_tensor_is_the_jobs_failure(server: ServedJobs, what: str) -> None:
    given = {"name": "what", "shape": [1], "datatype": "BYTES", "data": [what]}
    answer = server.infer("strange", inputs=[given])
    assert answer.status_code == 500
    assert "is no tensor" in answer.json()["error"]


def test_what_the_job_raises_is_told(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="the job raised RuntimeError: no 3") as failed:
        client.infer("fails", [tensor("value", numpy.array([3]))])
    assert failed.value.status() == "500"


@pytest.mark.parametrize(
    "path", ["/v2/models/nobody", "/v2/models/nobody/versions/1", "/v2/nothing", "/v2/models/echo/config"]
)
def test_what_is_not_there_is_told_in_the_protocols_form(server: ServedJobs, path: str) -> None:
    answer = server.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]


def test_the_wrong_verb_is_told_in_the_protocols_form(server: ServedJobs) -> None:
    answer = server.get("/v2/models/echo/infer")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.json()["error"]


# The repository of models


def test_the_index_names_all_versions_whatever_its_body_is(
    server: ServedJobs, client: triton.InferenceServerClient
) -> None:
    by_client = client.get_model_repository_index()  # with an empty body
    assert {"name": "echo", "version": "1.0.0", "state": "READY", "reason": ""} in by_client
    for body in (b"{}", b'{"ready": false}'):
        assert server.post("/v2/repository/index", body).json() == by_client
    assert server.post("/v2/repository/index", b"[").status_code == 400


def test_a_model_is_unloaded_and_loaded_again(server: ServedJobs, client: triton.InferenceServerClient) -> None:
    (file,) = packages_of(server.project, JOBS, {"leaves": "Echo()"})
    assert server.deploy(file).status_code == 200
    client.unload_model("leaves", headers=server.headers)
    assert not client.is_model_ready("leaves")
    assert client.is_server_ready()
    ready = json.loads(server.post("/v2/repository/index", b'{"ready": true}').content)
    assert "leaves" not in {one["name"] for one in ready}
    with pytest.raises(InferenceServerException):
        client.infer("leaves", [tensor("values", numpy.array([1]))])
    client.load_model("leaves", headers=server.headers)
    assert client.is_model_ready("leaves", "1.0.0")
    assert client.infer("leaves", [tensor("values", numpy.array([1]))]).as_numpy("output").tolist() == [1]


def test_several_versions_are_listed_asked_for_and_unloaded_one_by_one(
    server: ServedJobs, client: triton.InferenceServerClient
) -> None:
    def change(verb: str, version: str) -> requests.Response:
        address = f"{server.address}/v2/repository/models/two/{verb}"
        body = json.dumps({"parameters": {"version": version}})
        return requests.post(address, data=body, headers=server.headers, timeout=60)

    for file in packages_of(server.project, JOBS, {"two": "Echo()", "two@2.0.0": "Bytes()"}):
        assert server.deploy(file).status_code == 200
    assert client.get_model_metadata("two")["inputs"][0]["name"] == "blobs"
    assert client.get_model_metadata("two", "1.0.0")["inputs"][0]["name"] == "values"
    assert set(client.get_model_metadata("two")["versions"]) == {"1.0.0", "2.0.0"}
    inputs = [tensor("values", numpy.array([1]))]
    assert client.infer("two", inputs, model_version="1.0.0").get_response()["model_version"] == "1.0.0"

    busy = change("unload", "2.0.0")
    assert busy.status_code == 409
    assert "gets requests" in busy.json()["error"]
    assert change("unload", "1.0.0").status_code == 200
    assert not client.is_model_ready("two", "1.0.0")
    assert change("load", "1.0.0").status_code == 200
    assert client.infer("two", inputs).get_response()["model_version"] == "1.0.0"


def test_loading_can_name_a_version(server: ServedJobs) -> None:
    def load(body: object) -> requests.Response:
        address = f"{server.address}/v2/repository/models/echo/load"
        return requests.post(address, data=json.dumps(body), headers=server.headers, timeout=60)

    assert load({"parameters": {"version": "1.0.0"}}).status_code == 200
    unknown = load({"parameters": {"version": "2.0.0"}})
    assert unknown.status_code == 404
    assert unknown.json() == {"error": "there is no version 2.0.0 of echo; these are known: 1.0.0"}
    assert load({"parameters": {"config": "{}"}}).json() == {
        "error": "the parameter 'config' is not known here; version is"
    }


def test_loading_and_unloading_need_a_token(server: ServedJobs) -> None:
    for verb in ("load", "unload"):
        answer = server.post(f"/v2/repository/models/echo/{verb}")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]


def test_an_unknown_model_cannot_be_loaded(client: triton.InferenceServerClient, server: ServedJobs) -> None:
    with pytest.raises(InferenceServerException, match="nothing is known under the name 'nobody'"):
        client.load_model("nobody", headers=server.headers)
