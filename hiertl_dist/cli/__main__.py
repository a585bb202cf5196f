"""``python -m hiertl_dist.cli``: the command ``hiertl-dist``."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
