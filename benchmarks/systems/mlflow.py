"""MLflow: a pyfunc model, with the tree in its code_paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.pyfunc


def build(value: Any, folder: Path, tree: Path) -> None:
    class Model(mlflow.pyfunc.PythonModel):  # here, so that cloudpickle takes it by value
        def __init__(self, value: Any) -> None:
            self.value = value

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return self.value

    # Requirements are given, or MLflow starts another process to find them out, which takes seconds.
    mlflow.pyfunc.save_model(
        str(folder / "model"), python_model=Model(value), code_paths=[str(tree)], pip_requirements=["mlflow"]
    )


def load(folder: Path) -> Any:
    return mlflow.pyfunc.load_model(str(folder / "model")).predict(None)
