"""Gets one target with python-tuf's client: URL ROOT DIRECTORY TARGET. Its bytes go to stdout, in base64."""

import base64
import os
import sys

from tuf.ngclient import Updater

url, root, directory, target = sys.argv[1:]
targets = os.path.join(directory, "targets")
os.makedirs(targets, exist_ok=True)
with open(root, "rb") as file:
    trusted = file.read()
try:
    # A bootstrap root is read once. Later runs go on from the root in the directory.
    cached = os.path.exists(os.path.join(directory, "root.json"))
    updater = Updater(
        metadata_dir=directory,
        metadata_base_url=f"{url}/",
        target_dir=targets,
        target_base_url=f"{url}/targets/",
        bootstrap=None if cached else trusted,
    )
    updater.refresh()
    info = updater.get_targetinfo(target)
    if info is None:
        sys.exit(f"no target {target}")
    path = updater.find_cached_target(info) or updater.download_target(info)
    with open(path, "rb") as file:
        sys.stdout.write(base64.b64encode(file.read()).decode())
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
