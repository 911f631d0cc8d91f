#!/usr/bin/env python
"""The commands of the hub."""

import os
import sys

from django.core.management import execute_from_command_line

from exchange.environment import SettingError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")
    try:
        execute_from_command_line(sys.argv)
    except SettingError as error:
        sys.exit(str(error))
