"""A plugin that takes long to import: commands that need no plugin must not notice."""

import time

time.sleep(2)
