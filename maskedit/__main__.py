"""``python -m maskedit``: the command line."""

import sys

from maskedit.commands import main

sys.exit(main())
