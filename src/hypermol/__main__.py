"""`python -m hypermol` is the same as `hypermol`."""

import sys

from hypermol.cli import main

sys.exit(main())
