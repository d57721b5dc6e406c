"""`python -m dancenet` is the command `dancenet`."""

import sys

from dancenet.cli import main

if __name__ == "__main__":
    sys.exit(main())
