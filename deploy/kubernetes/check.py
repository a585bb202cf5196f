#!/usr/bin/env python3
"""Check the manifests of this folder without a cluster: schemas, and what hiertl_dist wants of every container.

    pip install kubernetes-validate && pip install --no-deps dask-kubernetes
    python check.py

Schemas are Kubernetes' own (kubernetes-validate) and those of the resources of dask's operator (dask-kubernetes). What
is not installed is named, and the exit code is then 3; it is 1 where something is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
FOLDERS = {"NUMBA_CACHE_DIR": "/data/", "TMPDIR": "/scratch", "DASK_TEMPORARY_DIRECTORY": "/scratch"}
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def main() -> int:
    """Print what is wrong or was not checked; returns the exit code."""
    manifests = {file.name: list(yaml.safe_load_all(file.read_text())) for file in sorted(HERE.glob("*.yaml"))}
    schemas = operator_schemas()
    faults, unchecked = [], []
    for name, documents in manifests.items():
        for document in documents:
            faults += [f"{name}: {fault}" for fault in own_rules(document)]
            if document["apiVersion"].startswith("kubernetes.dask.org/"):
                if schemas is None:
                    unchecked.append(f"{name}: pip install --no-deps dask-kubernetes, and jsonschema")
                else:
                    faults += [f"{name}: {fault}" for fault in against(schemas[document["kind"]], document)]
            elif find_spec("kubernetes_validate") is None:
                unchecked.append(f"{name}: pip install kubernetes-validate")
            else:
                faults += [f"{name}: {fault}" for fault in against_kubernetes(document)]
    for fault in faults:
        print(fault)
    for one in unchecked:
        print(f"not checked against its schema: {one}")
    if not (faults or unchecked):
        print(f"{', '.join(manifests)}: as their schemas and this package want them")
    return 1 if faults else 3 if unchecked else 0


def operator_schemas() -> dict[str, Any] | None:
    """By kind, the schemas of dask's operator, strict about keys that they do not know; None where there are none."""
    package = find_spec("dask_kubernetes")
    if package is None or package.origin is None or find_spec("jsonschema") is None:
        return None
    folder = Path(package.origin).parent / "operator/deployment/helm/dask-kubernetes-operator/crds"
    kinds = {}
    for file in folder.glob("*.yaml"):
        for resource in yaml.safe_load_all(file.read_text()):
            versions = [v for v in resource["spec"]["versions"] if v["name"] == "v1"]
            kinds[resource["spec"]["names"]["kind"]] = strict(versions[0]["schema"]["openAPIV3Schema"])
    return kinds


def strict(schema: Any) -> Any:
    """The schema in which an object has no other properties than those listed."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    known = isinstance(schema.get("properties"), dict) and "type" in schema
    if known and "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
        made["properties"] |= {k: {} for k in ("apiVersion", "kind", "metadata") if "spec" in schema["properties"]}
    return made


def against(schema: Any, document: Any) -> list[str]:
    """What a schema finds wrong."""
    import jsonschema

    errors = jsonschema.Draft7Validator(schema).iter_errors(document)
    return [f"{'.'.join(map(str, error.absolute_path)) or 'top'}: {error.message[:300]}" for error in errors]


def against_kubernetes(document: Any) -> list[str]:
    """What Kubernetes' own schema of the newest version that is known finds wrong."""
    import kubernetes_validate

    try:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message[:300]}"]
    return []


def own_rules(document: dict[str, Any]) -> Iterator[str]:
    """What this package wants, whatever schemas allow."""
    for where, pod in pods(document):
        claims = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
        if claims != ["hiertl-data"]:
            yield f"{where}: expected the volume hiertl-data, found {claims}"
        for container in pod["containers"]:
            yield from (f"{where}: {fault}" for fault in container_rules(container))


def pods(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The specifications of pods, and where they are."""
    spec = document["spec"]
    if document["kind"] == "DaskJob":
        yield "job", spec["job"]["spec"]
        spec = spec["cluster"]["spec"]
    if document["kind"] in ("DaskJob", "DaskCluster"):
        yield "scheduler", spec["scheduler"]["spec"]
        yield "worker", spec["worker"]["spec"]


def container_rules(container: dict[str, Any]) -> Iterator[str]:
    """Threads, folders, volumes, resources and dask's limit of one container."""
    variables = {one["name"]: one["value"] for one in container["env"]}
    for name in ONE_THREAD:
        if variables.get(name) != "1":
            yield f"expected {name} of 1, found {variables.get(name)}"
    for name, folder in FOLDERS.items():
        if not variables.get(name, "").startswith(folder):
            yield f"expected {name} in {folder}, found {variables.get(name)}"
    mounted = {one["mountPath"] for one in container["volumeMounts"]}
    if mounted != {"/data", "/scratch"}:
        yield f"expected /data and /scratch to be mounted, found {sorted(mounted)}"
    resources = container["resources"]
    if resources["requests"] != resources["limits"]:
        yield f"expected requests and limits alike, so that no pod is ended for its neighbours, found {resources}"
    arguments = container.get("args", [])
    if "--memory-limit" in arguments:
        of_dask = size(arguments[arguments.index("--memory-limit") + 1])
        of_pod = size(resources["limits"]["memory"])
        if not of_dask < of_pod:
            yield f"expected dask's --memory-limit below that of the pod, found {of_dask} and {of_pod} bytes"


def size(text: str) -> int:
    """Bytes of a size such as 4Gi or 3584MiB."""
    unit = text.lstrip("0123456789.")
    return int(float(text[: len(text) - len(unit)]) * UNITS[unit])


if __name__ == "__main__":
    sys.exit(main())
