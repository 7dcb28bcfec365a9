"""Stands in for PyChunkedGraph: the routes from which cloud-volume reads a segmentation, guarded as CAVE guards them.

The voxels are files, whose directory the info names; of the graph it has that four segments in a row have one root.
"""

import array
import json
import os
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request
from middle_auth_client import auth_requires_permission

SERVICE_TOKEN = os.environ.get("SERVICE_TOKEN")
DATA_DIR = os.environ.get("DATA_DIR", "")
ROOTS = 1 << 32  # the first root

chunkedgraph = Blueprint("chunkedgraph", __name__)


def root_of(segment: int) -> int:
    return ROOTS + (segment - 1) // 4


@chunkedgraph.get("/segmentation/table/<table_id>/info")
@auth_requires_permission("view", public_table_key="table_id", service_token=SERVICE_TOKEN)
def info(table_id: str) -> dict[str, Any]:
    of_voxels = json.loads(Path(DATA_DIR, "info").read_text(encoding="utf-8"))
    graph = {
        "chunk_size": [16, 16, 8],
        "cv_mip": 0,
        "n_bits_for_layer_id": 8,
        "n_layers": 4,
        "spatial_bit_masks": {"1": 8, "2": 8, "3": 8, "4": 8},
    }
    return {**of_voxels, "app": {"supported_api_versions": [0, 1]}, "data_dir": f"file://{DATA_DIR}", "graph": graph}


@chunkedgraph.post("/segmentation/api/v1/table/<table_id>/roots_binary")
@auth_requires_permission("view")
def roots(table_id: str) -> Response:
    segments = array.array("Q", request.get_data())
    return Response(array.array("Q", [root_of(segment) for segment in segments]).tobytes())


@chunkedgraph.get("/meshing/api/v1/table/<table_id>/manifest/<int:root_id>:0")
@auth_requires_permission("view", public_table_key="table_id", public_node_key="root_id", service_token=SERVICE_TOKEN)
def manifest(table_id: str, root_id: int) -> dict[str, Any]:
    return {"fragments": [f"{root_id}:0:0-16_0-16_0-8"]}
