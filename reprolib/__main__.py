"""``python -m reprolib``, for programs that start modules, such as torchrun: the command line."""

import sys

from reprolib.cli import main

sys.exit(main())
