"""Gets targets with python-tuf's client.

A line on stdin is a job, {url, root, directory, target}, and a line on stdout its answer, {bytes} in base64 or {error}.
"""

import base64
import json
import os
import sys

from tuf.ngclient import Updater


def get(url, root, directory, target, **_):
    targets = os.path.join(directory, "targets")
    os.makedirs(targets, exist_ok=True)
    # The first root is read once. Later runs go on from the root in the directory.
    cached = os.path.exists(os.path.join(directory, "root.json"))
    with open(root, "rb") as file:
        trusted = None if cached else file.read()
    updater = Updater(
        metadata_dir=directory,
        metadata_base_url=f"{url}/",
        target_dir=targets,
        target_base_url=f"{url}/targets/",
        bootstrap=trusted,
    )
    updater.refresh()
    info = updater.get_targetinfo(target)
    if info is None:
        return {"error": f"no target {target}"}
    path = updater.find_cached_target(info) or updater.download_target(info)
    with open(path, "rb") as file:
        return {"bytes": base64.b64encode(file.read()).decode()}


for line in sys.stdin:
    try:
        answer = get(**json.loads(line))
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
