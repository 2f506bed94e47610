"""``python -m exporter`` is ``console-exporter``."""

import sys

from exporter.cli import main

sys.exit(main())
