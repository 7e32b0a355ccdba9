"""`python -m kernel_lib` is the `kernel-lib` command."""

import sys

from kernel_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
