"""``python -m sktime_llm.cli``, where the command itself is not on the path."""

import sys

from sktime_llm.cli import main

sys.exit(main())
