"""The networks in Keras: the only folder that names keras or tensorflow."""

from __future__ import annotations

import os
from pathlib import Path

from dancenet.support import errors, files


def _keep_out_of_the_home() -> None:
    """Lets Keras write its settings to our cache, unless the user has some."""
    # Keras writes this file when it is imported. A user in a container may have no home.
    settings = Path(os.path.expanduser("~/.keras/keras.json"))
    if "KERAS_HOME" not in os.environ and not settings.exists():
        os.environ["KERAS_HOME"] = str(files.cache_folder() / "keras")


if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
    errors.check_memory(errors.TRAINING_MEMORY, "TensorFlow")
_keep_out_of_the_home()
