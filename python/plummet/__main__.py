"""``python -m plummet …``: the command line."""

import os
import sys

from .binary import path

os.execv(path(), ["plummet", *sys.argv[1:]])
